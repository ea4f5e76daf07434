"""Scaled dot-product attention: multi-head, grouped-query, sliding-window, latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelsim.errors import WorkloadError
from accelsim.workload.ops.base import Op, Traffic, nbytes, require_positive


@dataclass(frozen=True, kw_only=True)
class Attention(Op):
    """Scaled dot-product attention over a KV cache or over the sequence itself.

    Attributes
    ----------
    batch, heads, kv_heads, q_len, kv_len : int
        Sizes; `heads` is a multiple of `kv_heads` (GQA). The queries are the last `q_len`
        positions of the `kv_len` ones.
    head_dim, v_head_dim : int
        Width of q and k, and of v.
    causal : bool
        Query i sees only positions up to its own.
    window : int or None
        Sliding window: only the last `window` positions, the own one included.
    latent_kv : bool
        V is a part of K (absorbed MLA), so the cache holds `head_dim` values per position only.
    dtype, kv_dtype : str
        Arithmetic and cache storage.
    cached : bool
        Keys and values pass through a cache.
    served : bool
        With what a serving library runs around the kernel, as measurements of its attention have
        it: rotation of Q and K, append to a paged cache. A model's graph states those on their
        own.
    replayed : bool
        The same launch again and again, as benchmarks do: as much of the cache as fits the shared
        buffer is found there. In a model other layers pass through it in between.
    """

    kind: ClassVar[str] = "attention"

    batch: int
    heads: int
    kv_heads: int
    q_len: int
    kv_len: int
    head_dim: int
    v_head_dim: int
    causal: bool = True
    window: int | None = None
    latent_kv: bool = False
    dtype: str = "bf16"
    kv_dtype: str = "bf16"
    cached: bool = True
    served: bool = False
    replayed: bool = False

    def __post_init__(self) -> None:
        names = ("batch", "heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim")
        require_positive(self, *names)
        if self.heads % self.kv_heads:
            raise WorkloadError(
                f"{self.name}: {self.heads} heads are not a multiple of {self.kv_heads} KV heads"
            )
        if self.causal and self.kv_len < self.q_len:
            raise WorkloadError(
                f"{self.name}: kv_len {self.kv_len} is shorter than q_len {self.q_len}"
            )

    @property
    def is_decode(self) -> bool:
        """One query per sequence that reads earlier keys; causal and alone, it is a prompt."""
        return self.q_len == 1 and not (self.causal and self.kv_len == 1)

    @property
    def pairs(self) -> int:
        """Query-key pairs of one head and sequence, exactly."""
        span = self.kv_len if self.window is None else min(self.window, self.kv_len)
        if not self.causal:
            return self.q_len * span
        first = self.kv_len - self.q_len + 1  # positions that query 0 sees, without a window
        growing = max(0, min(self.q_len, span - first + 1))  # queries that still see everything
        return growing * first + growing * (growing - 1) // 2 + (self.q_len - growing) * span

    @property
    def visible_kv_len(self) -> int:
        """Positions of the cache that at least one query sees."""
        if self.window is None:
            return self.kv_len
        return min(self.kv_len, self.window + self.q_len - 1)

    @property
    def flop(self) -> float:
        """2 (head_dim + v_head_dim) per pair and head: only visible pairs count."""
        return 2.0 * self.batch * self.heads * self.pairs * (self.head_dim + self.v_head_dim)

    @property
    def vector_flop(self) -> float:
        """Scale, running maximum, subtract and sum: 4 per pair."""
        return 4.0 * self.batch * self.heads * self.pairs

    @property
    def special(self) -> float:
        """One exponential per pair."""
        return float(self.batch * self.heads * self.pairs)

    @property
    def cache_elements_per_position(self) -> int:
        """KV values per position and sequence."""
        width = self.head_dim if self.latent_kv else self.head_dim + self.v_head_dim
        return self.kv_heads * width

    @property
    def traffic(self) -> Traffic:
        """Q in, O out; K and V once per KV head (from the cache where there is one)."""
        q = nbytes(float(self.batch) * self.q_len * self.heads * self.head_dim, self.dtype)
        o = nbytes(float(self.batch) * self.q_len * self.heads * self.v_head_dim, self.dtype)
        per_position = float(self.batch) * self.cache_elements_per_position
        fresh = min(self.q_len, self.visible_kv_len)
        if not self.cached:
            return Traffic(inputs=q + nbytes(per_position * self.visible_kv_len, self.dtype),
                           outputs=o)  # fmt: skip
        return Traffic(
            inputs=q + nbytes(per_position * fresh, self.dtype),
            outputs=o,
            cache_read=nbytes(per_position * (self.visible_kv_len - fresh), self.kv_dtype),
            cache_write=nbytes(per_position * self.q_len, self.kv_dtype),
        )
