"""One layer of a Transformer, op by op, in the arithmetic of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from accelsim.arithmetic import Arithmetic, MatrixArithmetic, SumOrder
from accelsim.errors import WorkloadError
from accelsim.formats import BlockFormat, find_format
from accelsim.functional import vector
from accelsim.functional.formats import round_to
from accelsim.functional.linear import Linear, make_linear, operand_scheme
from accelsim.functional.quant.memory import Changes, Damage, Memory
from accelsim.functional.quant.schemes import Scheme
from accelsim.functional.rope import rope
from accelsim.functional.transformer.cache import CacheDamage
from accelsim.functional.transformer.orders import PLAIN, Orders
from accelsim.functional.transformer.routing import choose_experts
from accelsim.functional.transformer.sources import WeightSource
from accelsim.functional.transformer.spec import Constants, Spec
from accelsim.functional.transformer.weight_memory import WeightMemory, weight_limit_bytes
from accelsim.workload.layer_config import MlpConfig

Floats = NDArray[np.float32]
Attend = Callable[[int, Floats, Floats, Floats], Floats]
Observer = Callable[[str, Floats], None]
EMBEDDING = "token_embd.weight"
UNQUANTISED = ("output", "ffn_gate_inp")
"""Ops whose weights no scheme quantises: they take the arithmetic of attention."""


class Faults(Damage, CacheDamage, Protocol):
    """What may damage a run (see `accelsim.functional.faults`)."""

    def accumulators(self, name: str, sums: NDArray[Any], step: int) -> NDArray[Any]:
        """Return sums, float32 or int32, as the registers of a matrix unit give them back."""

    def table(
        self,
        name: str,
        shape: tuple[int, int],
        fmt: str,
        read: Callable[[NDArray[np.int64]], Floats],
    ) -> Changes:
        """Return what memory changes in weights of which rows are looked up."""


@dataclass(frozen=True)
class Setting:
    """In which way a model runs.

    Attributes
    ----------
    arithmetic : Arithmetic
    scheme : Scheme or None
        Quantisation of the weights of layers (never of the head, the router or embeddings).
    orders : Orders
        Of sums, as a mapping chose them.
    faults : Faults or None
    smoothing : mapping or None
        Factors by canonical weight name (SmoothQuant).
    observe : callable or None
        Called with the name and the result of every op.
    """

    arithmetic: Arithmetic
    scheme: Scheme | None = None
    orders: Orders = PLAIN
    faults: Faults | None = None
    smoothing: Mapping[str, Floats] | None = None
    observe: Observer | None = None

    def prepares_like(self, other: Setting) -> bool:
        """Whether weights prepared for one setting serve the other."""
        same = (self.arithmetic, self.scheme) == (other.arithmetic, other.scheme)
        objects = ("orders", "faults", "smoothing")
        return same and all(getattr(self, n) is getattr(other, n) for n in objects)


class Ops:
    """The ops of a model in one setting: prepared weights, and rounding on every store."""

    def __init__(self, spec: Spec, source: WeightSource, setting: Setting) -> None:
        self.spec, self.source, self.setting = spec, source, setting
        self.stored, self.vector = setting.arithmetic.stored, setting.arithmetic.vector
        self._linears = WeightMemory(weight_limit_bytes())
        self._vectors: dict[str, Floats] = {}
        self._changes: dict[str, Changes] = {}
        self.local = tuple(kind.local for kind in spec.config.layer_kinds)
        self.step = 0

    def prepare(self, tell: Callable[[str], None] | None = None) -> None:
        """Pack weights now, not on first use, as many as fit; `tell` is called with every name."""
        tied = self.spec.config.head.tied
        for name, shape in self.source.shapes.items():
            weight = len(shape) == 2 and name.endswith(".weight")
            if self._linears.is_full:
                return
            if weight and not name.startswith(("token_", "position_")):
                self.linear_of(name.removesuffix(".weight"))
            if tell is not None:
                tell(name)
        if self.spec.config.head.lm_head and tied:
            self.linear_of("output")

    def store(self, name: str, x: Floats) -> Floats:
        """Round what an op writes, and show it to the observer."""
        written = round_to(x, self.stored)
        if self.setting.observe is not None:
            self.setting.observe(name, written)
        return written

    def linear_of(self, name: str, expert: int | None = None) -> Linear:
        """Return the prepared matmul with a weight."""
        if expert is None:
            return self._linears.layer(name, lambda: self._make(name, None, name))
        key = f"{name}.{expert}"
        return self._linears.expert(key, lambda: self._make(name, expert, key))

    def _make(self, name: str, expert: int | None, key: str) -> Linear:
        tensor, damage = f"{name}.weight", self.setting.faults
        tied = tensor == "output.weight" and tensor not in self.source.shapes
        if tied:
            tensor = EMBEDDING
        bias_name = f"{name}.bias"
        bias = None
        if bias_name in self.source.shapes:
            bias = (
                self.source.read(bias_name) if expert is None else self._expert(bias_name, expert)
            )
        if expert is None:
            weight = self.source.read(tensor)
            if tied and shares_table(self._unit(name)):
                weight, damage = self._table(tensor).whole(weight), None
        else:
            weight = self._expert(tensor, expert)
        setting, op = self.setting, name.rsplit(".", 1)[-1]
        scheme = None if op in UNQUANTISED else setting.scheme
        n, k = weight.shape
        order: Callable[[int], SumOrder] = partial(_order, setting.orders, op, n, k)
        return make_linear(
            weight, self._unit(op), scheme=scheme, bias=bias, order=order, name=key,
            smoothing=setting.smoothing.get(tensor) if setting.smoothing else None,
            allow_nonfinite=True, damage=damage,
        )  # fmt: skip

    def _expert(self, tensor: str, expert: int) -> Floats:
        """Return one expert's part of a stacked tensor."""
        part: Floats = self.source.rows(tensor, np.array([expert]))[0]
        return part

    def _unit(self, op: str) -> MatrixArithmetic:
        """Return the arithmetic of an op: head and routers stay in 16 bits where layers do not."""
        arithmetic = self.setting.arithmetic
        return arithmetic.attention if op in UNQUANTISED else arithmetic.linear

    def linear(self, name: str, x: Floats, expert: int | None = None) -> Floats:
        """Multiply by a weight and store the result."""
        return self.store(name, self.sums(name, x, expert))

    def sums(self, name: str, x: Floats, expert: int | None = None) -> Floats:
        """Multiply by a weight and keep the sums in fp32."""
        multiply = self.linear_of(name, expert)
        return multiply(x, partial(self.registers, multiply.name))

    def registers(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        """Return the sums of an op as the registers of its unit give them back."""
        faults = self.setting.faults
        return sums if faults is None else faults.accumulators(name, sums, self.step)

    def parameter(self, name: str, fmt: str = "fp32") -> Floats:
        """Return a small tensor (norms, sinks, tables) that lies in memory in a format."""
        if name not in self._vectors:
            memory = Memory(name.removesuffix(".weight"), self.setting.faults)
            self._vectors[name] = memory.floats(self.source.read(name), fmt)
        return self._vectors[name]

    def embeddings(self, ids: NDArray[np.int64]) -> Floats:
        """Return the embeddings of tokens, which lie in memory as activations are stored."""
        rows = self.source.rows(EMBEDDING, ids)
        return rows if self.setting.faults is None else self._table(EMBEDDING).rows(ids, rows)

    def _table(self, name: str) -> Changes:
        faults, (count, width) = self.setting.faults, self.source.shapes[name]
        if name not in self._changes:
            self._changes[name] = Changes() if faults is None else faults.table(
                name.removesuffix(".weight"), (count, width), self.stored,
                partial(self.source.rows, name),
            )  # fmt: skip
        return self._changes[name]

    def norm(self, name: str, x: Floats) -> Floats:
        """Normalise rows and store them."""
        kind, eps = self.spec.config.norm, self.spec.constants.eps
        weight = self.parameter(f"{name}.weight")
        if kind.kind == "rmsnorm":
            return self.store(name, vector.rmsnorm(x, weight, eps, self.vector))
        bias = self.parameter(f"{name}.bias") if kind.bias else np.zeros_like(weight)
        return self.store(name, vector.layernorm(x, weight, bias, eps, self.vector))

    def add(self, name: str, x: Floats, y: Floats) -> Floats:
        """Add a residual and store the sum."""
        return self.store(name, vector.add(x, y, self.vector))

    def rotate(self, layer: int, x: Floats, positions: NDArray[np.int64]) -> Floats:
        """Rotate heads [heads, tokens, head_dim] by their positions."""
        spec, local = self.spec, self.local[layer]
        if not spec.rotary_size:
            return x
        scaling = spec.scaling(local)
        turned = rope(
            x, positions, spec.frequencies(local), self.vector, style=spec.constants.rope_style,
            factor=1.0 if scaling is None else scaling.attention_factor,
        )  # fmt: skip
        return round_to(turned, self.stored)


def shares_table(head: MatrixArithmetic) -> bool:
    """Whether a tied head reads the embeddings where they lie, and keeps no codes of its own."""
    operand = find_format(head.operand)
    return not isinstance(operand, BlockFormat) and operand_scheme(operand.name) is None


def _order(orders: Orders, op: str, n: int, k: int, m: int) -> SumOrder:
    return orders.matmul(op, m, n, k)


def heads_of(x: Floats, heads: int) -> Floats:
    """Cut [tokens, heads * width] into [heads, tokens, width]."""
    tokens = len(x)
    return np.ascontiguousarray(x.reshape(tokens, heads, -1).swapaxes(0, 1))


def run_layer(
    ops: Ops, layer: int, x: Floats, positions: NDArray[np.int64], attend: Attend
) -> Floats:
    """Run one layer on [tokens, d_model]; `attend` owns the cache and the order of attention."""
    config, at = ops.spec.config, f"blk.{layer}"
    post, sandwich = (config.norm.placement == place for place in ("post", "sandwich"))
    read = x if post else ops.norm(f"{at}.attn_norm", x)
    mixed = _attention(ops, layer, read, positions, attend)
    if config.parallel_residual:
        second = f"{at}.ffn_norm.weight" in ops.source.shapes
        fed = ops.norm(f"{at}.ffn_norm", x) if second else read
        both = ops.add(f"{at}.attn_add", mixed, _feed_forward(ops, layer, fed))
        return ops.add(f"{at}.ffn_add", x, both)
    if sandwich:
        mixed = ops.norm(f"{at}.post_attention_norm", mixed)
    x = ops.add(f"{at}.attn_add", x, mixed)
    if post:
        x = ops.norm(f"{at}.attn_output_norm", x)
    fed = x if post else ops.norm(f"{at}.ffn_norm", x)
    result = _feed_forward(ops, layer, fed)
    if sandwich:
        result = ops.norm(f"{at}.post_ffw_norm", result)
    x = ops.add(f"{at}.ffn_add", x, result)
    return ops.norm(f"{at}.layer_output_norm", x) if post else x


def _attention(
    ops: Ops, layer: int, x: Floats, positions: NDArray[np.int64], attend: Attend
) -> Floats:
    at = f"blk.{layer}"
    if ops.spec.config.attention.latent is not None:
        mixed = latent_attention(ops, layer, x, positions, attend)
    else:
        mixed = _plain_attention(ops, layer, x, positions, attend)
    joined = np.ascontiguousarray(mixed.swapaxes(0, 1)).reshape(len(x), -1)
    # Struck here and not tile by tile: which sums are struck depends on no order.
    held = ops.registers(f"{at}.attn", joined)
    return ops.linear(f"{at}.attn_output", ops.store(f"{at}.attn", held))


def _plain_attention(
    ops: Ops, layer: int, x: Floats, positions: NDArray[np.int64], attend: Attend
) -> Floats:
    config, at = ops.spec.config.attention, f"blk.{layer}"
    q = heads_of(ops.linear(f"{at}.attn_q", x), config.n_heads)
    k = heads_of(ops.linear(f"{at}.attn_k", x), config.n_kv_heads)
    v = heads_of(ops.linear(f"{at}.attn_v", x), config.n_kv_heads)
    if ops.spec.config.norm.qk:
        q, k = ops.norm(f"{at}.attn_q_norm", q), ops.norm(f"{at}.attn_k_norm", k)
    return attend(layer, ops.rotate(layer, q, positions), ops.rotate(layer, k, positions), v)


def latent_attention(
    ops: Ops, layer: int, x: Floats, positions: NDArray[np.int64], attend: Attend
) -> Floats:
    """Multi-head latent attention: keys and values unfold from one cached vector per token.

    The cache holds the normed latent vector beside the rotated key that all heads share; what
    attention reads is unfolded from there at every step.
    """
    config, at = ops.spec.config.attention, f"blk.{layer}"
    latent = config.latent
    assert latent is not None
    if latent.q_rank is None:
        whole = ops.linear(f"{at}.attn_q", x)
    else:
        low = ops.norm(f"{at}.attn_q_a_norm", ops.linear(f"{at}.attn_q_a", x))
        whole = ops.linear(f"{at}.attn_q_b", low)
    q = heads_of(whole, config.n_heads)
    turned = ops.rotate(layer, q[..., latent.nope_dim :], positions)
    q = np.concatenate([q[..., : latent.nope_dim], turned], axis=-1)
    packed = ops.linear(f"{at}.attn_kv_a_mqa", x)
    shared = ops.rotate(layer, packed[None, :, latent.kv_rank :], positions)
    compressed = ops.norm(f"{at}.attn_kv_a_norm", packed[:, : latent.kv_rank])
    kept = np.concatenate([compressed[None], shared], axis=-1)
    return attend(layer, q, kept, kept[..., :0])


def unfolded(ops: Ops, layer: int, kept: Floats) -> tuple[Floats, Floats]:
    """Keys and values of all heads from cached latent vectors [1, tokens, rank + rope_dim]."""
    config = ops.spec.config.attention
    latent = config.latent
    assert latent is not None
    up = ops.sums(f"blk.{layer}.attn_kv_b", kept[0, :, : latent.kv_rank])
    both = heads_of(round_to(up, ops.stored), config.n_heads)
    spread = np.broadcast_to(kept[:, :, latent.kv_rank :], (*both.shape[:2], latent.rope_dim))
    keys = np.concatenate([both[..., : latent.nope_dim], spread], axis=-1)
    return keys, np.ascontiguousarray(both[..., latent.nope_dim :])


def _feed_forward(ops: Ops, layer: int, x: Floats) -> Floats:
    if ops.spec.config.layer_kinds[layer].moe:
        return _experts(ops, layer, x)
    mlp = ops.spec.config.mlp
    assert mlp is not None
    return _mlp(ops, f"blk.{layer}", x, mlp)


def _mlp(
    ops: Ops, at: str, x: Floats, mlp: MlpConfig, *, tail: str = "", expert: int | None = None
) -> Floats:
    up = ops.linear(f"{at}.ffn_up{tail}", x, expert)
    gate = ops.linear(f"{at}.ffn_gate{tail}", x, expert) if mlp.gated else None
    active = ops.store(f"{at}.ffn_act{tail}", _activated(ops, mlp.activation, up, gate))
    return ops.linear(f"{at}.ffn_down{tail}", active, expert)


def _activated(ops: Ops, name: str, up: Floats, gate: Floats | None) -> Floats:
    function = vector.ACTIVATIONS[ops.spec.activation(name)]
    if gate is None:
        return function(up, ops.vector)
    if name == "silu":
        return vector.silu_mul(gate, up, ops.vector)
    if name == "swiglu_oai":
        return _clamped_swiglu(gate, up, ops.spec.constants, ops.vector)
    return vector.mul(function(gate, ops.vector), up, ops.vector)


def _clamped_swiglu(gate: Floats, up: Floats, constants: Constants, fmt: str) -> Floats:
    """``g sigmoid(alpha g) (u + 1)`` of clamped g and u (gpt-oss)."""
    slope, limit = np.float32(constants.swiglu_alpha), np.float32(constants.swiglu_limit)
    steep = vector.mul(np.minimum(gate, limit), slope, fmt)
    gated = vector.mul(vector.silu(steep, fmt), np.float32(1.0) / slope, fmt)
    return vector.mul(gated, vector.add(np.clip(up, -limit, limit), np.float32(1.0), fmt), fmt)


def _experts(ops: Ops, layer: int, x: Floats) -> Floats:
    """Send every token to its best experts, add their results in the order of the experts."""
    moe, at = ops.spec.config.moe, f"blk.{layer}"
    assert moe is not None
    scores = ops.linear(f"{at}.ffn_gate_inp", x)
    correction = ops.parameter(f"{at}.exp_probs_b.bias") if moe.routing.corrected else None
    for what in (scores, correction):
        if what is not None and not np.isfinite(what).all():
            raise WorkloadError(f"{at}: {np.sum(~np.isfinite(what))} router scores are not finite")
    chosen, gates = choose_experts(scores, moe, ops.vector, correction=correction)
    total = np.zeros_like(x)
    for expert in np.unique(chosen):
        rows, places = np.nonzero(chosen == expert)
        result = _mlp(ops, at, x[rows], moe.expert, tail="_exps", expert=int(expert))
        share = vector.mul(result, gates[rows, places][:, None], ops.vector)
        total[rows] = vector.add(total[rows], share, ops.vector)
    if moe.shared is not None:
        total = vector.add(total, _mlp(ops, at, x, moe.shared, tail="_shexp"), ops.vector)
    return ops.store(f"{at}.ffn_experts", total)
