"""The result of a run: totals, one row per op, memory, sources; JSON, DataFrame, timeline."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.errors import SimulationError
from accelsim.results.ahead import FetchedAhead, passes_fetched_ahead
from accelsim.results.execution import StagePass
from accelsim.results.execution_tables import utilisation
from accelsim.results.happened import what_happened
from accelsim.results.passes import TIMELINE_COLUMNS, passes_power, passes_timeline

if TYPE_CHECKING:
    import pandas as pd

_HTML_REPORT = "accelsim.report.html_report:html_report"
_UNROLLED_PASSES = 8


@dataclass(frozen=True)
class OpRow:
    """One op of the result; every figure is of ONE execution, `count` says how many there are.

    Attributes
    ----------
    name, kind, block, stage : str
        Op, its kind, its block (layer) and its stage (prefill, decode, train).
    count : float
        Executions in the run.
    flop, bytes : float
        Matrix FLOP and main-memory bytes on one device.
    latency_s, energy_j : float
        Of one execution; energy of all devices, idle power during `latency_s` included [s], [J].
    bound : str
        What limits it.
    utilization : float
        Matrix FLOP over peak during the op [1].
    mapping : str
        The tiling in words.
    times_s : dict of str to float
        Time that each resource alone would need [s].
    repeat : int
        Executions in one pass of the stage; `count` is that times the passes.
    model_flop : float
        `flop` without what is computed a second time.
    alone_s : float
        Of one execution on an idle device; with the event engine `latency_s` is what an execution
        adds to the run, less where others hide it [s].
    idle_j : float
        The part of `energy_j` that flows whatever happens; the rest is dynamic [J].
    """

    name: str
    kind: str
    block: str
    stage: str
    count: float
    flop: float
    bytes: float
    latency_s: float
    energy_j: float
    bound: str
    utilization: float
    mapping: str
    times_s: dict[str, float] = field(default_factory=dict)
    repeat: int = 1
    model_flop: float = 0.0
    alone_s: float = 0.0
    idle_j: float = 0.0

    @property
    def dynamic_j(self) -> float:
        """Energy of the counted actions of one execution, all devices, no idle power [J]."""
        return self.energy_j - self.idle_j

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name, "kind": self.kind, "block": self.block, "stage": self.stage,
            "count": self.count, "flop": self.flop, "bytes": self.bytes,
            "latency_s": self.latency_s, "total_s": self.latency_s * self.count,
            "alone_s": self.alone_s,
            "bound": self.bound, "energy_j": self.energy_j, "dynamic_j": self.dynamic_j,
            "idle_j": self.idle_j, "utilization": self.utilization,
            "mapping": self.mapping, "times_s": self.times_s,
        }  # fmt: skip


@dataclass(frozen=True)
class RunResult:
    """What `accelsim.run` returns.

    Attributes
    ----------
    chip, system, model, phase, engine, dtype : str
        What was run on what.
    devices, batch, input_len, output_len : int
        Shape of the run.
    latency_s, energy_j : float
        Of the whole phase, all devices [s], [J]. Energy is counted: that of the actions, and idle
        power.
    tokens_per_s : float
        Tokens of the phase (processed in prefill and train, produced in decode and generate)
        per second, all sequences; inferences (samples) per second in forward.
    ttft_s, tpot_s : float or None
        Time to first token and per output token [s], where the phase has them.
    memory_bytes : float
        What one device must hold [B].
    memory_capacity_bytes : float
        What one device has [B].
    memory : dict of str to float
        `memory_bytes` by role.
    flop : float
        Matrix FLOP of one device.
    peak_flop_per_s, peak_bytes_per_s : float
        Of one device, for utilisation and the roofline picture.
    rows : tuple of OpRow
        One per op, in execution order.
    sources, assumptions : tuple of str
        Where the numbers come from and what was assumed.
    model_flop : float
        `flop` without what is computed a second time, one device.
    warnings : tuple of str
        What makes the answer doubtful or the run wasteful; read these first.
    weight_dtype : str
        Storage of the weights where the user chose one.
    shared_name, shared_bytes_per_s : str, float
        The chip's shared buffer and its peak bandwidth [B/s]; empty and 0 where it has none.
    executions : tuple of StagePass
        What the event engine saw of one pass of each stage; empty for other engines.
    """

    chip: str
    system: str
    model: str
    phase: str
    engine: str
    dtype: str
    devices: int
    batch: int
    input_len: int
    output_len: int
    latency_s: float
    energy_j: float
    tokens_per_s: float
    ttft_s: float | None
    tpot_s: float | None
    memory_bytes: float
    memory_capacity_bytes: float
    memory: dict[str, float]
    flop: float
    peak_flop_per_s: float
    peak_bytes_per_s: float
    rows: tuple[OpRow, ...]
    sources: tuple[str, ...]
    assumptions: tuple[str, ...]
    model_flop: float = 0.0
    warnings: tuple[str, ...] = ()
    weight_dtype: str = ""
    shared_name: str = ""
    shared_bytes_per_s: float = 0.0
    executions: tuple[StagePass, ...] = ()

    @property
    def average_power_w(self) -> float:
        """Energy over time, all devices [W]."""
        return self.energy_j / self.latency_s

    @property
    def idle_j(self) -> float:
        """The part of the energy that flows whatever happens, all devices [J]."""
        return sum(row.idle_j * row.count for row in self.rows)

    @property
    def dynamic_j(self) -> float:
        """Energy of the counted actions, all devices, without idle power [J]."""
        return self.energy_j - self.idle_j

    @property
    def mfu(self) -> float:
        """Model FLOP utilisation: what the model asks for over peak FLOP of the run [1].

        Work done a second time (recomputation) does not count; `hfu` counts it.
        """
        return self.model_flop / (self.latency_s * self.peak_flop_per_s)

    @property
    def hfu(self) -> float:
        """Hardware FLOP utilisation: all matrix FLOP done over peak FLOP of the run [1]."""
        return self.flop / (self.latency_s * self.peak_flop_per_s)

    @property
    def mbu(self) -> float:
        """Memory bandwidth utilisation: bytes moved over peak bytes of the run [1]."""
        moved = sum(row.bytes * row.count for row in self.rows)
        return moved / (self.latency_s * self.peak_bytes_per_s)

    @cached_property
    def time_by_bound_s(self) -> dict[str, float]:
        """Total time of the ops that each resource limits, longest first [s]."""
        totals: dict[str, float] = {}
        for row in self.rows:
            totals[row.bound] = totals.get(row.bound, 0.0) + row.latency_s * row.count
        return dict(sorted(totals.items(), key=lambda item: -item[1]))

    @property
    def bottleneck(self) -> str:
        """The resource that limits the ops which take the most time."""
        return next(iter(self.time_by_bound_s))

    @property
    def ops(self) -> pd.DataFrame:
        """One row per op (columns as `OpRow.as_dict`).

        Each figure is of one execution. ``energy_j`` is that of all devices, with idle power;
        ``dynamic_j count`` adds up to what the timeline holds.
        """
        import pandas as pd

        return pd.DataFrame([row.as_dict() for row in self.rows])

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """Start and end of every op on one device, in execution order [s]; blocks unrolled.

        Columns are those of `passes_timeline`: counted dynamic power and energy of one chip,
        without idle power, and how many chips a row stands for. Ops of the event engine overlap,
        on all its chips. Those of the others follow one another; of a stage that is passed many
        times (decode steps) the first passes are unrolled and the rest is one span.
        """
        if self.executions:
            return passes_timeline(self.executions)
        import pandas as pd

        spans = []
        now = 0.0
        for name, block, latency_s, dynamic_j in self._executions():
            of_chip_j = dynamic_j / self.devices
            watts = of_chip_j / latency_s if latency_s else 0.0
            when = (now, now + latency_s)
            spans.append((name, block, *when, watts, of_chip_j, 0, self.devices, ""))
            now += latency_s
        return pd.DataFrame(spans, columns=list(TIMELINE_COLUMNS))

    @property
    def power(self) -> pd.DataFrame:
        """Power over time of all devices, idle power included: ``start_s, end_s, power_w``.

        Per op, or per bin of time of the event engine, whose ops overlap; that also gives
        ``board_w``, what the boards draw (see `passes_power`). A row is the mean from ``start_s``
        to ``end_s``. The integral of ``power_w`` is the energy of the run.
        """
        if self.executions:
            return passes_power(self.executions)
        idle_w = self.idle_j / self.latency_s
        spans = self.timeline
        watts = idle_w + spans["dynamic_w"] * spans["chips"]
        return spans[["start_s", "end_s"]].assign(power_w=watts)

    @property
    def utilisation(self) -> pd.DataFrame:
        """Each engine over time in the first pass of the run, by the event engine.

        Of matrix and vector units the share of time in which they work, of transfers and links the
        rate over the peak: see `accelsim.results.execution_tables.utilisation`, which takes any
        pass.
        """
        if not self.executions:
            raise SimulationError(
                f"the {self.engine} engine knows no use over time: use engine='event'"
            )
        return utilisation(self.executions[0].execution)

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page about the run.

        The writer lies in a layer above this one and is found by name, as a plugin would be.
        """
        write = pkgutil.resolve_name(_HTML_REPORT)
        written: Path = write(self, path)
        return written

    def _executions(self) -> Iterator[tuple[str, str, float, float]]:
        """Yield name, block, time [s] and dynamic energy [J] of every execution in order."""
        for stage, stage_rows in groupby(self.rows, key=lambda row: row.stage):
            rows = tuple(stage_rows)
            passes = max(1, round(rows[0].count / rows[0].repeat))
            for _ in range(min(passes, _UNROLLED_PASSES)):
                for block, block_rows in groupby(rows, key=lambda row: row.block):
                    layer = tuple(block_rows)
                    for row in layer * layer[0].repeat:
                        yield row.name, f"{stage}/{block}", row.latency_s, row.dynamic_j
            left = passes - _UNROLLED_PASSES
            if left > 0:
                share = left / passes
                total_s = sum(row.latency_s * row.count for row in rows)
                total_j = sum(row.dynamic_j * row.count for row in rows)
                yield f"{left} more passes", stage, total_s * share, total_j * share

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the contract of ``accelsim run --json``."""
        return {
            "chip": self.chip, "system": self.system, "model": self.model, "phase": self.phase,
            "engine": self.engine, "dtype": self.dtype, "devices": self.devices,
            "batch": self.batch, "input_len": self.input_len, "output_len": self.output_len,
            "latency_s": self.latency_s, "energy_j": self.energy_j, "idle_j": self.idle_j,
            "average_power_w": self.average_power_w, "tokens_per_s": self.tokens_per_s,
            "ttft_s": self.ttft_s, "tpot_s": self.tpot_s, "mfu": self.mfu, "hfu": self.hfu,
            "mbu": self.mbu,
            "bottleneck": self.bottleneck, "time_by_bound_s": self.time_by_bound_s,
            **self._what_happened(),
            "flop": self.flop, "model_flop": self.model_flop, "memory_bytes": self.memory_bytes,
            "memory_capacity_bytes": self.memory_capacity_bytes, "memory": self.memory,
            "ops": [row.as_dict() for row in self.rows],
            "warnings": list(self.warnings), "assumptions": list(self.assumptions),
            "sources": list(self.sources),
        }  # fmt: skip

    @property
    def what_if_s(self) -> dict[str, float]:
        """Latency if a resource were infinite, by resource; empty where nobody asked [s]."""
        totals: dict[str, float] = {}
        for stage in self.executions:
            for resource, seconds in stage.ideal_s.items():
                totals[resource] = totals.get(resource, 0.0) + stage.times * seconds
        return totals

    @property
    def fetched_ahead(self) -> FetchedAhead:
        """Bytes that one chip had read before the ops that use them could start, and all it read.

        Only the event engine moves anything ahead; of others all is 0.
        """
        return passes_fetched_ahead(self.executions)

    @property
    def shown_passes(self) -> tuple[tuple[str, StagePass], ...]:
        """The first pass of each stage with words for it: what tables and pictures show."""
        shown = []
        for name in dict.fromkeys(stage.stage for stage in self.executions):
            passes = [stage for stage in self.executions if stage.stage == name]
            several = f", first of {len(passes)} contexts" if len(passes) > 1 else ""
            shown.append((f"one pass of {name}{several}", passes[0]))
        return tuple(shown)

    def _what_happened(self) -> dict[str, Any]:
        """What only the event engine knows: paths, engines, waits, and what would help."""
        if not self.executions:
            return {}
        shown = [one for _, one in self.shown_passes]
        gains = self.what_if_s
        return {
            **what_happened(self.executions, shown), **({"what_if_s": gains} if gains else {}),
        }  # fmt: skip

    def to_json(self) -> str:
        """Serialise to JSON text (deterministic; no NaN)."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n"
