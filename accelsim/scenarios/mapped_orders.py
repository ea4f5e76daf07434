"""The order of sums that a chip's mapping makes, for the functional core to follow."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import ceil

from accelsim.arch.chip import Chip
from accelsim.arithmetic import IN_ORDER, UNFUSED, AttentionOrder, SumOrder
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.transformer.orders import Orders
from accelsim.mapping.attention import map_attention
from accelsim.mapping.fusion import Group, group_ops
from accelsim.mapping.matmul import map_matmul
from accelsim.timing.attention import attention_problem
from accelsim.timing.matmul import matmul_problem
from accelsim.workload.config import ModelConfig
from accelsim.workload.graph import Block
from accelsim.workload.ops import Attention, GroupedMatMul, MatMul, expected_active_experts
from accelsim.workload.phases import PhaseOptions, build_graph

# Ops of the timed graph and the ops of the functional core that they stand for.
_STANDS_FOR = {
    "attention.qkv": ("attn_q", "attn_k", "attn_v"),
    "attention.q": ("attn_q",),
    "attention.kv_a": ("attn_kv_a_mqa",),
    "attention.qkv_a": ("attn_q_a", "attn_kv_a_mqa"),
    "attention.q_b": ("attn_q_b",),
    "attention.kv_b": ("attn_kv_b",),
    "attention.o": ("attn_output",),
    "mlp.gate_up": ("ffn_gate", "ffn_up"),
    "mlp.up": ("ffn_up",),
    "mlp.down": ("ffn_down",),
    "moe.router": ("ffn_gate_inp",),
    "moe.gate_up": ("ffn_gate_exps", "ffn_up_exps"),
    "moe.up": ("ffn_up_exps",),
    "moe.down": ("ffn_down_exps",),
    "shared.gate_up": ("ffn_gate_shexp", "ffn_up_shexp"),
    "shared.up": ("ffn_up_shexp",),
    "shared.down": ("ffn_down_shexp",),
    "lm_head": ("output",),
}


@dataclass(frozen=True, eq=False)
class MappedOrders(Orders):
    """Orders of a model on a chip: the cuts of k and the tiles that its fastest mapping has.

    Attributes
    ----------
    config : ModelConfig
    chip : Chip
    options : PhaseOptions
        Formats of the run; phase, batch and length are filled in by step.
    emulate : bool
        A dtype that the chip lacks runs in a wider one.

    Notes
    -----
    A matmul depends on its rows alone, however they fall into sequences: m rows are mapped as m
    tokens, logits of m rows as a head of m rows. The experts of a step are one kernel with as many
    rows each as the mean expert has; one that m rows visit has the order of the least step that
    sends m rows to the mean expert. Attention is that of one sequence.

    Decode steps of latent attention are timed absorbed, on the cache itself, but executed on
    unfolded keys: their tiles of keys are those of the timed op, and the matmul that unfolds has
    the order of a prompt as long.
    """

    config: ModelConfig
    chip: Chip
    options: PhaseOptions
    emulate: bool = False
    _splits: dict[int, dict[str, SumOrder]] = field(default_factory=dict)
    _tiles: dict[tuple[str, int], tuple[AttentionOrder, ...]] = field(default_factory=dict)
    _plain: dict[str, None] = field(default_factory=dict)
    _shapes: dict[str, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shapes", _shapes(self.config))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Ops that were asked for so far and run in plain order."""
        if not self._plain:
            return ()
        names = ", ".join(self._plain)
        return (f"ops {names} run in plain order: the timed run has none of that shape",)

    def describe(self) -> str:
        """Say which cuts of k and tiles of attention the mapping made for the steps so far.

        Steps are those of so many rows; decode steps of several lengths are told together.
        """
        by_cut: dict[str, list[int]] = {}
        for rows, orders in sorted(self._splits.items()):
            parts: dict[int, list[str]] = {}
            for op, order in orders.items():
                parts.setdefault(order.split_k, []).append(op)
            cut = [f"k of {', '.join(ops)} in {n}" for n, ops in sorted(parts.items()) if n > 1]
            pieces = f"{' and '.join(cut)} parts" if cut else "k in one piece"
            by_cut.setdefault(pieces, []).append(rows)
        words = [
            f"{', '.join(map(str, rows))} row{'s' * (rows[-1] > 1)}: {pieces}"
            for pieces, rows in by_cut.items()
        ]
        for phase, name in (("prefill", "prompts"), ("decode", "decode steps")):
            tiles = {t for key, tiles in self._tiles.items() if key[0] == phase for t in tiles}
            if tiles:
                words.append(f"attention of {name}: {_tile_words(tiles)}")
        return "; ".join(words)

    def matmul(self, op: str, m: int, n: int, k: int) -> SumOrder:
        """Order of a matmul with weights: of m rows, in whichever sequence they are.

        An op that the timed graph has not, or not with these n and k, runs in order and is listed
        in `warnings`.
        """
        if self._shapes.get(op) == (n, k):
            tokens = self._tokens(m) if op.endswith("_exps") else m
            if tokens not in self._splits:
                self._splits[tokens] = self._mapped(tokens)
            if op in self._splits[tokens]:
                return self._splits[tokens][op]
        self._plain.setdefault(f"{op} ({n} x {k})")
        return IN_ORDER

    def attention(self, layer: int, q_len: int, kv_len: int) -> AttentionOrder:
        """Tiles of a layer's attention: of a whole prompt, or of one token and its cache.

        Other lengths are in no timed graph: they are unfused and listed in `warnings`.
        """
        decoding = q_len == 1 < kv_len and not self.config.is_encoder
        if not decoding and q_len != kv_len:
            self._plain.setdefault("attention of several tokens to an older cache")
            return UNFUSED
        key = ("decode", kv_len - 1) if decoding else ("prefill", kv_len)
        if key not in self._tiles:
            self._tiles[key] = self._tiled(*key)
        return self._tiles[key][layer]

    def _blocks(self, phase: str, batch: int, input_len: int) -> tuple[Block, ...]:
        options = replace(self.options, phase=phase, batch=batch, input_len=input_len)
        return build_graph(self.config, options).blocks

    def _tokens(self, rows: int) -> int:
        """Return the least step whose mean expert gets `rows` rows."""
        moe = self.config.moe
        assert moe is not None

        def mean(tokens: int) -> int:
            active = expected_active_experts(tokens, moe.n_experts, moe.topk)
            return ceil(tokens * moe.topk / ceil(active))

        steps = range(1, ceil(rows * moe.n_experts / moe.topk) + 1)
        return 1 + bisect_left(steps, rows, key=mean)

    def _mapped(self, tokens: int) -> dict[str, SumOrder]:
        """Return the cuts of k of all ops, for `tokens` sequences of one token."""
        found: dict[str, SumOrder] = {}
        for block in self._blocks("prefill", tokens, 1):
            for group in group_ops(block.ops, self.chip):
                head = group.head
                parts = _STANDS_FOR.get(_kind(head.name), ())
                if not parts or not isinstance(head, MatMul | GroupedMatMul):
                    continue
                shapes = [self._shapes[part] for part in parts if part in self._shapes]
                if (head.n, {head.k}) == (sum(n for n, _ in shapes), {k for _, k in shapes}):
                    found.update(dict.fromkeys(parts, self._split(group, head)))
        return found

    def _tiled(self, phase: str, input_len: int) -> tuple[AttentionOrder, ...]:
        """Return the tiles of attention of every layer."""
        found: list[AttentionOrder] = []
        for block in self._blocks(phase, 1, input_len):
            groups = group_ops(block.ops, self.chip)
            tiles = [self._tile(g, g.head) for g in groups if isinstance(g.head, Attention)]
            found += tiles * block.repeat
        return tuple(found)

    def _split(self, group: Group, head: MatMul | GroupedMatMul) -> SumOrder:
        native = self.chip.compute_dtype(head.dtype, self.emulate)
        problem = matmul_problem(group, self.chip.matrix_unit(native))
        return SumOrder(map_matmul(self.chip, native, problem).tiling.split_k)

    def _tile(self, group: Group, head: Attention) -> AttentionOrder:
        native = self.chip.compute_dtype(head.dtype, self.emulate)
        problem = attention_problem(head, group.input_on_chip)
        tiling = map_attention(self.chip, native, problem).tiling
        # A tile of the mapping has the rows of all query heads that share a KV head.
        return AttentionOrder(ceil(tiling.tile_q / problem.share), tiling.tile_kv, tiling.split_kv)


def _tile_words(tiles: Iterable[AttentionOrder]) -> str:
    """Write tiles of queries by keys, and in how many parts keys are cut."""
    found: dict[str, set[int]] = {}
    for tile in tiles:
        keys = (
            "whole rows" if tile == UNFUSED else f"{tile.tile_q or 'all'} x {tile.tile_kv or 'all'}"
        )
        found.setdefault(keys, set()).add(tile.split_kv)
    return ", ".join(
        keys + (f" in {_span(splits)} parts" if max(splits) > 1 else "")
        for keys, splits in sorted(found.items())
    )


def _span(numbers: Iterable[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least} to {most}"


def _kind(name: str) -> str:
    """Name of an op without its place in a period of unlike layers: "1.mlp.down" is "mlp.down"."""
    first, _, rest = name.partition(".")
    return rest if first.isdigit() else name


def _shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Return [n, k] of every matmul of the functional core, by op."""
    found = {"output": (config.vocab_size, config.d_model)} if config.head.lm_head else {}
    for name, shape in tensor_shapes(config).items():
        op, kind = name.split(".")[-2:]
        if kind == "weight" and len(shape) > 1 and name.startswith("blk."):
            found[op] = (shape[-2], shape[-1])
    return found
