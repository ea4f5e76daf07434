"""Attention gives the bits of a plain Python twin, unfused and tile by tile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accelsim.arithmetic import FP32, Arithmetic, AttentionOrder, Chain, MatrixArithmetic
from accelsim.functional.attention import Mask, attention
from tests.oracle.naive_attention import Query
from tests.oracle.naive_vector import Unit

_BF16 = MatrixArithmetic("bf16", Chain("fp32"))
BF16 = Arithmetic("bf16", _BF16, _BF16)
HEADS, KV_HEADS, QUERIES, KEYS, SIZE, PAST = 4, 2, 5, 23, 8, 17
Float32 = NDArray[np.float32]


def _operands(seed: int, queries: int = QUERIES, keys: int = KEYS) -> tuple[Float32, ...]:
    random = np.random.default_rng(seed)
    shapes = ((HEADS, queries, SIZE), (KV_HEADS, keys, SIZE), (KV_HEADS, keys, SIZE))
    return tuple((3 * random.normal(size=shape)).astype(np.float32) for shape in shapes)


def _twin(
    operands: tuple[Float32, ...], vector: str, window: int | None, order: AttentionOrder | None,
    cap: float = 0.0,
) -> Float32:  # fmt: skip
    # Parts and tiles are counted from the first key that some query sees.
    first = max(0, PAST - window + 1) if window and order is not None else 0
    q, k, v = (x.tolist() for x in (operands[0], *(held[:, first:] for held in operands[1:])))
    unit, scale = Unit(vector), SIZE**-0.5
    out = []
    for head in range(HEADS):
        shared = head // (HEADS // KV_HEADS)
        for i in range(QUERIES):
            seen = [PAST + i - (window or KEYS) < key <= PAST + i for key in range(first, KEYS)]
            query = Query(q[head][i], k[shared], v[shared], seen, cap)
            if order is None:
                out.append(query.unfused(unit, "bf16", scale))
            else:
                out.append(query.fused(unit, "bf16", scale, order.tile_kv, order.split_kv))
    return np.array(out, np.float32).reshape(HEADS, QUERIES, SIZE)


@pytest.mark.parametrize("vector", ["fp32", "bf16"])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize(
    "order",
    [None, AttentionOrder(2, 4), AttentionOrder(0, 16), AttentionOrder(3, 5, 3),
     AttentionOrder(0, 0, 4)],
)  # fmt: skip
def test_bits_are_those_of_the_twin(
    vector: str, window: int | None, order: AttentionOrder | None
) -> None:
    operands = _operands(1)
    found = attention(
        *operands, replace(BF16, vector=vector), order=order or AttentionOrder(),
        mask=Mask(window=window, past=PAST),
    )  # fmt: skip
    expected = _twin(operands, vector, window, order)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("vector", ["fp32", "bf16"])
@pytest.mark.parametrize("cap", [2.5, 60.0])
@pytest.mark.parametrize("order", [None, AttentionOrder(2, 4), AttentionOrder(3, 5, 3)])
def test_capped_scores_are_those_of_the_twin(
    vector: str, cap: float, order: AttentionOrder | None
) -> None:
    operands = _operands(4)
    found = attention(
        *operands, replace(BF16, vector=vector), order=order or AttentionOrder(),
        mask=Mask(window=4, past=PAST), cap=cap,
    )  # fmt: skip
    expected = _twin(operands, vector, 4, order, cap)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))
    plain = _twin(operands, vector, 4, order)
    assert not np.array_equal(found, plain)


def _in_fp64(operands: tuple[Float32, ...], past: int) -> NDArray[np.float64]:
    q, k, v = (x.astype(np.float64) for x in operands)
    k, v = (np.repeat(x, HEADS // KV_HEADS, axis=0) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) * SIZE**-0.5
    hidden = np.arange(k.shape[-2]) > past + np.arange(q.shape[-2])[:, None]
    scores[:, hidden] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    out: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True) @ v
    return out


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000), queries=st.integers(1, 9), keys=st.integers(1, 40),
    tile_q=st.integers(0, 10), tile_kv=st.integers(0, 45), split_kv=st.integers(1, 5),
)  # fmt: skip
def test_every_order_is_near_attention_in_fp64(
    seed: int, queries: int, keys: int, tile_q: int, tile_kv: int, split_kv: int
) -> None:
    operands, past = _operands(seed, queries, keys), max(0, keys - queries)
    order = AttentionOrder(tile_q, tile_kv, split_kv)
    found = attention(*operands, FP32, order=order, mask=Mask(past=past))
    assert np.abs(found - _in_fp64(operands, past)).max() < 4e-5


def test_tiles_change_bits_and_the_same_tiles_give_the_same() -> None:
    operands = _operands(2)
    orders = [AttentionOrder(), AttentionOrder(0, 4), AttentionOrder(0, 8), AttentionOrder(0, 8, 2)]
    mask = Mask(past=PAST)
    runs = [attention(*operands, FP32, order=order, mask=mask).tobytes() for order in orders]
    assert len(set(runs)) == len(runs)
    again = [attention(*operands, FP32, order=order, mask=mask).tobytes() for order in orders]
    assert again == runs


def test_tiles_of_queries_do_not_change_bits() -> None:
    operands = _operands(3)
    runs = {
        attention(*operands, FP32, order=AttentionOrder(tile, 6), mask=Mask(past=PAST)).tobytes()
        for tile in range(QUERIES + 2)
    }
    assert len(runs) == 1
