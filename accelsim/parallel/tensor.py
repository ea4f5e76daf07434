"""Tensor parallelism: the graph of one of `tp` devices that share every layer.

Weights are split by columns, then by rows, so that a sublayer needs one all-reduce of its output
(Megatron-LM). Attention is split by heads; KV heads are repeated when there are fewer than devices.
Routed experts are split whole, tp groups of them (expert parallelism inside the group): every
device routes all tokens and runs its own experts, and the all-reduce adds up their results. Norms,
residuals, routers and position tables are repeated; token table and logits are split by vocabulary.

References
----------
Shoeybi et al., Megatron-LM, arXiv 1909.08053, section 3; Pope et al., Efficiently Scaling
Transformer Inference, arXiv 2211.05102, section 3 (KV heads).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import ceil

from accelsim.errors import MappingError
from accelsim.workload.graph import Block, Footprint, Graph, producers
from accelsim.workload.memory import PhaseGraph, weight_bytes
from accelsim.workload.ops import (
    Attention,
    Collective,
    Gather,
    GroupedMatMul,
    MatMul,
    Op,
    OptimizerStep,
    Vector,
)

_BASE = re.compile(r"^(?:recompute\.)?(?:\d+\.)?(?P<base>.+?)(?:\.(?:dgrad|wgrad|bwd))?$")

_LOSS_STATISTICS = 3
"""Values that devices exchange per token for the loss: maximum, target logit, sum of exp."""


def shard(graph: Graph, tp: int) -> Graph:
    """Return what one of `tp` devices does and holds.

    Parameters
    ----------
    graph : Graph
        A phase on one device, from `accelsim.workload.phases.build_graph`.
    tp : int
        Devices; 1 returns the graph unchanged.

    Returns
    -------
    Graph
        With collectives over `tp` devices after partial results.

    Raises
    ------
    MappingError
        If `tp` divides heads, hidden width or experts unevenly; names the sizes and every tp
        that works.

    Notes
    -----
    A vocabulary that is no multiple of `tp` is padded. Copies of tokens for experts are spread
    evenly and rounded up, and a device that has any reads at least one expert.
    """
    if isinstance(tp, bool) or not isinstance(tp, int) or tp < 1:
        raise MappingError(f"tp is {tp!r}, expected a whole number of devices from 1")
    if tp == 1:
        return graph
    _require_divisible(graph, tp)
    splitter = _Splitter(tp, _Heads.of(graph))
    residual = graph.memory.residual_bytes if isinstance(graph, PhaseGraph) and graph.memory else 0
    blocks = tuple(
        replace(block, ops=_with_collectives(block, splitter, residual)) for block in graph.blocks
    )
    blocks = _with_optimizer(blocks)
    notes = (*graph.notes, f"tensor parallelism over {tp} devices")
    return replace(graph.with_blocks(blocks, _footprint(graph, blocks)), notes=notes)


@dataclass(frozen=True)
class _Heads:
    """Head counts and widths of the model's attention layers."""

    heads: int
    kv_heads: int
    head_dim: int
    v_head_dim: int

    @classmethod
    def of(cls, graph: Graph) -> _Heads | None:
        """Read them off the forward attention op; all layers are alike."""
        for _, op in graph.ops():
            if isinstance(op, Attention) and not op.name.endswith(".bwd"):
                return cls(op.heads, op.kv_heads, op.head_dim, op.v_head_dim)
        return None

    def kv_on_device(self, tp: int) -> int:
        """KV heads that each device holds."""
        return max(1, self.kv_heads // tp)

    def parts(self, base: str) -> tuple[int, int] | None:
        """Width per query head and per KV head of an op that has both, or only KV heads."""
        table = {
            "attention.qkv": (self.head_dim, self.head_dim + self.v_head_dim),
            "attention.rope": (1, 1),
            "attention.k_norm": (0, 1),
        }
        return table.get(base)

    def fits(self, tp: int) -> bool:
        """Whether `tp` divides the heads, and KV heads divide or repeat evenly."""
        even = self.kv_heads % tp == 0 or tp % self.kv_heads == 0
        return self.heads % tp == 0 and even


def _sizes(graph: Graph) -> dict[str, int]:
    """Return the sizes that tp must divide, by what they are called."""
    sizes: dict[str, int] = {}
    for block, op in graph.ops():
        if block.name.startswith("backward"):
            continue
        base = _base(op)
        if isinstance(op, MatMul) and op.shard == "row" and base.endswith(".down"):
            sizes["shared d_ff" if base.startswith("shared") else "d_ff"] = op.k
        elif isinstance(op, GroupedMatMul) and op.shard == "experts":
            sizes["experts"] = op.groups
    return sizes


def _require_divisible(graph: Graph, tp: int) -> None:
    heads, sizes = _Heads.of(graph), _sizes(graph)

    def works(n: int) -> bool:
        return (heads is None or heads.fits(n)) and all(size % n == 0 for size in sizes.values())

    if works(tp):
        return
    limit = max([heads.heads if heads else 1, *sizes.values()])
    good = [n for n in range(1, min(limit, 4096) + 1) if works(n)]
    named = [f"{size} {what}" for what, size in sizes.items()]
    if heads is not None:
        named = [f"{heads.heads} heads", f"{heads.kv_heads} KV heads", *named]
    raise MappingError(
        f"{graph.model}: tp {tp} does not divide {', '.join(named)} evenly; "
        f"tp that works: {', '.join(map(str, good))}"
    )


def _base(op: Op) -> str:
    """Name of the op without layer index, recomputation and gradient."""
    found = _BASE.match(op.name)
    return found["base"] if found else op.name


@dataclass(frozen=True)
class _Splitter:
    """Shrinks one op to the part of one device, by its `shard`."""

    tp: int
    heads: _Heads | None

    def split(self, op: Op) -> Op:
        """Return the device's part of `op`; what is repeated comes back as it is."""
        if isinstance(op, Attention) and op.shard == "heads":
            return self._attention(op)
        if isinstance(op, GroupedMatMul) and op.shard == "experts":
            return replace(
                op, rows=ceil(op.rows / self.tp), groups=op.groups // self.tp,
                active=max(1.0, op.active / self.tp),
            )  # fmt: skip
        if isinstance(op, MatMul):
            return self._matmul(op)
        if isinstance(op, Vector):
            return self._vector(op)
        if isinstance(op, Gather) and op.shard == "vocab":
            return replace(op, table_rows=ceil(op.table_rows / self.tp))
        return op

    def _attention(self, op: Attention) -> Attention:
        kv_heads = max(1, op.kv_heads // self.tp)
        return replace(op, heads=op.heads // self.tp, kv_heads=kv_heads)

    def _matmul(self, op: MatMul) -> MatMul:
        match op.shard:
            case "column" | "vocab":
                return replace(op, n=self._width(op, op.n))
            case "row":
                return replace(op, k=self._width(op, op.k))
            case "heads":
                return replace(op, batch=op.batch // self.tp)
        return op

    def _vector(self, op: Vector) -> Vector:
        match op.shard:
            case "column" | "vocab":
                return replace(op, cols=self._width(op, op.cols))
            case "experts":
                # The device's own rows are summed, into all tokens.
                found = op.fan_in / self.tp if op.fn == "weighted_sum" else op.fan_in
                return replace(op, rows=ceil(op.rows / self.tp), fan_in=found)
            case "heads" if _base(op).endswith("_norm"):
                return replace(op, rows=self._width(op, op.rows))
            case "heads":
                mine = op.weight_elements // self.tp
                return replace(op, cols=self._width(op, op.cols), weight_elements=mine)
        return op

    def _width(self, op: Op, width: int) -> int:
        """Return the device's part of `width`, KV heads repeated where they must be."""
        parts = self.heads.parts(_base(op)) if self.heads else None
        if parts is None or self.heads is None:
            return ceil(width / self.tp)
        q, kv = parts
        whole = q * self.heads.heads + kv * self.heads.kv_heads
        mine = q * (self.heads.heads // self.tp) + kv * self.heads.kv_on_device(self.tp)
        return width * mine // whole


def _with_collectives(block: Block, splitter: _Splitter, residual_bytes: float) -> tuple[Op, ...]:
    """Split the ops of a block and put a collective after each result that needs one."""
    readers = _readers(block.ops)
    renamed: dict[str, str] = {}
    done: list[Op] = []
    for op in block.ops:
        mine = splitter.split(op)
        if op.after is not None:
            mine = replace(mine, after=tuple(renamed.get(name, name) for name in op.after))
        done.append(mine)
        collective = _collective(op, readers[op.name], splitter.tp, residual_bytes)
        if collective is not None:
            renamed[op.name] = collective.name
            done.append(collective)
    return tuple(done)


def _readers(ops: tuple[Op, ...]) -> dict[str, list[Op]]:
    """Map each op's name to the ops of the block that read its result."""
    readers: dict[str, list[Op]] = {op.name: [] for op in ops}
    reads = producers(ops)
    for op in ops:
        for name in reads[op.name]:
            readers.setdefault(name, []).append(op)
    return readers


def _collective(op: Op, readers: list[Op], tp: int, residual_bytes: float) -> Collective | None:
    """Return what must follow `op` before its result is whole on every device, if anything."""
    if op.name.endswith(".wgrad"):
        return None
    if op.shard == "vocab":
        return _vocab_collective(op, readers, tp)
    if op.shard not in {"row", "experts"} or any(map(_takes_partial, readers)):
        return None  # sums of partial results are reduced once, after the last
    size = op.traffic.outputs if op.shard == "row" else residual_bytes or op.traffic.outputs
    return _after(op, "all_reduce", size, tp)


def _vocab_collective(op: Op, readers: list[Op], tp: int) -> Collective | None:
    """Sum looked-up rows, gather logits, or exchange the statistics of the loss."""
    if isinstance(op, Gather):
        return _after(op, "all_reduce", op.traffic.outputs, tp)
    if isinstance(op, Vector) and op.fn == "cross_entropy":
        return _after(op, "all_reduce", 4.0 * _LOSS_STATISTICS * op.rows, tp)
    if op.name.endswith(".bwd") or any(reader.shard == "vocab" for reader in readers):
        return None
    return _after(op, "all_gather", op.traffic.outputs, tp)


def _takes_partial(reader: Op) -> bool:
    """Whether `reader` is linear in a partial result, and its own result is partial again."""
    if reader.name.endswith(".wgrad"):
        return False
    return reader.shard == "experts" or (isinstance(reader, Vector) and reader.shard == "row")


def _after(op: Op, fn: str, size_bytes: float, tp: int) -> Collective:
    return Collective(name=f"{op.name}.{fn}", fn=fn, size_bytes=size_bytes, devices=tp)


def _with_optimizer(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Let the optimizer update the parameters of this device."""
    mine = sum(block.repeat * op.parameters for block in blocks for op in block.ops)

    def update(op: Op) -> Op:
        return replace(op, elements=mine) if isinstance(op, OptimizerStep) else op

    return tuple(replace(block, ops=tuple(map(update, block.ops))) for block in blocks)


def _footprint(graph: Graph, blocks: tuple[Block, ...]) -> Footprint:
    """Return the footprint of the device's ops; without a policy only weights are divided."""
    if isinstance(graph, PhaseGraph) and graph.memory is not None:
        return graph.memory.footprint(blocks)
    return replace(graph.footprint, weights=weight_bytes(blocks))
