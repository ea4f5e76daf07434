"""The order of sums that a run is to have, op by op: what a mapping decides."""

from __future__ import annotations

from accelsim.arithmetic import IN_ORDER, UNFUSED, AttentionOrder, SumOrder


class Orders:
    """Plain order: one chain of products per result, attention by whole rows of scores.

    A subclass answers for a chip's mapping.
    """

    def matmul(self, op: str, m: int, n: int, k: int) -> SumOrder:
        """Order of ``C[m, n] = A[m, k] B[k, n]``; `op` is a name such as "attn_q" or "output"."""
        return IN_ORDER

    def attention(self, q_len: int, kv_len: int) -> AttentionOrder:
        """Tiles of attention from `q_len` queries to `kv_len` keys."""
        return UNFUSED


PLAIN = Orders()
