"""The order of sums that a chip's mapping makes, for the functional core to follow."""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.arch.chip import Chip
from accelsim.arithmetic import IN_ORDER, UNFUSED, AttentionOrder, SumOrder
from accelsim.functional.transformer.orders import Orders
from accelsim.mapping.attention import map_attention
from accelsim.mapping.fusion import Group, group_ops
from accelsim.mapping.matmul import map_matmul
from accelsim.timing.attention import attention_problem
from accelsim.timing.matmul import matmul_problem
from accelsim.workload.config import ModelConfig
from accelsim.workload.ops import Attention, MatMul
from accelsim.workload.phases import PhaseOptions, build_graph

# Ops of the timed graph and the ops of the functional core that they stand for.
_STANDS_FOR = {
    "attention.qkv": ("attn_q", "attn_k", "attn_v"),
    "attention.o": ("attn_output",),
    "mlp.gate_up": ("ffn_gate", "ffn_up"),
    "mlp.up": ("ffn_up",),
    "mlp.down": ("ffn_down",),
    "lm_head": ("output",),
}


@dataclass(frozen=True)
class StepOrder:
    """Order of all sums of one step of a model.

    Attributes
    ----------
    matmuls : dict
        Order by op of the functional core; ops that are not named run in plain order.
    attention : AttentionOrder
    """

    matmuls: dict[str, SumOrder]
    attention: AttentionOrder


@dataclass(frozen=True, eq=False)
class MappedOrders(Orders):
    """Orders of a model on a chip: the cuts of k and the tiles that its fastest mapping has.

    Attributes
    ----------
    config : ModelConfig
    chip : Chip
    options : PhaseOptions
        Formats of the run; phase and length are filled in by step.
    emulate : bool
        A dtype that the chip lacks runs in a wider one.
    """

    config: ModelConfig
    chip: Chip
    options: PhaseOptions
    emulate: bool = False
    _steps: dict[tuple[int, int], StepOrder] = field(default_factory=dict)

    def step(self, tokens: int, context: int) -> StepOrder:
        """Return the orders of a step of `tokens` new tokens that see `context` in all."""
        key = (tokens, context)
        if key not in self._steps:
            self._steps[key] = self._mapped(tokens, context)
        return self._steps[key]

    def matmul(self, op: str, m: int, n: int, k: int) -> SumOrder:
        """Order of a matmul with weights; those of a decode step do not depend on the context."""
        return self.step(m, max(2, m)).matmuls.get(op, IN_ORDER)

    def attention(self, q_len: int, kv_len: int) -> AttentionOrder:
        """Tiles of attention."""
        return self.step(q_len, kv_len).attention

    def _mapped(self, tokens: int, context: int) -> StepOrder:
        # A step of one token meets a cache of the tokens before it; others are a whole prompt.
        decoding = tokens == 1 and context > 1 and not self.config.is_encoder
        given = self.options
        options = PhaseOptions(
            phase="decode" if decoding else "prefill",
            batch=1,
            input_len=context - 1 if decoding else context,
            dtype=given.dtype,
            weight_dtype=given.weight_dtype,
            kv_dtype=given.kv_dtype,
        )
        matmuls: dict[str, SumOrder] = {}
        attention = UNFUSED
        for block in build_graph(self.config, options).blocks:
            for group in group_ops(block.ops, self.chip):
                if isinstance(group.head, Attention):
                    attention = self._attention(group)
                elif group.head.name in _STANDS_FOR:
                    for op in _STANDS_FOR[group.head.name]:
                        matmuls[op] = self._matmul(group)
        return StepOrder(matmuls, attention)

    def _matmul(self, group: Group) -> SumOrder:
        head = group.head
        if not isinstance(head, MatMul):
            return IN_ORDER
        native = self.chip.compute_dtype(head.dtype, self.emulate)
        problem = matmul_problem(group, self.chip.matrix_unit(native))
        return SumOrder(map_matmul(self.chip, native, problem).tiling.split_k)

    def _attention(self, group: Group) -> AttentionOrder:
        head = group.head
        assert isinstance(head, Attention)
        native = self.chip.compute_dtype(head.dtype, self.emulate)
        problem = attention_problem(head, group.input_on_chip)
        tiling = map_attention(self.chip, native, problem).tiling
        return AttentionOrder(tiling.tile_q, tiling.tile_kv, tiling.split_kv)
