"""What every builder of ops needs to know: the phase's sizes and the number formats."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accelsim.dtypes import dtype as find_dtype
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import PrecisionConfig
from accelsim.workload.ops import MatMul, Op, Shard, Vector

INPUT = "@input"
"""Stands in `Op.after` for whatever produced the layer's input."""


@dataclass(frozen=True)
class Formats:
    """Number formats of a phase.

    Attributes
    ----------
    matmul : str
        Arithmetic of matmuls with weights.
    attention : str
        Arithmetic of attention and of the logits.
    activation : str
        Elementwise functions, and activations between ops.
    cache : str
        KV cache.
    linear, experts : str
        Stored weights of the projections, and of routed experts.
    other : str
        Stored tables, norms and routers.
    """

    matmul: str
    attention: str
    activation: str
    cache: str
    linear: str
    experts: str
    other: str

    @classmethod
    def resolve(
        cls,
        precision: PrecisionConfig,
        dtype: str | None = None,
        weight_dtype: str | None = None,
        kv_dtype: str | None = None,
        attention_dtype: str | None = None,
    ) -> Formats:
        """Choose the formats from a checkpoint's own ones and a user's wishes.

        Notes
        -----
        Formats below 16 bits are for matmuls, weights and cache: activations between ops then
        stay in the checkpoint's 16 or 32 bit format. A wished `weight_dtype` below 16 bits
        holds for all projections of the layers and for experts; tables, norms, routers and
        the logits keep the activation format, as quantized checkpoints do.
        """
        matmul = find_dtype(dtype or precision.dtype).name
        own = precision.dtype if find_dtype(precision.dtype).bits >= 16 else "bf16"
        activation = matmul if find_dtype(matmul).bits >= 16 else own
        linear = experts = matmul
        if precision.quantized is not None:
            experts = precision.quantized
            linear = precision.quantized if precision.scope == "linear" else activation
        if weight_dtype is not None:
            linear = experts = find_dtype(weight_dtype).name
        wide = weight_dtype is not None and find_dtype(weight_dtype).bits >= 16
        other = linear if wide else activation
        cache = find_dtype(kv_dtype).name if kv_dtype else activation
        attention = find_dtype(attention_dtype).name if attention_dtype else matmul
        return cls(matmul, attention, activation, cache, linear, experts, other)

    def for_training(self, weight_dtype: str | None) -> Formats:
        """Return the formats of a training step: all weights stored alike, none quantized."""
        stored = find_dtype(weight_dtype).name if weight_dtype else self.activation
        return replace(self, linear=stored, experts=stored, other=stored)


@dataclass(frozen=True)
class BuildContext:
    """Sizes and formats of one phase.

    Attributes
    ----------
    config : ModelConfig
    batch, q_len, kv_len : int
        Sequences, new tokens per sequence, and tokens that attention sees.
    formats : Formats
    cached : bool
        K and V go to a cache (inference of decoders).
    absorbed : bool
        MLA runs on the latent cache instead of expanding it (decode).
    """

    config: ModelConfig
    batch: int
    q_len: int
    kv_len: int
    formats: Formats
    cached: bool = True
    absorbed: bool = False

    @property
    def tokens(self) -> int:
        """New tokens of all sequences."""
        return self.batch * self.q_len

    def linear(
        self,
        name: str,
        n: int,
        k: int,
        *,
        shard: Shard,
        bias: bool = False,
        after: tuple[str, ...] | None = None,
    ) -> MatMul:
        """Return the projection of all tokens from `k` to `n` values."""
        formats = self.formats
        return MatMul(
            name=name, m=self.tokens, n=n, k=k, bias=bias, shard=shard, after=after,
            dtype=formats.matmul, weight_dtype=formats.linear, out_dtype=formats.activation,
        )  # fmt: skip

    def vector(
        self,
        name: str,
        fn: str,
        cols: int,
        *,
        rows: int | None = None,
        shard: Shard = "none",
        after: tuple[str, ...] | None = None,
        weights: int = 0,
        fan_in: float = 1,
    ) -> Vector:
        """Return a function over ``[rows or tokens, cols]`` with `weights` parameters."""
        return Vector(
            name=name, fn=fn, rows=rows or self.tokens, cols=cols, shard=shard, after=after,
            dtype=self.formats.activation, weight_elements=weights,
            weight_dtype=self.formats.other, fan_in=fan_in,
        )  # fmt: skip

    def norm(self, name: str, width: int, after: tuple[str, ...] | None = None) -> Vector:
        """Return the model's norm over `width` values of every token."""
        norm = self.config.norm
        return self.vector(name, norm.kind, width, after=after, weights=norm.parameters(width))

    def add(self, name: str, after: tuple[str, ...] | None = None, shard: Shard = "none") -> Vector:
        """Return the sum of two ``[tokens, d_model]`` tensors."""
        return self.vector(name, "add", self.config.d_model, after=after, shard=shard)


def prefixed(ops: tuple[Op, ...], prefix: str, layer_input: str | None) -> tuple[Op, ...]:
    """Put `prefix` before the names of a layer's ops and resolve `INPUT`.

    Parameters
    ----------
    ops : tuple of Op
        One layer with names of its own.
    prefix : str
        For example ``"0."``; may be empty.
    layer_input : str or None
        Op that produced the layer's input; None when it lies in the block before.
    """

    def resolve(name: str) -> tuple[str, ...]:
        if name != INPUT:
            return (prefix + name,)
        return () if layer_input is None else (layer_input,)

    done: list[Op] = []
    for op in ops:
        after = op.after
        if after is not None:
            after = tuple(full for name in after for full in resolve(name))
        done.append(replace(op, name=prefix + op.name, after=after))
    return tuple(done)
