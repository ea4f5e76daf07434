"""Systolic arrays as objects: one `Pe` per processing element, all stepped from old state to new.

Written from the description of the hardware alone, for arrays of a few PEs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Tag:
    """Which fold and which step of its stream a value belongs to."""

    fold: int
    step: int


@dataclass
class Pe:
    """Registers of one processing element; pipelines are lists, oldest value last."""

    act: Any = 0
    weight: Any = 0
    shadow: Any = 0
    tag: Tag | None = None
    sums: list[Any] = field(default_factory=list)
    products: list[tuple[Any, Tag | None]] = field(default_factory=list)
    wire: list[tuple[int, int, Any] | None] = field(default_factory=list)
    total: Any = 0


@dataclass
class NaiveRun:
    result: Any
    cycles: int = 0
    reads_a: int = 0
    reads_b: int = 0
    writes_c: int = 0
    zeros: list[int] = field(default_factory=lambda: [0, 0, 0])
    states: list[tuple[Any, ...]] = field(default_factory=list)

    def trace(self) -> dict[str, Any]:
        names = ("active", "a", "b", "sums", "fold", "phase")
        columns = zip(*self.states, strict=True)
        return {name: np.array(v) for name, v in zip(names, columns, strict=True)}

    def note(self, grid: list[list[Pe]], active: Any, sums: Any, fold: int, phase: int) -> None:
        """Keep the state of a cycle, and count the zeros that met."""
        acts, weights = (
            [[getattr(pe, name) for pe in row] for row in grid] for name in ("act", "weight")
        )
        self.states.append((active, acts, weights, sums, fold, phase))
        for r, c in np.argwhere(np.array(active)):
            zero = (acts[r][c] == 0, weights[r][c] == 0)
            self.zeros = [s + int(z) for s, z in zip(self.zeros, (*zero, any(zero)), strict=True)]
        self.cycles += 1


def naive_stationary(a: Any, b: Any, rows: int, cols: int, latency: int, double: bool) -> NaiveRun:
    """Weights of b stay; folds along k innermost."""
    (m, k), n = a.shape, b.shape[1]
    zero = a.dtype.type(0)
    blank = Pe(zero, zero, zero, None, [zero] * latency, [], [None] * latency)
    grid = [[copy.deepcopy(blank) for _ in range(cols)] for _ in range(rows)]
    folds = [(k0, n0) for n0 in range(0, n, cols) for k0 in range(0, k, rows)]
    run = NaiveRun(np.zeros((m, n), a.dtype))
    steps: list[Tag | None] = []  # what entered row 0, by cycle
    loads: list[tuple[int, int] | None] = []  # (fold, row) of weights that entered column 0
    loaded, streamed, newest, pending = [0, 0], [0, 0], 0, 0  # [whole folds, part of the next]
    while streamed[0] < len(folds) or pending:
        step = None
        if streamed[0] < len(folds) and (streamed[1] > 0 or loaded[0] > streamed[0]):
            step = Tag(*streamed)
            pending += cols
            streamed = (
                [streamed[0], streamed[1] + 1] if streamed[1] + 1 < m else [streamed[0] + 1, 0]
            )
        load = None
        begun = streamed[0] + (streamed[1] > 0)
        free = begun >= loaded[0] if double else pending == 0
        if loaded[0] < len(folds) and (loaded[1] > 0 or free):
            load, newest = (loaded[0], loaded[1]), loaded[0]
            loaded = [loaded[0], loaded[1] + 1] if loaded[1] + 1 < rows else [loaded[0] + 1, 0]
        steps.append(step)
        loads.append(load)
        old = copy.deepcopy(grid)
        active = [[False] * cols for _ in range(rows)]
        for r in range(rows):
            for c in range(cols):
                pe = grid[r][c]
                if c > 0:
                    pe.act, pe.tag = old[r][c - 1].act, old[r][c - 1].tag
                else:
                    since = run.cycles - r * latency
                    pe.tag = steps[since] if since >= 0 else None
                    pe.act = zero
                    if pe.tag and folds[pe.tag.fold][0] + r < k:
                        pe.act = a[pe.tag.step, folds[pe.tag.fold][0] + r]
                        run.reads_a += 1
                total = zero
                if pe.tag:
                    if pe.tag.step == 0 and double:
                        pe.weight = pe.shadow
                    k0, n0 = folds[pe.tag.fold]
                    active[r][c] = k0 + r < k and n0 + c < n
                    above = old[r - 1][c].sums[-1] if r > 0 else zero
                    total = above + pe.act * pe.weight
                pe.sums = [total, *pe.sums[:-1]]
        run.note(
            grid, active, [[pe.sums[-1] for pe in row] for row in grid], newest, int(pending > 0)
        )
        for r in range(rows):
            for c in range(cols):
                if r > 0:
                    arriving = old[r - 1][c].wire[-1]
                else:
                    since = run.cycles - 1 - c
                    arriving = None
                    if since >= 0 and loads[since]:
                        fold, row = loads[since]
                        at = folds[fold][0] + row, folds[fold][1] + c
                        inside = at[0] < k and at[1] < n
                        arriving = (fold, row, b[at] if inside else zero)
                        run.reads_b += inside
                pe = grid[r][c]
                if arriving and arriving[1] == r:
                    pe.shadow = arriving[2]
                    if not double:
                        pe.weight = pe.shadow
                    arriving = None
                pe.wire = [arriving, *pe.wire[:-1]]
        for c in range(cols):
            since = run.cycles - 1 - (rows - 1) * latency - c - (latency - 1)
            tag = steps[since] if since >= 0 else None
            if tag:
                pending -= 1
                if folds[tag.fold][1] + c < n:
                    run.result[tag.step, folds[tag.fold][1] + c] += grid[rows - 1][c].sums[-1]
                    run.writes_c += 1
    return run


def naive_outputs(a: Any, b: Any, rows: int, cols: int, latency: int, double: bool) -> NaiveRun:
    """Sums stay; folds along n innermost; a column's bus carries one result per cycle."""
    (m, k), n = a.shape, b.shape[1]
    zero = a.dtype.type(0)
    blank = Pe(zero, zero, zero, None, [], [(zero, None)] * latency, [], zero)
    grid = [[copy.deepcopy(blank) for _ in range(cols)] for _ in range(rows)]
    folds = [(m0, n0) for m0 in range(0, m, rows) for n0 in range(0, n, cols)]
    run = NaiveRun(np.zeros((m, n), a.dtype))
    steps: list[Tag | None] = []
    streamed, newest, pending, began = [0, 0], 0, 0, -rows
    while streamed[0] < len(folds) or pending:
        step = None
        free = run.cycles - began >= rows if double else pending == 0
        if streamed[0] < len(folds) and (streamed[1] > 0 or free):
            step, newest = Tag(*streamed), streamed[0]
            if streamed[1] == 0:
                pending, began = pending + rows * cols, run.cycles
            streamed = (
                [streamed[0], streamed[1] + 1] if streamed[1] + 1 < k else [streamed[0] + 1, 0]
            )
        steps.append(step)
        old = copy.deepcopy(grid)
        active = [[False] * cols for _ in range(rows)]
        bus = [0] * cols
        for r in range(rows):
            for c in range(cols):
                pe = grid[r][c]
                since = run.cycles - r - c
                fed = steps[since] if since >= 0 else None
                pe.tag = old[r][c - 1].tag if c > 0 else fed
                pe.act = old[r][c - 1].act if c > 0 else zero
                pe.weight = old[r - 1][c].weight if r > 0 else zero
                if c == 0 and fed and folds[fed.fold][0] + r < m:
                    pe.act = a[folds[fed.fold][0] + r, fed.step]
                    run.reads_a += 1
                if r == 0 and fed and folds[fed.fold][1] + c < n:
                    pe.weight = b[fed.step, folds[fed.fold][1] + c]
                    run.reads_b += 1
                if pe.tag:
                    m0, n0 = folds[pe.tag.fold]
                    active[r][c] = m0 + r < m and n0 + c < n
                pe.products = [(pe.act * pe.weight, pe.tag), *pe.products[:-1]]
                product, tag = pe.products[-1]
                if tag:
                    pe.total = (zero if tag.step == 0 else pe.total) + product
                    if tag.step == k - 1:
                        pending -= 1
                        bus[c] += 1
                        m0, n0 = folds[tag.fold]
                        if m0 + r < m and n0 + c < n:
                            run.result[m0 + r, n0 + c] = pe.total
                            run.writes_c += 1
        assert max(bus) <= 1
        run.note(grid, active, [[pe.total for pe in row] for row in grid], newest, 1)
    return run
