"""Cycles of one tile: folds and native tiles counted by loops, and SCALE-Sim's golden results."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from accelsim.kernels.folds import INPUT_STATIONARY, OUTPUT_STATIONARY, WEIGHT_STATIONARY, ceil_div
from accelsim.kernels.machine import TENSOR_CORE, fill_cycles, next_tile, tile_cycles
from tests.oracle.machines import STYLES, systolic_machine, tensor_core_machine

# Axes of the stationary operand on rows and columns of the array, and the streamed one.
_AXES = {
    WEIGHT_STATIONARY: ("k", "n", "m"),
    INPUT_STATIONARY: ("k", "m", "n"),
    OUTPUT_STATIONARY: ("m", "n", "k"),
}


def folds_executed(style: int, rows: int, cols: int, sizes: dict[str, int]) -> list[int]:
    """Length of the stream of every fold, one fold after another."""
    on_rows, on_cols, streamed = _AXES[style]
    return [
        sizes[streamed]
        for _ in range(0, sizes[on_rows], rows)
        for _ in range(0, sizes[on_cols], cols)
    ]


def last_exit(style: int, rows: int, cols: int, stream: int) -> int:
    """Cycle after the last result of a fold, by walking the wavefront cell by cell.

    Output stationary: operand pair t meets in cell (r, c) at cycle t + r + c. Otherwise `rows`
    cycles load the stationary operand; value t then enters row r at cycle t + r, moves one
    column a cycle, and its sum leaves below the last row of column c.
    """
    if style == OUTPUT_STATIONARY:
        return 1 + max(t + r + c for t in (stream - 1,) for r in range(rows) for c in range(cols))
    return rows + 1 + max(stream - 1 + (rows - 1) + c for c in range(cols))


@pytest.mark.parametrize("style", STYLES)
def test_systolic_cycles_are_the_walked_folds(style: int) -> None:
    for rows, cols in ((2, 5), (4, 4), (8, 3)):
        machine = systolic_machine(style=style, rows=rows, cols=cols)
        for m, n, k in itertools.product((1, 3, 8, 9), (1, 4, 11), (1, 7, 16)):
            folds = folds_executed(style, rows, cols, {"m": m, "n": n, "k": k})
            want = sum(last_exit(style, rows, cols, stream) for stream in folds)
            assert tile_cycles(machine, m, n, k) == want, (rows, cols, m, n, k)


def test_a_load_hidden_behind_the_fold_before_leaves_the_longer_of_stream_and_load() -> None:
    machine = systolic_machine(hides_load=1)
    short = tile_cycles(machine, 3, 4, 16)
    long = tile_cycles(machine, 30, 4, 16)
    assert (short, long) == (2 * 8, 2 * 30)  # two folds of 8 rows; 3 or 30 streamed rows
    assert fill_cycles(machine) == 2 * 8 + 4 - 2


def test_folds_are_dealt_to_arrays_and_idle_arrays_share_the_stream() -> None:
    machine = systolic_machine(hides_load=1, units=4)
    assert tile_cycles(machine, 64, 4, 8 * 8) == 2 * 64  # 8 folds on 4 arrays
    assert tile_cycles(machine, 64, 4, 8) == 16  # 1 fold: each array streams a quarter


@pytest.mark.parametrize("sizes", [(1, 1, 1), (16, 8, 8), (17, 8, 8), (40, 24, 100)])
def test_tensor_core_cycles_are_the_native_tiles_counted(sizes: tuple[int, int, int]) -> None:
    machine = tensor_core_machine()
    native = (machine.tile_m, machine.tile_n, machine.tile_k)
    starts = [range(0, size, tile) for size, tile in zip(sizes, native, strict=True)]
    tiles = sum(1 for _ in itertools.product(*starts))
    flop = 2 * 16 * 8 * 8
    assert tile_cycles(machine, *sizes) == tiles * flop / machine.flop_per_cycle


def test_candidate_tiles_double_and_end_on_the_whole_size() -> None:
    for quantum, limit in itertools.product((1, 8, 16), (1, 7, 8, 9, 64, 100)):
        seen, tile = [], next_tile(0, quantum, limit)
        while tile > 0:
            seen.append(tile)
            tile = next_tile(tile, quantum, limit)
        whole = ceil_div(limit, quantum) * quantum
        doubled = [quantum * 2**i for i in range(50) if quantum * 2**i < whole]
        assert seen == [*doubled, whole]


def test_huge_sizes_do_not_overflow() -> None:
    cycles = tile_cycles(tensor_core_machine(), 2**40, 2**40, 2**40)
    assert cycles == pytest.approx(2.0 * 2.0**120 / 256, rel=1e-12)
    assert tensor_core_machine().style == TENSOR_CORE


@pytest.mark.shared
def test_cycles_agree_with_scale_sim(shared_dir: Path) -> None:
    """SCALE-Sim 3.0.0, unlimited bandwidth; its total_cycles is the last index, one less."""
    pandas = pytest.importorskip("pandas")
    golden = pandas.read_csv(shared_dir / "scalesim" / "gemm.csv")
    styles = {"ws": WEIGHT_STATIONARY, "os": OUTPUT_STATIONARY, "is": INPUT_STATIONARY}
    for row in golden.itertuples():
        machine = systolic_machine(style=styles[row.dataflow], rows=row.rows, cols=row.cols)
        want = row.total_cycles - row.stall_cycles + 1
        assert tile_cycles(machine, row.M, row.N, row.K) == want, row
