"""Attention as data: heads, windows, and the latent form (MLA)."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.errors import WorkloadError
from accelsim.workload.sizes import check_sizes


@dataclass(frozen=True)
class WindowConfig:
    """Sliding-window attention in some layers.

    Attributes
    ----------
    size : int
        Positions that a query sees, its own included.
    layers : tuple of int
        Indices of the layers that are local; the others see everything.
    """

    size: int
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        check_sizes(self, "size")


@dataclass(frozen=True)
class LatentConfig:
    """Multi-head latent attention (MLA): the KV cache holds one compressed vector per token.

    Attributes
    ----------
    q_rank : int or None
        Width of the compressed query (q_lora_rank); None means that q is projected directly.
    kv_rank : int
        Width of the compressed K and V (kv_lora_rank).
    rope_dim : int
        Rotated part of a head's q and k (qk_rope_head_dim), shared by all heads in k.
    nope_dim : int
        Part of a head's q and k without position (qk_nope_head_dim).

    References
    ----------
    DeepSeek-V2, arXiv 2405.04434, section 2.1.
    """

    q_rank: int | None
    kv_rank: int
    rope_dim: int
    nope_dim: int

    def __post_init__(self) -> None:
        check_sizes(self, "kv_rank", "rope_dim", "nope_dim")
        if self.q_rank is not None:
            check_sizes(self, "q_rank")

    @property
    def cache_width(self) -> int:
        """Values in the KV cache per token and layer."""
        return self.kv_rank + self.rope_dim


@dataclass(frozen=True)
class AttentionConfig:
    """One attention layer.

    Attributes
    ----------
    n_heads, n_kv_heads : int
        Query heads and KV heads (MHA: equal; MQA: 1; GQA: between).
    head_dim, v_head_dim : int
        Width of q and k, and of v, per head.
    qkv_bias, o_bias : bool
        Biases of the projections.
    window : WindowConfig or None
        Layers with a sliding window.
    sinks : bool
        One learned logit per head joins every softmax (gpt-oss).
    softcap : bool
        Scores pass through a scaled tanh (Gemma 2).
    causal : bool
        False in encoders.
    latent : LatentConfig or None
        MLA instead of plain K and V.
    """

    n_heads: int
    n_kv_heads: int
    head_dim: int
    v_head_dim: int
    qkv_bias: bool = False
    o_bias: bool = False
    window: WindowConfig | None = None
    sinks: bool = False
    softcap: bool = False
    causal: bool = True
    latent: LatentConfig | None = None

    def __post_init__(self) -> None:
        check_sizes(self, "n_heads", "n_kv_heads", "head_dim", "v_head_dim")
        if self.n_heads % self.n_kv_heads:
            raise WorkloadError(
                f"AttentionConfig: {self.n_heads} heads are not a multiple of "
                f"{self.n_kv_heads} KV heads"
            )
        latent = self.latent
        if latent is not None and self.head_dim != latent.nope_dim + latent.rope_dim:
            raise WorkloadError(
                f"AttentionConfig.head_dim is {self.head_dim}, but the latent parts are "
                f"{latent.nope_dim} + {latent.rope_dim}"
            )

    @property
    def qkv_width(self) -> int:
        """Columns of the fused q, k and v projection."""
        return self.n_heads * self.head_dim + self.n_kv_heads * (self.head_dim + self.v_head_dim)

    @property
    def o_width(self) -> int:
        """Rows of the output projection."""
        return self.n_heads * self.v_head_dim

    @property
    def cache_width(self) -> int:
        """KV values per token and layer."""
        if self.latent is not None:
            return self.latent.cache_width
        return self.n_kv_heads * (self.head_dim + self.v_head_dim)

    def parameters(self, d_model: int, qk_norm: bool = False) -> int:
        """Parameters of the projections, sinks and per-head norms."""
        total = self.o_width * d_model + (d_model if self.o_bias else 0)
        total += self.n_heads if self.sinks else 0
        total += 2 * self.head_dim if qk_norm else 0
        if self.latent is None:
            return total + self.qkv_width * (d_model + (1 if self.qkv_bias else 0))
        return total + self._latent_parameters(self.latent, d_model)

    def _latent_parameters(self, latent: LatentConfig, d_model: int) -> int:
        down = d_model * latent.cache_width + latent.kv_rank  # projection and its norm
        up = latent.kv_rank * self.n_heads * (latent.nope_dim + self.v_head_dim)
        q_width = self.n_heads * self.head_dim
        if latent.q_rank is None:
            return down + up + d_model * q_width
        return down + up + latent.q_rank * (d_model + 1 + q_width)
