"""The six applications of the TPU v1 paper on our model of it, beside what was published.

python -m tests.validation.tpu_v1_apps REFERENCE_FOLDER   prints the tables of docs/networks.md

Published data: Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA
2017, arXiv 1704.04760, table 3.
"""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from accelsim.arch.loader import load_system
from accelsim.arch.schema import SystolicUnit
from accelsim.engine.core import Target
from accelsim.engine.graph import ENGINES, CostedGroup, cost_graph
from accelsim.timing.matmul import matmul_problem
from accelsim.workload.network_reader import load_network
from accelsim.workload.networks import forward_graph

APPS = ("mlp0", "mlp1", "lstm0", "lstm1", "cnn0", "cnn1")
SHARES = ("array_active", "useful_MACs", "weight_stall", "weight_shift", "non_matrix")


@dataclass(frozen=True)
class App:
    """One application: published TOPS and counters [%], and ours."""

    name: str
    published_tops: float
    tops: float
    published: dict[str, float]
    shares: dict[str, float]

    @property
    def error(self) -> float:
        return self.tops / self.published_tops - 1


def apps(shared_dir: Path) -> list[App]:
    """Run all six and put the published rows beside them."""
    with (shared_dir / "facts" / "tpu_v1_table_apps.csv").open(encoding="utf-8") as file:
        published = {row["app"].lower(): row for row in csv.DictReader(file)}
    return [_app(name, published[name]) for name in APPS]


def _app(name: str, row: dict[str, str]) -> App:
    target = Target(load_system("tpu_v1"))
    graph = forward_graph(load_network(name))
    costed = cost_graph(graph, ENGINES["analytic"], target)
    total_s = sum(group.repeat * group.cost.latency_s for group in costed)
    spent_s = dict.fromkeys(SHARES, 0.0)
    for group in costed:
        for share, seconds in _spent_s(group, target).items():
            spent_s[share] += group.repeat * seconds
    return App(
        name,
        published_tops=float(row["achieved_TOPS(92 peak)"]),
        tops=graph.flop / total_s / 1e12,
        published={share: float(row[f"{share}_pct"]) for share in SHARES},
        shares={share: 100 * seconds / total_s for share, seconds in spent_s.items()},
    )


def _spent_s(costed: CostedGroup, target: Target) -> dict[str, float]:
    """Time of one group as the paper's counters divide it.

    A weight-bound group waits for tiles; of each wait, the last 256 cycles shift the tile in.
    """
    spent = dict.fromkeys(SHARES, 0.0)
    group, cost, chip = costed.group, costed.cost, target.system.chip
    active_s = 0.0
    if group.flop:
        native = target.native(group.head.dtype)
        unit = chip.matrix_unit(native)
        assert isinstance(unit, SystolicUnit)
        problem = matmul_problem(group, unit)
        tiles = problem.batch * math.ceil(problem.k / unit.rows) * math.ceil(problem.n / unit.cols)
        active_s = tiles * problem.m / unit.macs_per_pe[native] / chip.spec.clock_hz
        spent["array_active"] = active_s
        spent["useful_MACs"] = group.flop / chip.peak_flop_per_s(native)
        if cost.bound in {"memory", "load"}:
            waiting_s = cost.latency_s - cost.times_s["overhead"] - active_s
            spent["weight_shift"] = min(waiting_s, tiles * unit.rows / chip.spec.clock_hz)
            spent["weight_stall"] = waiting_s - spent["weight_shift"]
    busy_s = active_s + spent["weight_shift"] + spent["weight_stall"]
    spent["non_matrix"] = cost.latency_s - busy_s
    return spent


def mean_error(found: list[App]) -> float:
    """Mean absolute error."""
    return sum(abs(app.error) for app in found) / len(found)


def tables(found: list[App]) -> str:
    """Both tables of docs/networks.md."""
    lines = ["| app | published TOPS | ours | error |", "|---|---|---|---|"]
    lines += [
        f"| {app.name} | {app.published_tops:.1f} | {app.tops:.1f} | {100 * app.error:+.0f} % |"
        for app in found
    ]
    lines += [f"| mean absolute error | | | {100 * mean_error(found):.1f} % |", ""]
    heads = ["active", "of it useful", "weight stall", "weight shift", "non-matrix"]
    lines += [f"| share of cycles [%] | {' | '.join(heads)} |", "|---" * 6 + "|"]
    for app in found:
        for whose, shares in (("paper", app.published), ("ours", app.shares)):
            cells = " | ".join(f"{shares[share]:.1f}" for share in SHARES)
            lines.append(f"| {app.name}, {whose} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(tables(apps(Path(sys.argv[1]))) + "\n")
