"""Against Ramulator 2.1: constraints, commands, cycles and latencies, to the tick.

Golden data lie in ../shared/reference/dram (one real run per row; see its README). Rows of up to
20 000 accesses and some longer ones are run here; ../shared/checks/dram.py runs them all.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.loader import load_memory
from accelsim.documents import read_yaml
from accelsim.errors import SpecError
from accelsim.results.dram import DramResult
from accelsim.scenarios.dram import simulate_dram
from accelsim.timing.dram.legality import dram_violations
from accelsim.timing.dram.rules import rules_of

pytestmark = pytest.mark.shared

MEMORIES = {
    "HBM2": "hbm2_2000", "HBM3": "hbm3_6400", "HBM4": "hbm4_8000", "DDR5": "ddr5_4800",
    "GDDR6": "gddr6_14000", "LPDDR5": "lpddr5_6400",
}  # fmt: skip
COMMANDS = {"PREpb": "PRE", "PREab": "PREA", "ACT1": "ACT"}
LEVELS = {
    "Channel": "channel", "PseudoChannel": "rank", "Rank": "rank", "Sid": "stack",
    "BankGroup": "group", "Bank": "bank",
}  # fmt: skip
Gen = Callable[[dict[str, Any], int], tuple[int, bool]]
Key = tuple[str, str, str, int, bool]


@pytest.fixture(scope="module")
def dram(shared_dir: Path) -> Path:
    return shared_dir / "dram"


@pytest.fixture(scope="module")
def presets(dram: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(dram / "presets.yaml", SpecError).tree
    return found


@pytest.fixture(scope="module")
def gen(dram: Path) -> Gen:
    """The traffic of the golden runs."""
    spec = importlib.util.spec_from_file_location("tracegen", dram / "tracegen.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Gen = module.gen
    return made


@pytest.fixture(scope="module")
def golden(dram: Path) -> pd.DataFrame:
    return pd.read_csv(dram / "ramulator_golden.csv")


def longest(rules: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for key, ticks in rules:
        found[key] = max(ticks, found.get(key, -(10**9)))
    return found


def golden_rules(preset: dict[str, Any], one_rank: bool) -> dict[Key, int]:
    """Constraints of a preset under our names; GDDR6 calls its only rank the channel."""
    levels = LEVELS | ({"Channel": "rank"} if one_rank else {})
    return longest(
        (
            (levels[each["level"]], COMMANDS.get(before, before), COMMANDS.get(after, after),
             each["window"], each["sibling"]), each["ticks"],
        )
        for each in preset["resolved_constraints_ticks_after_multicycle_adjust"]
        for before in each["preceding"]
        for after in each["following"]
    )  # fmt: skip


def ours_alone(key: Key) -> bool:
    """What we add: refreshes of single banks, and what the rank or the state says already."""
    level, before, after, _, _ = key
    if "REFpb" in (before, after):
        return True  # presets list them in part; the standards' tables are symmetric
    if (before, after) == ("REFab", "REFab") or (level, before, after) == ("rank", "PRE", "REFab"):
        return True
    return level == "stack"  # tCCDS within a stack id, as at the rank, where there is only one


def golden_alone(key: Key, name: str) -> bool:
    """What we do without: refresh management, other ranks, and what other rules imply."""
    level, before, after, window, siblings = key
    if "RFM" in before + after or before.startswith("CAS_"):
        return True  # no RFM commands; CAS holds its bus one tick, as does any command
    if siblings and level == "rank":
        return True  # these memories have one rank
    if level == "channel" and name in ("DDR5", "LPDDR5"):
        return True  # the burst on the data bus, as at the rank
    if name == "GDDR6":  # REFab to what needs an open row; REFpb in the window of four activates
        return before == "REFab" or window == 4 or after == "REFpb"
    return False


@pytest.mark.parametrize("name", MEMORIES)
def test_constraints(name: str, presets: dict[str, Any]) -> None:
    theirs = golden_rules(presets[name], one_rank=name == "GDDR6")
    ours = longest(
        ((r.level, r.before, r.after, r.window, r.siblings), r.ticks)
        for r in rules_of(load_memory(MEMORIES[name]))
    )
    both = {key for key in ours.keys() & theirs.keys() if key[0] != "channel" or name != "DDR5"}
    both.discard(("rank", "PREA", "REFab", 1, False))  # after tRPab; there tRP, shorter on LPDDR5
    assert len(both) > 45
    assert {key: ours[key] for key in both} == {key: theirs[key] for key in both}
    assert [key for key in ours.keys() - theirs.keys() if not ours_alone(key)] == []
    assert [key for key in theirs.keys() - ours.keys() if not golden_alone(key, name)] == []


SAME_PARAMETERS = ["nCL", "nCWL", "nRAS", "nRC", "nRRDS", "nRRDL", "nFAW", "nRFC", "nREFI", "nCCDS"]


@pytest.mark.parametrize("name", MEMORIES)
def test_timing_parameters(name: str, presets: dict[str, Any]) -> None:
    theirs, ours = presets[name]["timing_CK"], resolved_cycles(load_memory(MEMORIES[name]))
    same = [n for n in SAME_PARAMETERS if n in theirs]
    assert len(same) > 8
    assert {n: ours[n] for n in same} == {n: theirs[n] for n in same}


TRACE_OF: dict[str, dict[str, Any]] = {
    "seq_read": {"pattern": "seq"},
    "seq_mix_1r1w": {"pattern": "seq", "alt_r": 1, "alt_w": 1},
    "random64_read": {"pattern": "random"},
}
TRACES = [
    *((memory, "BGIX", pattern) for memory in ("DDR5", "HBM2", "HBM3") for pattern in TRACE_OF),
    *((memory, "MOP4CLXOR", "random64_read") for memory in ("DDR5", "HBM2", "HBM3")),
    ("HBM2", "BGI", "random64_read"),
    ("HBM2", "RoBaRaCoCh", "random64_read"),
]


def golden_trace(path: Path) -> pd.DataFrame:
    """A golden command trace in our columns."""
    with gzip.open(path, "rt") as stream:
        read = pd.read_csv(stream)
    whole = read["command"].isin(["PREab", "REFab"]).to_numpy()
    bank = {"stack": "Sid", "group": "BankGroup", "bank": "Bank", "row": "Row"}
    columns = {ours: np.where(whole, -1, read.get(theirs, 0)) for ours, theirs in bank.items()}
    rank = read["PseudoChannel" if "PseudoChannel" in read else "Rank"]
    named = read["command"].replace(COMMANDS)
    return pd.DataFrame({"tick": read["clock"], "command": named, "rank": rank, **columns})


def traffic(gen: Gen, args: dict[str, Any], n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    pairs = [gen(args, i) for i in range(n)]
    return np.array([a for a, _ in pairs], np.int64), np.array([w for _, w in pairs], bool)


@pytest.mark.parametrize(("memory", "address_map", "pattern"), TRACES)
def test_command_traces(memory: str, address_map: str, pattern: str, dram: Path, gen: Gen) -> None:
    """All 14: the same commands at the same ticks to the same places, and every one legal."""
    theirs = golden_trace(dram / "cmdtrace" / f"{memory}_{address_map}_{pattern}_n2000.csv.gz")
    spec = load_memory(MEMORIES[memory])
    assert [v.message for v in dram_violations(spec, theirs)] == []
    addresses, is_write = traffic(gen, TRACE_OF[pattern], 2000)
    run = simulate_dram(
        spec, addresses, is_write, address_map=address_map.lower(), trace_commands=100_000,
        read_queue=128 if memory == "HBM3" else 64,
    )  # fmt: skip
    assert run.trace is not None
    keys = ["tick", "command", "rank", "stack", "group", "bank"]
    ours = run.trace[keys].sort_values(keys, ignore_index=True)
    theirs = theirs[keys].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)


def simulate_row(row: Any, gen: Gen) -> DramResult:
    addresses, is_write = traffic(gen, json.loads(row.pattern_args), row.num_accesses)
    return simulate_dram(
        MEMORIES[row.standard], addresses, is_write, channels=row.channels,
        pseudo_channels=row.pcs_per_channel, address_map=row.addr_map.lower(),
        scheduler="fr-fcfs" if row.scheduler == "FRFCFS" else "fr-fcfs-rowhit",
        refresh="none" if row.refresh == "NoRefresh" else "all-bank", read_queue=row.read_q,
        write_queue=row.write_q, channel_interleave_bytes=row.ch_interleave_B or 256,
        stage_depth=row.stage_depth,
        outstanding=json.loads(row.pattern_args).get("window"),
    )  # fmt: skip


def latencies(run: DramResult) -> NDArray[np.int64]:
    """Of all reads, sorted [ticks]: those answered from the write queue take one."""
    reads = run.latency_ticks[~run.is_write].astype(np.int64)
    return np.sort(np.where(reads > 0, reads, 1))


def found(run: DramResult) -> dict[str, float]:
    """What a golden row states exactly, under its names."""
    count: dict[str, float] = {
        "cycles": run.ticks, "row_hits": run.row_hits, "row_misses": run.row_misses,
        "row_conflicts": run.row_conflicts, "n_act": run.activates,
        "n_pre": run.commands["PRE"] + run.commands["PREA"], "n_rd": run.reads,
        "n_ref": run.commands["REFab"],
        "n_wr": run.writes, "fwd_reads": run.forwarded_reads,
        "coalesced_writes": run.merged_writes, "num_tx": run.transactions,
    }  # fmt: skip
    reads = latencies(run)
    if reads.size:
        count["read_lat_min_cyc"], count["read_lat_max_cyc"] = int(reads[0]), int(reads[-1])
        count["read_lat_p50_cyc"] = int(reads[(reads.size - 1) // 2])
    return count


def assert_rows(rows: pd.DataFrame, gen: Gen, least: int) -> None:
    assert len(rows) >= least
    for row in rows.itertuples():
        run = simulate_row(row, gen)
        ours = found(run)
        assert ours == {name: getattr(row, name) for name in ours}, row
        if run.reads:
            assert latencies(run).mean() == pytest.approx(row.read_lat_mean_cyc, abs=0.0051)


def test_idle_latencies(golden: pd.DataFrame, gen: Gen) -> None:
    """One transaction at a time; mean, least, median and longest latency, and cycles."""
    assert_rows(golden[golden["pattern"].str.contains("idle")], gen, 5)


def test_short_rows(golden: pd.DataFrame, gen: Gen) -> None:
    short = golden["num_accesses"] <= 20_000
    assert_rows(golden[short & ~golden["pattern"].str.contains("idle")], gen, 20)


@pytest.mark.parametrize("group", ["E_queue", "F_frfcfs"])
def test_queue_sizes_and_schedulers(group: str, golden: pd.DataFrame, gen: Gen) -> None:
    rows = golden[golden["group"] == group]
    assert_rows(rows[rows["num_accesses"] <= 50_000], gen, 9)


@pytest.mark.parametrize("memory", ["HBM2", "HBM3", "HBM2_1PC", "HBM3_1PC", "DDR5"])
def test_reads_mixed_with_writes(memory: str, golden: pd.DataFrame, gen: Gen) -> None:
    rows = golden[(golden["mem"] == memory) & (golden["num_accesses"] == 50_000)]
    mixed = rows["reads_tx"].gt(0) & rows["writes_tx"].gt(0) & (rows["group"] == "A")
    assert_rows(rows[mixed].iloc[::2], gen, 1)
