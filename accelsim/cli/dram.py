"""``accelsim dram``: traffic through a memory, bank by bank."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.array_options import refuse_idle
from accelsim.cli.console import (
    emit,
    interruptibly,
    note,
    print_panel,
    print_tables,
    print_text,
    progress_bar,
    refuse_targets,
    slow_notes,
)
from accelsim.cli.dram_options import TrafficOptions, bytes_of, read_addresses, seconds_of
from accelsim.cli.options import JsonFile
from accelsim.errors import SimulationError

if TYPE_CHECKING:
    from accelsim.scenarios.dram_study import DramSetting, DramStudy, DramSweep
    from accelsim.timing.dram.patterns import Traffic

_ACCESS_BYTES = 64
_SILENT_BURSTS = 3_000_000
_BURSTS_PER_S = 2e6
"""Both simulations together, on one core of 2024."""


@dataclass(frozen=True)
class _Pictures:
    """Where pictures go, and which stretch of time the timeline shows."""

    folder: Path | None
    begin_s: float | None
    span_s: float | None


def dram(  # noqa: PLR0917  (typer calls it by keyword: one parameter per option)
    memory: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="A memory (hbm3_6400), a family (hbm3), or a path to a YAML file."
        ),
    ],
    pattern: Annotated[
        str | None,
        typer.Option(help="stream|random|strided|mixed.", show_default="stream"),
    ] = None,
    accesses: Annotated[int | None, typer.Option(help="How many.", show_default="100000")] = None,
    access: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Bytes of one access.", show_default="64 B"),
    ] = None,
    stride: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of strided: '256 B', '4 KiB'.")
    ] = None,
    streams: Annotated[int | None, typer.Option(help="Of stream: how many take turns.")] = None,
    write_streams: Annotated[
        int | None,
        typer.Option(help="How many of them are written: 2 and 1 copy, 3 and 1 triad."),
    ] = None,
    chunk: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of stream: bytes of a turn.")
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Of stream: between their starts.", show_default="16 MiB or more"
        ),
    ] = None,
    stagger: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Added to the spacing.", show_default="0 B")
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of random and mixed: sequential bytes at a place."),
    ] = None,
    read_share: Annotated[
        float | None,
        typer.Option(help="0 to 1, drawn at random.", show_default="1; 2/3 of mixed"),
    ] = None,
    alternate: Annotated[
        str | None,
        typer.Option(metavar="R:W", help="Instead: R reads, then W writes, and again."),
    ] = None,
    footprint: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of the traffic.", show_default="all of the memory"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of random places and directions.", show_default="1")
    ] = None,
    addresses: Annotated[
        Path | None,
        typer.Option(metavar="F.csv", help="Accesses instead of a pattern: address,write."),
    ] = None,
    channels: Annotated[int, typer.Option(help="Channels behind one front end.")] = 1,
    pseudo_channels: Annotated[
        int | None, typer.Option(help="Of each channel.", show_default="all")
    ] = None,
    address_map: Annotated[
        list[str] | None,
        typer.Option(
            help="robaracoch, mop4clxor, bgi, bgix, bgixp, or fields as in docs/dram.md. "
            "Repeatable with --sweep.",
            show_default="bgix",
        ),
    ] = None,
    interleave: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Block of one channel.", show_default="256 B"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="fcfs|fr-fcfs|fr-fcfs-rowhit.", show_default="fr-fcfs-rowhit"),
    ] = None,
    page_policy: Annotated[
        str | None, typer.Option(help="open|closed|adaptive.", show_default="open")
    ] = None,
    refresh: Annotated[
        str | None, typer.Option(help="all-bank|per-bank|none.", show_default="all-bank")
    ] = None,
    read_queue: Annotated[
        int | None, typer.Option(help="Entries of a channel.", show_default="64")
    ] = None,
    write_queue: Annotated[
        int | None, typer.Option(help="Entries of a channel.", show_default="64")
    ] = None,
    write_high: Annotated[
        float | None, typer.Option(help="Fill above which writes start.", show_default="0.8")
    ] = None,
    write_low: Annotated[
        float | None, typer.Option(help="Fill below which reads resume.", show_default="0.2")
    ] = None,
    stage_depth: Annotated[
        str | None,
        typer.Option(help="Waiting before a channel, or 'all'.", show_default="1"),
    ] = None,
    outstanding: Annotated[
        int | None,
        typer.Option(help="Most bursts under way.", show_default="what the queues take"),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(help="stride|streams|read-share|block|queue|outstanding: a table over it."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="F.csv", help="Write every command; F.csv.gz is compressed."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Hold every command against the standard's rules.")
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write timeline, latencies, sweep curves.")
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="Of the timeline: '2 us'.", show_default="a conflict"
        ),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Of the timeline: '200 ns'.", show_default="two row cycles"
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Simulate a memory bank by bank: bandwidth, row hits, latency, commands and energy."""
    read = () if addresses is None else (addresses,)
    refuse_targets(files=(trace, json_file), folders=(plots,), inputs=(memory, *read))
    refuse_idle(
        {"--from": begin is not None, "--span": span is not None}, "--plots", plots is not None
    )
    pictures = _Pictures(plots, seconds_of("--from", begin), seconds_of("--span", span))
    asked = TrafficOptions(
        pattern,
        {"accesses": accesses, "streams": streams, "write_streams": write_streams,
         "read_share": read_share, "seed": seed},
        {"--stride": stride, "--chunk": chunk, "--spacing": spacing, "--stagger": stagger,
         "--block": block, "--footprint": footprint},
        alternate,
    )  # fmt: skip
    policies: dict[str, Any] = {
        "scheduler": scheduler, "page_policy": page_policy, "refresh": refresh,
        "read_queue": read_queue, "write_queue": write_queue, "write_high": write_high,
        "write_low": write_low, "outstanding": outstanding,
        "channel_interleave_bytes": bytes_of("--interleave", interleave),
    }  # fmt: skip
    given = {name: value for name, value in policies.items() if value is not None}
    if stage_depth is not None:
        given["stage_depth"] = _depth(stage_depth)
    setting = _setting(memory, given, (channels, pseudo_channels), access)
    maps = address_map or ["bgix"]
    if sweep is not None:
        alone = {
            "--addresses": addresses is not None, "--trace": trace is not None, "--check": check,
            "--from": begin is not None, "--span": span is not None,
        }  # fmt: skip
        _refuse_beside("--sweep", alone)
        _swept(setting, asked, sweep, maps, (plots, json_file))
        return
    if len(maps) > 1:
        raise SimulationError("several --address-map are compared by --sweep: give one")
    _one_run(setting.with_controller(address_map=maps[0]), asked, addresses,
             _Wanted(pictures, trace, check, json_file))  # fmt: skip


@dataclass(frozen=True)
class _Wanted:
    """What one run is to leave behind."""

    pictures: _Pictures
    trace: Path | None
    check: bool
    json_file: str | None


def _refuse_beside(option: str, others: dict[str, bool]) -> None:
    """Refuse options that mean nothing beside another one."""
    idle = [name for name, is_given in others.items() if is_given]
    if idle:
        raise SimulationError(f"{', '.join(idle)} beside {option} would mean nothing: leave it out")


def _depth(text: str) -> int | None:
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise SimulationError(f"--stage-depth '{text}' is no whole number, nor 'all'")
    return int(text)


def _setting(
    memory: str, policies: dict[str, Any], channels: tuple[int, int | None], access: str | None
) -> DramSetting:
    from accelsim.arch.loader import load_memory
    from accelsim.scenarios.dram_study import DramSetting
    from accelsim.timing.dram.controller import Controller

    size = bytes_of("--access", access)
    spec = load_memory(memory)
    least = max(_ACCESS_BYTES, int(spec.access_bytes))
    return DramSetting(spec, Controller(**policies), *channels, least if size is None else size)


def _compile_note() -> None:
    from accelsim.kernels.jit import COMPILED, compiled_before

    if COMPILED and not compiled_before("front"):
        note("the first run compiles its kernels: about 20 s, once")


def _one_run(
    setting: DramSetting, asked: TrafficOptions, addresses: Path | None, wanted: _Wanted
) -> None:
    """Simulate one list of accesses and show everything about it."""
    from accelsim.scenarios.dram_study import DramStudy

    traffic: Traffic | None = None
    if addresses is not None:
        _refuse_beside("--addresses", asked.given)
        accesses, words = read_addresses(addresses), f"accesses of {addresses.name}"
    else:
        traffic = asked.traffic(asked.pattern or "stream", setting.access_bytes)
        accesses, words = traffic.addresses(setting.capacity_bytes), str(traffic)
    _compile_note()
    study = DramStudy(setting, accesses)
    bursts = accesses[0].size * (setting.access_bytes // int(setting.memory.access_bytes))
    if bursts > _SILENT_BURSTS:
        seconds = bursts / _BURSTS_PER_S
        note(f"simulating {bursts:,} bursts, and again without refresh: about {seconds:.0f} s")
    interruptibly(lambda: (study.result, study.unrefreshed_fraction))
    broken = interruptibly(lambda: _follow(study, wanted, words))
    data = {
        **study.result.to_dict(),
        "unrefreshed_fraction": study.unrefreshed_fraction,
        "refresh_bound": setting.refresh_bound,
        "access_bytes": setting.access_bytes,
        "traffic": None if traffic is None else traffic.to_dict(),
        "controller": dataclasses.asdict(setting.controller),
        **({"violations": len(broken)} if broken is not None else {}),
    }
    emit(data, wanted.json_file, lambda: _show(study, words, broken))
    if broken:
        count = (
            "1 command that breaks" if len(broken) == 1 else f"{len(broken):,} commands that break"
        )
        raise SimulationError(f"{count} rules, the first: {broken[0]}")


def _follow(study: DramStudy, wanted: _Wanted, words: str) -> list[str] | None:
    """Keep commands, and write, draw and check them; return what breaks rules if asked."""
    pictures = wanted.pictures
    whole = wanted.trace is not None or wanted.check or pictures.begin_s is not None
    if not whole and pictures.folder is None:
        return None
    from accelsim.report.dram_files import PICTURED_COMMANDS, dram_figures, write_trace

    result = study.traced(None if whole else PICTURED_COMMANDS)
    assert result.trace is not None
    if wanted.trace is not None:
        write_trace(result.trace, result.tick_s, wanted.trace)
        note(f"{len(result.trace):,} commands in {wanted.trace}")
    if pictures.folder is not None:
        window = (pictures.begin_s, pictures.span_s)
        made = dram_figures(study, result.trace, pictures.folder, window=window, detail=words)
        note(f"pictures in {pictures.folder}: {', '.join(path.name for path in made)}")
    return _broken(study, result.trace) if wanted.check else None


def _broken(study: DramStudy, trace: Any) -> list[str]:
    from accelsim.timing.dram.legality import dram_violations

    return [found.message for found in dram_violations(study.setting.memory, trace)]


def _show(study: DramStudy, words: str, broken: list[str] | None) -> None:
    from accelsim.report.dram_tables import commands_table, dram_pairs, energy_table, setting_words

    print_panel(setting_words(study.setting), [("pattern", words), *dram_pairs(study)])
    if broken is not None:
        commands = sum(study.result.commands.values())
        kept = (
            f"all {commands:,} commands keep" if not broken else f"{len(broken):,} commands break"
        )
        print_text(f"Check: {kept} the rules of the standard.")
    print_text("")
    print_tables([commands_table(study.result), energy_table(study.result)])


def _swept(
    setting: DramSetting,
    asked: TrafficOptions,
    name: str,
    maps: Sequence[str],
    targets: tuple[Path | None, str | None],
) -> None:
    """Turn one parameter through its range, with every address map."""
    from accelsim.scenarios.dram_study import SWEEPS, pattern_of_sweep, sweep_dram

    pattern = pattern_of_sweep(name, asked.pattern)
    options = {f.removesuffix("_bytes").replace("_", "-") for f in SWEEPS[name].traffic}
    turned = {f"--{option}": asked.given.get(f"--{option}", False) for option in options}
    _refuse_beside(f"--sweep {name}", turned)
    traffic = asked.traffic(pattern, setting.access_bytes)
    _compile_note()
    with progress_bar() as progress:
        tell = progress or slow_notes()

        def measure() -> list[DramSweep]:
            settings = [setting.with_controller(address_map=text) for text in maps]
            return [sweep_dram(one, traffic, name, tell=tell) for one in settings]

        sweeps = interruptibly(measure)
    folder, json_file = targets
    turned_field = "".join(SWEEPS[name].traffic)
    words = sweeps[0].traffic.words(without=turned_field)
    if folder is not None:
        from accelsim.report.dram_curves import sweep_figure

        made = sweep_figure(sweeps, folder / f"{name}.png", detail=words)
        note(f"picture: {made}")
    found = [{"address_map": text, **one.to_dict()} for text, one in zip(maps, sweeps, strict=True)]
    data = found[0] if len(found) == 1 else {"compared": found}
    emit(data, json_file, lambda: _show_sweeps(sweeps))


def _show_sweeps(sweeps: list[DramSweep]) -> None:
    from accelsim.report.dram_tables import sweep_table

    print_tables([sweep_table(sweeps)])
