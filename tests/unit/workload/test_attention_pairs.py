"""Are query-key pairs counted exactly? Brute force over positions is the judge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accelsim.workload.ops import Attention

SMALL = st.integers(1, 40)


def attention(q_len: int, kv_len: int, window: int | None, causal: bool = True) -> Attention:
    return Attention(
        name="a", batch=1, heads=1, kv_heads=1, q_len=q_len, kv_len=kv_len,
        head_dim=1, v_head_dim=1, causal=causal, window=window,
    )  # fmt: skip


def visible(q_len: int, kv_len: int, window: int | None) -> list[set[int]]:
    """Positions that each query sees, one by one."""
    seen = []
    for position in range(kv_len - q_len, kv_len):
        first = 0 if window is None else max(0, position - window + 1)
        seen.append(set(range(first, position + 1)))
    return seen


@given(q_len=SMALL, cached=st.integers(0, 40), window=st.none() | st.integers(1, 60))
def test_causal_pairs(q_len: int, cached: int, window: int | None) -> None:
    op = attention(q_len, q_len + cached, window)
    seen = visible(q_len, q_len + cached, window)
    assert op.pairs == sum(map(len, seen))
    assert op.visible_kv_len == len(set.union(*seen))


@given(q_len=SMALL, kv_len=SMALL)
def test_encoder_pairs(q_len: int, kv_len: int) -> None:
    assert attention(q_len, kv_len, None, causal=False).pairs == q_len * kv_len


@given(prompt=SMALL, steps=st.integers(0, 20), window=st.none() | st.integers(1, 30))
def test_prefill_then_decode_is_one_long_prefill(
    prompt: int, steps: int, window: int | None
) -> None:
    total = attention(prompt, prompt, window).pairs
    total += sum(attention(1, prompt + i + 1, window).pairs for i in range(steps))
    assert total == attention(prompt + steps, prompt + steps, window).pairs
