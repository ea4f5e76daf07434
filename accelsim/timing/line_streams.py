"""Which lines each turn of folds moves through its buffers: when, how many, and how wide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.arch.array import SystolicArray
from accelsim.errors import CapacityError
from accelsim.timing.conv_inputs import FetchedInputs
from accelsim.timing.fold_order import Bools, FoldOrder, Ints, Uses


@dataclass(frozen=True)
class Blocks:
    """What the folds of an order hold of one operand.

    Attributes
    ----------
    words : (folds,) array of int
        Of the fold's block, as it crosses the port [word].
    lines : (folds,) array of int
        Cycles in which it enters or leaves the array.
    """

    words: Ints
    lines: Ints

    @property
    def line_words(self) -> Ints:
        """Words of a line; a last, partial one counts as full [word]."""
        return -(-self.words // self.lines)

    @property
    def slot_words(self) -> int:
        """Words of the widest line [word]; padding alone fills none, but takes a slot."""
        return max(1, int(self.line_words.max()))


@dataclass(frozen=True)
class Stream:
    """Lines of one operand, per turn.

    Attributes
    ----------
    operand : str
        ``a``, ``b`` or ``c``.
    begin, lines : (turns,) array of int
        First cycle of the turn in which lines are due, and for how many cycles.
    takes, gives : (turns,) array of int
        Lines that enter and leave the buffer in each of these cycles.
    words : (turns,) array of int
        That cross the port in each of these cycles [word].
    slots : int
        Lines that the buffer holds.
    moved_in, moved_out, moved_back : int
        Words of all folds: into the buffer, out of it, and, of C, into it again [word].
    """

    operand: str
    begin: Ints
    lines: Ints
    takes: Ints
    gives: Ints
    words: Ints
    slots: int
    moved_in: int
    moved_out: int
    moved_back: int


def line_streams(
    array: SystolicArray,
    sizes: tuple[int, int, int],
    order: FoldOrder,
    inputs: FetchedInputs | None,
) -> tuple[Stream, Stream, Stream]:
    """Lay out the lines of the column feed, the row stream and the results (Y, X, Z).

    Parameters
    ----------
    array : SystolicArray
        With buffers.
    sizes : (int, int, int)
        m, n, k.
    order : FoldOrder
        What runs when.
    inputs : FetchedInputs or None
        What a convolution fetches of A, instead of its im2col matrix.

    Raises
    ------
    CapacityError
        If a buffer does not hold two cycles' lines.
    """
    extra, stays = array.features, array.dataflow != "os"
    x, y, z = _blocks(array, sizes, order)
    row_name, col_name = ("b", "a") if array.dataflow == "is" else ("a", "b")
    slots: dict[str, int | None] = {"a": None, "b": None, "c": None}
    if inputs is not None:
        kept = inputs.of_folds()
        slots["a"] = inputs.resident_lines()
        x, y = (Blocks(kept, x.lines), y) if row_name == "a" else (x, Blocks(kept, y.lines))
    lag = array.rows * extra.mac_latency_cycles + array.cols - 2
    y_lines, z_lines = order.most_per_turn(y.lines), order.most_per_turn(z.lines)
    zero = np.zeros(order.turns, dtype=np.int64)
    if stays:
        y_begin, x_begin = array.rows - y_lines, zero + array.rows
        z_begin = x_begin + lag
    else:
        y_begin, x_begin = zero, zero
        z_begin = zero + order.beats + array.cols + extra.mac_latency_cycles - 3

    def laid_out(name: str, blocks: Blocks, begin: Ints, lines: Ints, rows: bool | None) -> Stream:
        held = slots[name]
        if held is None:
            held = getattr(array.buffers, f"{name}_words") // blocks.slot_words
        if rows is None:  # every fold has a block of its own
            every = np.ones(len(order.turn), dtype=np.bool_)
            uses = Uses(every, every, ~every)
        else:
            uses = order.uses(rows, held)
        if name == "c" and uses.again.any():  # half for sums read ahead, half for those leaving
            held //= 2
        stream = _stream(order, name, blocks, uses, (begin, lines, held))
        _require_room(array, stream, blocks.slot_words)
        return stream

    return (
        laid_out(col_name, y, y_begin, y_lines, None if stays else False),
        laid_out(row_name, x, x_begin, zero + order.beats, True),
        laid_out("c", z, z_begin, z_lines, False if stays else None),
    )


def _blocks(
    array: SystolicArray, sizes: tuple[int, int, int], order: FoldOrder
) -> tuple[Blocks, Blocks, Blocks]:
    """Sizes of what every fold holds of the row stream, of the column feed and of the results."""
    extra, (m, _, k) = array.features, sizes
    on_rows, on_cols, streamed = array.axes(*sizes)
    high = np.minimum(array.fold_rows, on_rows - order.row * array.fold_rows)
    wide = np.minimum(array.fold_cols, on_cols - order.col * array.fold_cols)
    used_rows = -(-high // (array.fold_rows // array.rows))
    beats = np.full(len(order.row), order.beats)
    tile, rows_in, cols_in = high * wide, high * streamed, wide * streamed
    if extra.sparsity is not None:
        # Activations enter whole, in bundles; of weights the kept ones, with their indices.
        if array.dataflow == "os":
            rows_in, cols_in = high * k, _with_indices(array, cols_in)
        else:
            rows_in, tile = _bundled(array, k, order, high) * m, _with_indices(array, tile)
    if array.dataflow == "os":
        return Blocks(rows_in, beats), Blocks(cols_in, beats), Blocks(tile, used_rows)
    return Blocks(rows_in, beats), Blocks(tile, used_rows), Blocks(wide * streamed, beats)


def _stream(
    order: FoldOrder, operand: str, blocks: Blocks, uses: Uses, place: tuple[Ints, Ints, int]
) -> Stream:
    """Sum up the folds of each turn."""
    begin, lines, slots = place
    crossing = uses.last.astype(np.int64) + uses.again if operand == "c" else uses.first
    words = order.per_turn(crossing * blocks.line_words)

    def moved(flags: Bools) -> int:
        return int(np.sum(blocks.words, where=flags))

    return Stream(
        operand, begin, lines, order.per_turn(uses.first), order.per_turn(uses.last), words, slots,
        moved(uses.first), moved(uses.last), moved(uses.again) if operand == "c" else 0,
    )  # fmt: skip


def _require_room(array: SystolicArray, stream: Stream, widest: int) -> None:
    """Refuse a buffer without room for two cycles' lines, twice that where sums spill."""
    lines = int(stream.takes.max())
    if stream.slots >= 2 * lines:
        return
    name, capacity = stream.operand, getattr(array.buffers, f"{stream.operand}_words")
    times, why = (4, ", both for reading and writing") if stream.moved_back else (2, "")
    raise CapacityError(
        f"{array.name}: the buffer of {name.upper()} holds {capacity} words, but in one cycle "
        f"{lines} line(s) of {widest} cross it, and {times} times that must fit (in use and on the "
        f"way{why}): give it at least {times * lines * widest} words, or the array fewer rows or "
        "columns"
    )


def _bundled(array: SystolicArray, k: int, order: FoldOrder, high: Ints) -> Ints:
    """Activations that enter a fold per streamed vector: the whole groups of its kept weights."""
    sparsity = array.features.sparsity
    assert sparsity is not None
    begin = order.row * array.fold_rows
    end: Ints = -(-(begin + high) // sparsity.n) * sparsity.m
    start: Ints = begin // sparsity.n * sparsity.m
    return np.minimum(end, k, dtype=np.int64) - start


def _with_indices(array: SystolicArray, words: Ints) -> Ints:
    """Add the indices of kept weights to their words."""
    sparsity, buffers = array.features.sparsity, array.buffers
    assert sparsity is not None and buffers is not None
    with_indices: Ints = words * (buffers.word_bits + sparsity.index_bits)
    return -(-with_indices // buffers.word_bits)
