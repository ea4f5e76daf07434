"""``accelsim dram``: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import accelsim
from accelsim.timing.dram import legality
from tests.unit.cli.conftest import Cli

SMALL = ("dram", "--memory", "hbm3", "--accesses", 2000)


def test_a_stream_reaches_what_refresh_leaves(cli: Cli) -> None:
    outcome = cli(*SMALL, "--pattern", "stream")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("hbm3_6400, 1 channel of 2 pseudo-channels")
    for label in ("bandwidth", "refresh bound", "read latency", "pJ/bit", "ACT", "standby"):
        assert label in outcome.out


def test_json_is_what_python_finds(cli: Cli) -> None:
    data = cli("dram", "--memory", "hbm3", "--accesses", 20_000, "--json", "-").data
    found = accelsim.simulate_dram("hbm3_6400", np.arange(20_000) * 64).to_dict()
    assert {key: data[key] for key in found} == found
    assert data["traffic"]["pattern"] == "stream"
    assert data["controller"]["address_map"] == "bgix"
    assert data["unrefreshed_fraction"] > data["bandwidth_fraction"] > 0.5


def test_patterns_and_policies_reach_the_model(cli: Cli) -> None:
    options = (
        "--pattern", "strided", "--stride", "4 KiB", "--channels", 2, "--pseudo-channels", 1,
        "--scheduler", "fr-fcfs", "--page-policy", "closed", "--refresh", "per-bank",
        "--read-queue", 32, "--write-queue", 16, "--write-high", 0.7, "--write-low", 0.1,
        "--address-map", "robaracoch", "--interleave", "512 B", "--stage-depth", "all",
        "--read-share", 0.5, "--seed", 3, "--footprint", "64 MiB",
    )  # fmt: skip
    data = cli(*SMALL, *options, "--json", "-").data
    assert data["channels"] == 2
    assert data["pseudo_channels"] == 1
    assert data["traffic"]["stride_bytes"] == 4096
    assert data["traffic"]["footprint_bytes"] == 64 * 2**20
    assert data["controller"] == {
        "scheduler": "fr-fcfs", "page_policy": "closed", "refresh": "per-bank", "read_queue": 32,
        "write_queue": 16, "write_high": 0.7, "write_low": 0.1, "address_map": "robaracoch",
        "channel_interleave_bytes": 512, "stage_depth": None, "outstanding": None,
    }  # fmt: skip
    assert data["commands"]["WRA"] + data["commands"]["WR"] > 1000


def test_a_copy_alternates_streams(cli: Cli) -> None:
    data = cli(*SMALL, "--streams", 2, "--write-streams", 1, "--stagger", "790080 B", "--json", "-")
    assert data.data["commands"]["WR"] == 2000
    turns = cli(*SMALL, "--alternate", "3:1", "--json", "-").data
    assert turns["commands"]["WR"] == 1000


def test_accesses_from_a_file(cli: Cli, tmp_path: Path) -> None:
    lines = ["address,write", *(f"{i * 64},{i % 2}" for i in range(50)), "", "0x1000, W"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = cli("dram", "--memory", "ddr5_4800", "--addresses", "a.csv", "--json", "-").data
    assert data["bytes"] == 51 * 64
    assert data["traffic"] is None
    assert data["commands"]["WR"] == 26
    (tmp_path / "reads.csv").write_text("Address\n0\n64\n", encoding="utf-8")
    assert cli("dram", "--memory", "ddr5", "--addresses", "reads.csv").status == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("addr,write\n0,0\n", "bad.csv:1: 'addr,write' names no column 'address'"),
        ("address,write\n0,0\n64,maybe\n", "bad.csv:3: '64,maybe' is no access"),
        ("address,write\n-64,0\n", "bad.csv:2: '-64,0' is no access"),
        ("address,write\n1e3,0\n", "bad.csv:2"),
        ("address,write\n64\n", "bad.csv:2"),
        ("address,write\n99999999999999999999999,0\n", "bad.csv:2"),
        ("address\n", "no accesses below the heading"),
        ("", "names no column"),
        ("address\n0\n\x1b[31m\n", "bad.csv:3: '"),
        ("address\n7\n", "address 7 (access 0) is no multiple of 32 B"),
        ("address\n0\n1099511627776\n", "is outside the"),
    ],
)
def test_a_bad_file_is_refused_by_line(cli: Cli, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    outcome = cli("dram", "--memory", "hbm3", "--addresses", "bad.csv")
    assert outcome.status == 2
    assert words in outcome.err
    assert "\x1b" not in outcome.err


def test_files_that_are_none_are_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"address\n\xff\xfe\n")
    for name, words in (
        ("bytes.csv", "not a text in UTF-8"), ("none.csv", "No such file"), (".", "not a file"),
        ("/dev/zero", "not a file"),
    ):  # fmt: skip
        outcome = cli("dram", "--memory", "hbm3", "--addresses", name)
        assert (outcome.status, words in outcome.err) == (2, True), outcome.err


def test_pictures_and_the_trace_are_written(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*SMALL, "--pattern", "random", "--plots", "p", "--trace", "t.csv.gz")
    assert outcome.status == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [
        "latency.png", "refresh.png", "timeline.png",
    ]  # fmt: skip
    assert (tmp_path / "t.csv.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_check_replays_every_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = cli(*SMALL, "--pattern", "mixed", "--check", "--json", "c.json")
    assert outcome.status == 0, outcome.err
    assert "commands keep the rules of the standard" in outcome.out
    assert cli(*SMALL, "--check", "--json", "-").data["violations"] == 0

    found = SimpleNamespace(message="tick 7: ACT comes 2 ticks too soon")
    monkeypatch.setattr(legality, "dram_violations", lambda *_: (found,))
    broken = cli(*SMALL, "--check")
    assert broken.status == 2
    assert "1 command that breaks rules, the first: tick 7" in broken.err


def test_a_sweep_compares_address_maps(cli: Cli, tmp_path: Path) -> None:
    maps = ("--address-map", "bgix", "--address-map", "bgixp")
    outcome = cli("dram", "--memory", "hbm2", "--accesses", 300, "--sweep", "stride", *maps,
                  "--plots", "p", "--json", "s.json")  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("64 KiB") == 2
    assert "bgixp" in outcome.out
    assert (tmp_path / "p" / "stride.png").is_file()
    assert (tmp_path / "s.json").is_file()
    data = cli(
        "dram", "--memory", "hbm2", "--accesses", 300, "--sweep", "queue", "--json", "-"
    ).data
    assert data["sweep"] == "queue"
    assert data["points"][0]["value"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--memory", "hbm9"), "unknown memory 'hbm9'"),
        (("--pattern", "randm"), "did you mean 'random'"),
        (("--stride", "64 B"), "--stride means nothing to pattern 'stream'"),
        (("--pattern", "strided", "--stride", "64"), "--stride '64' has no unit"),
        (("--pattern", "strided", "--stride", "1 ns"), "--stride '1 ns' is a time"),
        (("--pattern", "strided", "--stride", "0.3 B"), "no whole number of bytes"),
        (("--pattern", "strided", "--stride", "96 B"), "stride_bytes 96 is no multiple"),
        (("--access", "16 B"), "access_bytes 16"),
        (("--accesses", 0), "accesses 0"),
        (("--streams", 0), "streams 0"),
        (("--read-share", 2), "read_share 2"),
        (("--alternate", "two"), "--alternate 'two'"),
        (("--channels", 0), "channels 0"),
        (("--read-queue", 10**9), "read_queue 1000000000"),
        (("--write-low", 0.9), "write_low 0.9"),
        (("--scheduler", "lifo"), "scheduler 'lifo' is unknown"),
        (("--address-map", "bgx"), "address map 'bgx' is unknown"),
        (("--address-map", "bgi", "--address-map", "bgix"), "compared by --sweep"),
        (("--stage-depth", "-1"), "--stage-depth '-1'"),
        (("--sweep", "strid"), "did you mean 'stride'"),
        (("--sweep", "stride", "--pattern", "random"), "has no stride to sweep"),
        (("--sweep", "streams", "--streams", 4), "--streams beside --sweep streams"),
        (("--sweep", "queue", "--trace", "t.csv"), "--trace beside --sweep"),
        (("--sweep", "queue", "--check"), "--check beside --sweep"),
        (("--from", "1 us"), "--from without --plots"),
        (("--plots", "p", "--from", "1 s"), "no command of channel 0"),
        (("--plots", "p", "--span", "-1 ns"), "below zero"),
        (("--footprint", "1 TiB"), "a footprint of 1099511627776 B"),
    ],
)
def test_bad_usage_is_one_paragraph(cli: Cli, arguments: tuple[object, ...], message: str) -> None:
    own = () if "--memory" in arguments else ("--memory", "hbm3")
    outcome = cli("dram", *own, *arguments)
    assert outcome.status == 2, outcome.out
    assert outcome.err.startswith("error: ")
    assert message in outcome.err, outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_addresses_replace_a_pattern(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("address\n0\n", encoding="utf-8")
    outcome = cli("dram", "--memory", "hbm3", "--addresses", "a.csv", "--pattern", "random")
    assert outcome.status == 2
    assert "--pattern beside --addresses" in outcome.err
