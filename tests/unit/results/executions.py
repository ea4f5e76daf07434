"""Executions made by hand, small enough to check on paper; times in ns where not said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accelsim.results.execution import Execution, Fold, OpSpan, PathShare, Track, Work

NS = 1_000
PEAKS = {"load": 1e12, "store": 1e12, "network": 1e11, "matrix": 1e15, "vector": 1e13}

Row = tuple[int, int, float, float, float, float]


def work(rows: Sequence[Row]) -> Work:
    """Work of rows (op, track, start, end [ns], amount, energy [J])."""
    op, track, start, end, amount, energy = zip(*rows, strict=True) if rows else [()] * 6
    return Work(
        np.array(op, np.int32), np.array(track, np.int32),
        np.array([round(t * NS) for t in start], np.int64),
        np.array([round(t * NS) for t in end], np.int64),
        np.array(amount, np.float64), np.array(energy, np.float64),
    )  # fmt: skip


def op(name: str, kind: str, at: tuple[float, float, float], **more: object) -> OpSpan:
    """An op that is ready, starts and ends at these times [ns]."""
    ready, start, end = (round(t * NS) for t in at)
    fields = {"chip": 0, "block": "layers", "repeat": 0, **more}
    return OpSpan(name=name, kind=kind, ready_ps=ready, start_ps=start, end_ps=end, **fields)


def prefetching() -> Execution:
    """One chip: the load of ``down`` begins while ``up`` computes, 300 ns before it is ready.

    launch |u.........d.....|
    load   |uuuu.dddd.......|    u: 0 to 400, d: 500 to 900
    matrix |....uuuu.ddd....|    u: 400 to 800, d: 900 to 1200
    vector |............v...|    silu: 1200 to 1300, fused into down
    store  |............dd..|    1300 to 1400
    """
    tracks = (
        Track(0, "cores", "launch"), Track(0, "hbm", "load", False), Track(0, "cores", "matrix"),
        Track(0, "cores", "vector"), Track(0, "hbm", "store", False),
    )  # fmt: skip
    ops = (op("up", "matmul", (0, 0, 800)), op("down", "matmul", (800, 500, 1400)))
    rows = [
        (0, 0, 0, 50, 0, 0), (0, 1, 50, 400, 350e3, 3e-6), (0, 2, 400, 800, 2e8, 8e-6),
        (1, 0, 450, 500, 0, 0), (1, 1, 500, 900, 400e3, 4e-6), (1, 2, 900, 1200, 3e8, 6e-6),
        (1, 3, 1200, 1300, 1e5, 1e-6), (1, 4, 1300, 1400, 1e5, 1e-6),
    ]  # fmt: skip
    path = (PathShare("memory", 850 * NS), PathShare("matrix", 300 * NS),
            PathShare("vector", 100 * NS), PathShare("launch", 150 * NS))  # fmt: skip
    return Execution(("toy",), tracks, ops, work(rows), (), 1400 * NS, 10.0, PEAKS, path, 16)


def early() -> Execution:
    """As `prefetching`, but ``down`` is ready at 900: all its 400 kB of 750 kB come ahead."""
    whole = prefetching()
    up, down = whole.ops
    return replace(whole, ops=(up, down._replace(ready_ps=900 * NS)))


def collective() -> Execution:
    """Two chips, the second stands for three: matmuls of 100 and 300 ns, then an all-reduce.

    Chip 0 waits for chip 1 from 100 to 300. Two transfers share each link from 300 to 500.
    """
    tracks = (
        Track(0, "cores", "matrix"), Track(0, "links", "network", False),
        Track(1, "cores", "matrix"), Track(1, "links", "network", False),
    )  # fmt: skip
    ops = (
        op("o", "matmul", (0, 0, 100)), op("reduce", "collective", (100, 300, 500)),
        op("o", "matmul", (0, 0, 300), chip=1), op("reduce", "collective", (300, 300, 500), chip=1),
    )  # fmt: skip
    rows = [
        (0, 0, 0, 100, 1e8, 1e-6), (1, 1, 300, 500, 8e3, 1e-6), (1, 1, 300, 500, 8e3, 1e-6),
        (2, 2, 0, 300, 3e8, 3e-6), (3, 3, 300, 500, 8e3, 1e-6), (3, 3, 300, 500, 8e3, 1e-6),
    ]  # fmt: skip
    path = (PathShare("matrix", 300 * NS), PathShare("network", 200 * NS))
    return Execution(
        ("toy", "slow toy (3 chips)"), tracks, ops, work(rows), (), 500 * NS, 10.0, PEAKS, path, 8,
        chip_counts=(1, 3),
    )  # fmt: skip


TRACKS = (
    Track(0, "cores", "launch"), Track(0, "hbm", "load", False), Track(0, "cores", "matrix"),
    Track(0, "cores", "vector"), Track(0, "hbm", "store", False),
    Track(0, "links", "network", False),
)  # fmt: skip
# Ops of a layer: kind, tiles, load, compute per tile [ns], track of the work.
LAYER = (
    ("norm", "vector", 1, 40, 60, 3), ("attn.qkv", "matmul", 8, 110, 50, 2),
    ("attn.scores", "attention", 6, 120, 90, 2), ("attn.o", "matmul", 6, 100, 60, 2),
    ("attn.reduce", "collective", 1, 0, 300, 5), ("mlp.up", "matmul", 16, 110, 70, 2),
    ("mlp.down", "matmul", 9, 110, 60, 2), ("mlp.reduce", "collective", 1, 0, 300, 5),
)  # fmt: skip


class _Program:
    """Plays ops: loads run ahead of compute by `depth` tiles, across ops."""

    def __init__(self, chip: int, tracks: int, depth: int = 3) -> None:
        self.chip, self.track, self.depth = chip, tracks, depth
        self.rows: list[Row] = []
        self.ops: list[OpSpan] = []
        self.ready = 0.0
        self.load_free = 0.0
        self.computed: list[float] = [0.0] * depth
        self.free = dict.fromkeys(range(6), 0.0)

    def play(self, op_place: int, block: str, repeat: int, shape: tuple) -> None:
        name, kind, tiles, load, compute, engine = shape
        ready, first, end = self.ready, None, 0.0
        launch = max(ready - 20, self.free[0])
        self.add(op_place, 0, (launch, launch + 20), 0.0, 0.0)
        self.free[0] = launch + 20
        for _ in range(tiles):
            loaded = 0.0
            if load:
                at = max(self.load_free, self.computed[-self.depth])
                # Two transfers at once: weights, and half as many bytes of activations.
                self.add(op_place, 1, (at, at + load), load * 600.0, load * 2e-8)
                self.add(op_place, 1, (at, at + load), load * 300.0, load * 1e-8)
                self.load_free = loaded = at + load
                first = at if first is None else first
            start = max(loaded, ready, self.free[engine])
            first = min(start, launch) if first is None else first
            end = start + compute
            amount = compute * {5: 1e2, 3: 5e3}.get(engine, 5e5)
            self.add(op_place, engine, (start, end), amount, compute * 1e-7)
            self.free[engine] = end
            self.computed.append(end)
        if kind != "collective":
            self.add(op_place, 4, (end, end + 30), 2e4, 1e-7)
            end += 30
        self.ready = end
        times = (ready, first, end)
        self.ops.append(op(name, kind, times, chip=self.chip, block=block, repeat=repeat))

    def add(self, place: int, engine: int, span: tuple[float, float], amount, energy) -> None:
        self.rows.append((place, self.track + engine, *span, amount, energy))


def layered(layers: int, chips: int = 1) -> Execution:
    """A model of some equal layers, each with a prefetch across ops; nothing folded."""
    tracks, ops, rows = [], [], []
    for chip in range(chips):
        program = _Program(chip, len(tracks))
        program.ops, program.rows = ops, rows
        tracks += [track._replace(chip=chip) for track in TRACKS]
        program.play(len(ops), "embed", 0, ("embed", "gather", 1, 80, 20, 3))
        for layer in range(layers):
            for shape in LAYER:
                program.play(len(ops), "layers", layer, shape)
        program.play(len(ops), "head", 0, ("logits", "matmul", 20, 110, 70, 2))
    end = max(span.end_ps for span in ops)
    path = (
        PathShare("memory", round(end * 0.62)), PathShare("matrix", round(end * 0.2)),
        PathShare("network", round(end * 0.14)), PathShare("latency", round(end * 0.04)),
    )  # fmt: skip
    return Execution(
        tuple(f"toy {chip}" for chip in range(chips)), tuple(tracks), tuple(ops), work(rows), (),
        end, 30.0, PEAKS, path, 2 * len(rows),
    )  # fmt: skip


def folded(layers: int, simulated: int, chips: int = 1) -> Execution:
    """The same as `layered`, but only the first layers are kept, and the last of them copied."""
    whole = layered(layers, chips)
    size, copies = len(LAYER), layers - simulated
    folds, kept, ops = [], [], []
    for chip in range(chips):
        own = [i for i, span in enumerate(whole.ops) if span.chip == chip]
        first = own[0] + 1 + (simulated - 1) * size
        period = whole.ops[first + size].end_ps - whole.ops[first].end_ps
        begin = len(ops) + (first - own[0])
        folds.append(Fold(begin, begin + size, copies, period))
        mine = [*range(own[0], first + size), own[-1]]
        kept += mine
        ops += [whole.ops[i] for i in mine]
    places = np.full(len(whole.ops), -1)
    places[kept] = np.arange(len(kept))
    rows = whole.work.where(places[whole.work.op] >= 0)
    rows = replace(rows, op=places[rows.op].astype(np.int32))
    return replace(whole, ops=tuple(ops), work=rows, folds=tuple(folds))
