"""What there is to see of a systolic array in one cycle, inside and at its edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.report.array_plan import FLOWS, Flow
from accelsim.report.array_states import PeState, filled_at, fold_starts, pe_states, wave
from accelsim.timing.pe_level import ArrayTrace

DISTANCES = 6
"""Cycles shown outside the array."""
EDGE, INDEX = 0.2, 0.35
"""Gaps from the array to what is outside, and for the numbers of columns [PEs]."""
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
    """

    side: str
    distance: int
    x: float
    y: float
    value: Any


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
    has_sum: NDArray[np.bool_]
    tokens: tuple[Token, ...]
    fold: int
    stage: str

    @classmethod
    def of(cls, trace: ArrayTrace, array: SystolicArray, at: int) -> Scene:
        """Look at cycle `at`, counted from 0, and the few around it."""
        states = pe_states(trace, array)
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
            array, states[at], operands, trace.sums[at], has_sum,
            tuple(_tokens(trace, array, states, at)), int(trace.fold[at]),
            _stage(trace, array, at),
        )  # fmt: skip

    @property
    def flow(self) -> Flow:
        """How the array's dataflow lays out a matmul."""
        return FLOWS[self.array.dataflow]


def _stage(trace: ArrayTrace, array: SystolicArray, at: int) -> str:
    if trace.phase[at] == 0:
        return "loading"
    if array.features.double_buffer:
        return "streaming"
    turn = np.searchsorted(fold_starts(trace.fold), at, side="right") - 1
    if at < filled_at(trace)[turn]:
        return "filling" if trace.active[at, 0, 0] else "passing"
    return "full" if trace.active[at, 0, 0] else "draining"


def _tokens(
    trace: ArrayTrace, array: SystolicArray, states: NDArray[np.uint8], at: int
) -> Iterator[Token]:
    """Find what the edges take in during the next cycles and have let out in the last ones."""
    if max(array.rows, array.cols) > _TOKENS_UP_TO:
        return
    flow = FLOWS[array.dataflow]
    # Several values enter a packed or sparse PE at once, of which a trace holds one.
    single = array.features.packing == 1 and array.features.sparsity is None
    values = {"A": trace.a, "B": trace.b}
    coming = PeState.MULTIPLYING if flow.stays == "C" else PeState.LOADING
    latency = array.features.mac_latency_cycles
    leaving = wave(trace, array)[:, -1] if array.dataflow != "os" else None
    first, last = np.flatnonzero(trace.fold == trace.fold[at])[[0, -1]].tolist()
    for distance in range(1, DISTANCES + 1):
        away = EDGE + distance - 0.5
        soon = at + distance
        if soon <= last:
            for row in np.flatnonzero(states[soon, :, 0] == PeState.MULTIPLYING).tolist():
                value = values[flow.enters_left][soon, row, 0] if single else None
                yield Token("left", distance, -away, row + 0.5, value)
            for col in np.flatnonzero(states[soon, 0] == coming).tolist():
                row = 0 if flow.stays == "C" else soon - first - col  # where it will stay
                seen = soon if flow.stays == "C" else soon + row * latency + 1
                value = values[flow.enters_top][seen, row, col] if single else None
                yield Token("top", distance, col + 0.5, -away - INDEX, value)
        if leaving is not None and at - distance >= first:
            for col in np.flatnonzero(leaving[at - distance]).tolist():
                value = trace.sums[at - distance, -1, col]
                yield Token("bottom", distance, col + 0.5, array.rows + away, value)
