"""The order of sums that a run is to have, op by op: what a mapping decides."""

from __future__ import annotations

from accelsim.arithmetic import IN_ORDER, UNFUSED, AttentionOrder, SumOrder


class Orders:
    """Plain order: one chain of products per result, attention by whole rows of scores.

    A subclass answers for a chip's mapping.
    """

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was asked for so far and had no order of its own."""
        return ()

    def describe(self) -> str:
        """Say which order runs had so far."""
        return "k ascending, whole rows of scores"

    def matmul(self, op: str, m: int, n: int, k: int) -> SumOrder:
        """Order of ``C[m, n] = A[m, k] B[k, n]``; `op` is a name such as "attn_q" or "output"."""
        return IN_ORDER

    def attention(self, layer: int, q_len: int, kv_len: int) -> AttentionOrder:
        """Tiles of a layer's attention from `q_len` queries to `kv_len` keys."""
        return UNFUSED


PLAIN = Orders()
