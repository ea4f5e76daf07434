"""Stalls and traffic of buffered arrays: a twin with explicit lists of lines and a real LRU.

The twin knows nothing of folds that "keep" a block. It writes down every use of every line, lets
a least-recently-used buffer decide what is fetched, and moves time with exact fractions.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accelsim.arch.array import ArrayBuffers, ArrayFeatures, SystolicArray
from accelsim.errors import CapacityError
from accelsim.timing.systolic_buffers import BufferedRun, buffered_cycles

Line = tuple[int, ...]


@dataclass
class Port:
    """One stream: its uses in order, as (cycle, line, words)."""

    uses: list[tuple[int, Line, int]] = field(default_factory=list)


def folds_of(size: int, side: int) -> list[int]:
    return [min(side, size - start) for start in range(0, size, side)]


def uses_of(array: SystolicArray, m: int, n: int, k: int) -> tuple[dict[str, Port], int]:
    """Every line of every fold with the cycle in which it is due, and the cycles of all folds."""
    on_rows, on_cols, stream = {"ws": (k, n, m), "is": (k, m, n), "os": (m, n, k)}[array.dataflow]
    rows, cols = array.rows, array.cols
    high, wide = folds_of(on_rows, rows), folds_of(on_cols, cols)
    order = [(i, j) for j in range(len(wide)) for i in range(len(high))]
    if (array.buffers.inner or ("cols" if array.dataflow == "os" else "rows")) == "cols":
        order.sort()
    lone = stream + rows + cols - 2 + (0 if array.dataflow == "os" else rows)
    period = max(stream, rows) if array.features.double_buffer else lone
    x, y, z = Port(), Port(), Port()
    for turn, (i, j) in enumerate(order):
        base = turn * period
        if array.dataflow == "os":
            for t in range(stream):
                y.uses.append((base + t, (j, t), wide[j]))
                x.uses.append((base + t, (i, t), high[i]))
            for r in range(high[i]):
                z.uses.append((base + stream + cols - 2 + r, (i, j, r), wide[j]))
        else:
            for r in range(high[i]):
                y.uses.append((base + rows - high[i] + r, (i, j, r), wide[j]))
            for t in range(stream):
                x.uses.append((base + rows + t, (i, t), high[i]))
                z.uses.append((base + 2 * rows + cols - 2 + t, (j, t), wide[j]))
    names = ("b", "a") if array.dataflow == "is" else ("a", "b")
    return {names[0]: x, names[1]: y, "c": z}, (len(order) - 1) * period + lone


def lifetimes(port: Port, slots: int) -> list[tuple[bool, bool]]:
    """(enters, leaves) for every use: LRU decides the misses, a line leaves after its last hit."""
    held: OrderedDict[Line, int] = OrderedDict()
    enters, leaves = [False] * len(port.uses), [False] * len(port.uses)
    for at, (_, line, _) in enumerate(port.uses):
        if line not in held:
            enters[at] = True
            if len(held) == slots:
                leaves[held.popitem(last=False)[1]] = True
        held[line] = at
        held.move_to_end(line)
    for at in held.values():
        leaves[at] = True
    return list(zip(enters, leaves, strict=True))


def twin(array: SystolicArray, m: int, n: int, k: int, prefilled: bool) -> dict[str, int]:
    ports, cycles = uses_of(array, m, n, k)
    offset, moved = 0, dict.fromkeys(("moved_a", "moved_b", "read_c", "write_c"), 0)
    state = {}
    for name, port in ports.items():
        slots = getattr(array.buffers, f"{name}_words") // max(words for *_, words in port.uses)
        life = lifetimes(port, slots)
        entered = [
            line for (_, line, _), (enters, _) in zip(port.uses, life, strict=True) if enters
        ]
        if name == "c" and len(entered) > len(set(entered)):
            slots //= 2  # spilled: half of the slots are for sums that are read back
        state[name] = {
            "slots": slots, "life": life, "next": 0, "idle": Fraction(0),
            "entered": 0, "freed": [], "rate": getattr(array.buffers, f"{name}_words_per_cycle"),
            "seen": set(),
        }  # fmt: skip
    start = min(port.uses[0][0] for port in ports.values())
    waits = dict.fromkeys(("prefetch", "a", "b", "c"), 0)
    first_column, first_row = ("a", "b") if array.dataflow == "is" else ("b", "a")
    for cycle in range(cycles):
        due = {}
        for name in (first_column, first_row, "c"):
            s, port = state[name], ports[name]
            if s["next"] >= len(port.uses) or port.uses[s["next"]][0] != cycle:
                continue
            _, line, words = port.uses[s["next"]]
            enters, leaves = s["life"][s["next"]]
            s["next"] += 1
            due[name] = (line, words, enters, leaves)
            if not enters:
                continue
            place = s["entered"]
            s["entered"] += 1
            ready = s["freed"][place - s["slots"]] if place >= s["slots"] else Fraction(0)
            if name != "c":
                moved[f"moved_{name}"] += words
                if not prefilled or place >= s["slots"]:
                    time = Fraction(0) if s["rate"] is None else words / s["rate"]
                    ready = s["idle"] = max(ready, s["idle"]) + time
            wait = max(0, ceil(ready - (cycle + offset)))
            offset += wait
            waits["prefetch" if cycle == start else name] += wait
        now = Fraction(cycle + offset + 1)
        for name, (line, words, _, leaves) in due.items():
            s = state[name]
            if not leaves:
                continue
            gone = now
            if name == "c":
                again = line in s["seen"]
                s["seen"].add(line)
                moved["write_c"] += words
                moved["read_c"] += words if again else 0
                time = Fraction(0) if s["rate"] is None else (2 if again else 1) * words / s["rate"]
                gone = s["idle"] = max(s["idle"], now) + time
            s["freed"].append(gone)
    drain = max(0, ceil(state["c"]["idle"] - (cycles + offset)))
    return {**waits, "drain": drain, **moved, "end": cycles + offset}


def answer(run: BufferedRun) -> dict[str, int]:
    return {
        "prefetch": run.prefetch_cycles, "a": run.stall_a_cycles, "b": run.stall_b_cycles,
        "c": run.stall_c_cycles, "drain": run.drain_cycles, "moved_a": run.dram_reads_a,
        "moved_b": run.dram_reads_b, "read_c": run.dram_reads_c, "write_c": run.dram_writes_c,
    }  # fmt: skip


rates = st.one_of(st.none(), st.integers(1, 12), st.fractions(Fraction(1, 4), 6, max_denominator=7))
small = st.integers(1, 14)


@st.composite
def buffered_arrays(draw: st.DrawFn) -> SystolicArray:
    rows, cols = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    side = max(rows, cols)
    words = st.integers(4 * side, 60 * side)
    return SystolicArray(
        draw(st.sampled_from(("ws", "os", "is"))),
        rows,
        cols,
        ArrayFeatures(double_buffer=draw(st.booleans())),
        ArrayBuffers(
            draw(words), draw(words), draw(words), draw(rates), draw(rates), draw(rates),
            inner=draw(st.sampled_from((None, "rows", "cols"))),
        ),
    )  # fmt: skip


@given(buffered_arrays(), small, small, small, st.booleans())
@settings(max_examples=200, deadline=None)
@example(SystolicArray("ws", 2, 2, buffers=ArrayBuffers(8, 8, 8, 1, 1, 1)), 9, 3, 5, False).via(
    "sums that do not fit spill"
)
def test_stalls_and_traffic_are_those_of_the_listed_lines(
    array: SystolicArray, m: int, n: int, k: int, prefilled: bool
) -> None:
    want = twin(array, m, n, k, prefilled)
    run = buffered_cycles(array, m, n, k, prefilled=prefilled)
    assert {**answer(run), "end": run.prefetch_cycles + run.cycles} == want


def test_a_line_that_is_late_stops_the_whole_array() -> None:
    """2 x 2 ws, one fold: B arrives at 1 word a cycle, so each of its 2 lines takes 2 cycles."""
    array = SystolicArray("ws", 2, 2, buffers=ArrayBuffers(100, 100, 100, None, 1, None))
    run = buffered_cycles(array, 3, 2, 2)
    assert (run.prefetch_cycles, run.stall_b_cycles, run.stall_a_cycles) == (2, 1, 0)
    assert run.cycles == 2 * 2 + 2 + 3 - 2 + 1


def test_a_buffer_of_one_line_is_refused() -> None:
    array = SystolicArray("ws", 4, 4, buffers=ArrayBuffers(7, 64, 64))
    with pytest.raises(CapacityError, match=r"buffer of A holds 7 words.* at least 8 words"):
        buffered_cycles(array, 4, 4, 4)
