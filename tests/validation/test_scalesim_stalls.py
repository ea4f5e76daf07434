"""Our stalls beside SCALE-Sim's, and for every row the reason why they differ.

Its counts (one real run per row of the shared golden data, bandwidth-limited mode) say how many
words it fetched per operand. It fetches half a buffer at a time, one half after the other, has
the first half before cycle 0, and adds every wait twice. So for each row

    most halves of an operand / bandwidth - compute  <=  its stalls  <=  2 x all halves, writes

must hold whatever the order of its requests; and its rule, replayed on its words, comes out within
a few percent where stalls are long. Ours start with full buffers too, and are lower because a
line that still fits is not
fetched again and partial sums stay on the chip.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim.arch.array import ArrayBuffers, SystolicArray
from accelsim.timing.systolic_buffers import buffered_cycles

pytestmark = pytest.mark.shared
_WORDS_PER_KB = 1024


@pytest.fixture(scope="module")
def rows(shared_dir: Path) -> pd.DataFrame:
    """The bandwidth-limited golden rows with our stalls and the bounds that explain theirs."""
    golden = pd.read_csv(shared_dir / "scalesim" / "gemm.csv").query("mode == 'USER'")
    return golden.join(pd.DataFrame([explained(row) for row in golden.itertuples()], golden.index))


def explained(row: object) -> dict[str, float]:
    buffers = ArrayBuffers(
        row.sram_ifmap_kB * _WORDS_PER_KB, row.sram_filter_kB * _WORDS_PER_KB,
        row.sram_ofmap_kB * _WORDS_PER_KB, row.read_bandwidth, row.read_bandwidth,
        row.ofmap_bandwidth,
    )  # fmt: skip
    array = SystolicArray(row.dataflow, row.rows, row.cols, buffers=buffers)
    ours = buffered_cycles(array, row.M, row.N, row.K, prefilled=True)
    fetched = ((row.dram_ifmap_reads, buffers.a_words), (row.dram_filter_reads, buffers.b_words))
    # Half buffers after the first; the last may be fetched ahead and never asked for.
    waited_for = [max(0.0, words / (size / 2) - 2) * size / 2 for words, size in fetched]
    after_first = [max(0.0, words - size / 2) for words, size in fetched]
    half_cycles = [size / 2 / row.read_bandwidth for _, size in fetched]
    written = 2 * row.dram_ofmap_writes / row.ofmap_bandwidth
    return {
        "ours": ours.stall_cycles,
        "our_a": ours.dram_reads_a,
        "our_b": ours.dram_reads_b,
        "our_c": ours.dram_writes_c,
        "least": max(0.0, max(waited_for) / row.read_bandwidth - ours.compute_cycles),
        "most": 2 * (sum(after_first) / row.read_bandwidth + sum(half_cycles)) + written,
        "once": replayed(row, ours.compute_cycles, times=1),
        "twice": replayed(row, ours.compute_cycles, times=2),
        "compute": ours.compute_cycles,
    }


def replayed(row: object, compute_cycles: int, times: int) -> float:
    """Stalls by its rule: its own words, half a buffer at a time, waits added `times` times.

    Where in the run a half is first asked for is not in its reports: evenly spread.
    """
    halves = []
    for port, (words, kb) in enumerate((
        (row.dram_ifmap_reads, row.sram_ifmap_kB), (row.dram_filter_reads, row.sram_filter_kB),
    )):  # fmt: skip
        half = kb * _WORDS_PER_KB / 2
        count = round(words / half)
        needed = [place * compute_cycles / count for place in range(1, count)]
        halves += [(time, port, half / row.read_bandwidth) for time in needed]
    ready, stalled = [0.0, 0.0], 0.0
    for time, port, transfer in sorted(halves):
        ready[port] += transfer
        stalled += times * max(0.0, ready[port] - (time + stalled))
    return stalled


def test_every_row_lies_between_its_bounds(rows: pd.DataFrame) -> None:
    outside = rows.query("stall_cycles < least - 1 or stall_cycles > most + 1")
    assert len(rows) == 429
    assert outside.empty, outside[["dataflow", "M", "N", "K", "least", "stall_cycles", "most"]]


def test_ours_are_never_more_than_theirs(rows: pd.DataFrame) -> None:
    assert (rows.ours <= rows.stall_cycles).all()
    assert (rows.our_c <= rows.dram_ofmap_writes).all()
    # Half buffers end within an operand now and then: up to one half less than whole lines.
    assert (rows.our_a <= rows.dram_ifmap_reads * 1.01).all()
    assert (rows.our_b <= rows.dram_filter_reads * 1.01).all()


def test_nearly_all_of_the_difference_is_words_fetched_again(rows: pd.DataFrame) -> None:
    """What their words need on one port beyond compute; the rest is waits counted twice."""
    theirs = rows.stall_cycles.sum()
    by_words = rows[["least", "ours"]].max(axis=1).clip(upper=rows.stall_cycles).sum()
    assert 0.9 < by_words / theirs <= 1, (rows.ours.sum(), by_words, theirs)


def test_its_rule_replayed_on_its_words_gives_its_stalls(rows: pd.DataFrame) -> None:
    """Rows that stall longer than twice their compute time: 99 % of all its stalls."""
    heavy = rows.query("stall_cycles > 2 * compute")
    assert heavy.stall_cycles.sum() > 0.98 * rows.stall_cycles.sum()
    twice = (heavy.twice / heavy.stall_cycles - 1).abs()
    once = (heavy.once / heavy.stall_cycles - 1).abs()
    assert twice.median() < 0.025
    assert twice.quantile(0.9) < 0.1
    assert twice.median() < once.median()


def test_rows_that_fit_wait_nowhere(rows: pd.DataFrame) -> None:
    """64 kB each hold every operand of these problems."""
    fits = rows.query("sram_ifmap_kB == 64")
    assert len(fits) > 50
    assert (fits.stall_cycles == 0).all()
    assert (fits.ours == 0).all()
