"""What there is to see of a systolic array in one cycle, inside and at its edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.report.array_plan import FLOWS, Flow, FoldPlan
from accelsim.report.array_states import (
    PeState,
    adds_up,
    can_follow,
    filled_at,
    fold_starts,
    pe_states,
    sums_before,
    wave,
)
from accelsim.timing.pe_level import ArrayTrace

DISTANCES = 6
"""Cycles shown outside the array."""
EDGE, INDEX = 0.2, 0.35
"""Gaps from the array to what is outside, and for the numbers of columns [PEs]."""
_AXES = {"A": "mk", "B": "kn", "C": "mn"}
_TOKENS_UP_TO = 40
"""Rows and columns of the largest array whose edges show single values."""


class Token(NamedTuple):
    """A value outside the array.

    Attributes
    ----------
    side : str
        ``left``, ``top`` or ``bottom`` of the array.
    distance : int
        Cycles until it enters, or since it left [cycle].
    x, y : float
        Its middle [PEs], from the upper left corner of the array.
    value : number or None
        None where the trace does not hold it.
    element : tuple of two int, or None
        Which element of its matrix; None where it cannot be told, or `value` is None.
    """

    side: str
    distance: int
    x: float
    y: float
    value: Any
    element: tuple[int, int] | None


@dataclass(frozen=True)
class Scene:
    """One cycle of a trace.

    Attributes
    ----------
    array : SystolicArray
        That was traced.
    states : (rows, cols) array of uint8
        Values of `PeState`.
    operands : dict of str to (rows, cols) array
        ``A`` and ``B`` in each PE; one that loads is there at the end of the cycle.
    sums : (rows, cols) array
        Partial sums at the end of the cycle.
    before : (rows, cols) array or None
        What each PE adds its product to; None if the product shown is not all that it adds.
    has_sum : (rows, cols) array of bool
        Where there is one of the problem.
    tokens : tuple of Token
        Values outside the array, within `DISTANCES` cycles and the same fold.
    fold : int
        From 0.
    stage : str
        ``loading`` before anything streams; ``filling`` until the wavefront has reached the last
        PE; ``full`` until the stream has left the first one; then ``draining``. A short stream may
        leave the first before it reaches the last: ``passing``. With double buffers ``streaming``.
    """

    array: SystolicArray
    states: NDArray[np.uint8]
    operands: dict[str, NDArray[Any]]
    sums: NDArray[Any]
    before: NDArray[Any] | None
    has_sum: NDArray[np.bool_]
    tokens: tuple[Token, ...]
    fold: int
    stage: str

    @classmethod
    def of(cls, trace: ArrayTrace, array: SystolicArray, plan: FoldPlan, at: int) -> Scene:
        """Look at cycle `at`, counted from 0, and the few around it."""
        states = pe_states(trace, array, plan)
        if array.dataflow == "os":
            has_sum = np.isin(states[at], (PeState.HOLDING, PeState.MULTIPLYING))
        else:
            has_sum = wave(trace, array)[at]
        after = min(at + 1, len(states) - 1)  # an operand that loads is there after the cycle
        loads = states[at] == PeState.LOADING
        held = FLOWS[array.dataflow].stays
        operands = {
            name: np.where(loads & (name == held), values[after], values[at])
            for name, values in (("A", trace.a), ("B", trace.b))
        }
        return cls(
            array, states[at], operands, trace.sums[at],
            sums_before(trace, array, at) if adds_up(array) else None, has_sum,
            tuple(_Edges(trace, array, plan, states).tokens(at)), int(trace.fold[at]),
            _stage(trace, array, plan, at),
        )  # fmt: skip

    @property
    def flow(self) -> Flow:
        """How the array's dataflow lays out a matmul."""
        return FLOWS[self.array.dataflow]


def _stage(trace: ArrayTrace, array: SystolicArray, plan: FoldPlan, at: int) -> str:
    if trace.phase[at] == 0:
        return "loading"
    if array.features.double_buffer:
        return "streaming"
    turn = np.searchsorted(fold_starts(trace.fold), at, side="right") - 1
    if at < filled_at(trace, array, plan)[turn]:
        return "filling" if trace.active[at, 0, 0] else "passing"
    return "full" if trace.active[at, 0, 0] else "draining"


@dataclass(frozen=True)
class _Edges:
    """What the edges of an array take in and let out."""

    trace: ArrayTrace
    array: SystolicArray
    plan: FoldPlan
    states: NDArray[np.uint8]

    def tokens(self, at: int) -> Iterator[Token]:
        """Find what enters during the next cycles and has left in the last ones."""
        if max(self.array.rows, self.array.cols) > _TOKENS_UP_TO:
            return
        first, last = np.flatnonzero(self.trace.fold == self.trace.fold[at])[[0, -1]].tolist()
        for distance in range(1, DISTANCES + 1):
            soon, past = at + distance, at - distance
            if soon <= last:
                yield from self._from_left(soon, distance)
                yield from self._from_top(soon, distance, soon - first)
            if self.array.dataflow != "os" and past >= first:
                yield from self._at_bottom(past, distance)

    def _from_left(self, soon: int, distance: int) -> Iterator[Token]:
        operand, works = self.plan.flow.enters_left, self.states[:, :, 0] == PeState.MULTIPLYING
        for row in np.flatnonzero(works[soon]).tolist():
            value = self._value(operand, soon, row, 0)
            element = self._element(operand, works[: soon + 1, row], row, 0)
            yield self._token("left", distance, row, value, element)

    def _from_top(self, soon: int, distance: int, age: int) -> Iterator[Token]:
        operand, stays = self.plan.flow.enters_top, self.plan.flow.stays
        enters = self.states[:, 0] == (PeState.MULTIPLYING if stays == "C" else PeState.LOADING)
        for col in np.flatnonzero(enters[soon]).tolist():
            if stays == "C":
                value = self._value(operand, soon, 0, col)
                element = self._element(operand, enters[: soon + 1, col], 0, col)
            else:
                row = age - col  # where it will stay, from when on
                seen = soon + row * self.array.features.mac_latency_cycles + 1
                value = self._value(operand, seen, row, col)
                corner = self.plan.origin(int(self.trace.fold[soon]))
                element = self._named(operand, corner[0] + row, corner[1] + col, 0)
            yield self._token("top", distance, col, value, element)

    def _at_bottom(self, past: int, distance: int) -> Iterator[Token]:
        leaves = wave(self.trace, self.array)[:, -1]
        for col in np.flatnonzero(leaves[past]).tolist():
            element = self._element("C", leaves[: past + 1, col], 0, col)
            yield self._token("bottom", distance, col, self.trace.sums[past, -1, col], element)

    def _value(self, operand: str, cycle: int, row: int, col: int) -> Any:
        """Read an operand; several enter a packed or sparse PE at once, of which one is traced."""
        extra = self.array.features
        if extra.packing > 1 or extra.sparsity is not None or cycle >= len(self.trace.fold):
            return None
        return (self.trace.a if operand == "A" else self.trace.b)[cycle, row, col]

    def _element(
        self, operand: str, seen: NDArray[np.bool_], row: int, col: int
    ) -> tuple[int, int] | None:
        """Tell the last of the values `seen` at a PE of the edge by their number alone."""
        if not can_follow(self.array):
            return None
        turn, step = divmod(int(np.count_nonzero(seen)) - 1, self.plan.streamed)
        first_row, first_col = self.plan.turn_origin(turn, row, col)
        return self._named(operand, first_row + row, first_col + col, step)

    def _named(self, operand: str, row: int, col: int, step: int) -> tuple[int, int]:
        """Put places along rows, columns and the stream in the order of a matrix's axes."""
        flow = self.plan.flow
        place = {flow.rows: row, flow.cols: col, flow.stream: step}
        first, second = (place[axis] for axis in _AXES[operand])
        return first, second

    def _token(
        self, side: str, distance: int, lane: int, value: Any, element: tuple[int, int] | None
    ) -> Token:
        away, along = EDGE + distance - 0.5, lane + 0.5
        x, y = {
            "left": (-away, along), "top": (along, -away - INDEX),
            "bottom": (along, self.array.rows + away),
        }[side]  # fmt: skip
        return Token(side, distance, x, y, value, None if value is None else element)
