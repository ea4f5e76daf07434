"""Attention: shapes, groups of heads, masks, batches and bad input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arch.loader import load_chip
from accelsim.arithmetic import (
    FP32,
    AttentionOrder,
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    TwoStageSum,
)
from accelsim.errors import AccelsimError, MappingError, WorkloadError
from accelsim.functional.arithmetics import preferred_dtype
from accelsim.functional.attention import Mask, attention
from accelsim.functional.gemm import matmul
from accelsim.functional.vector import softmax

ORDERS = [AttentionOrder(), AttentionOrder(2, 3), AttentionOrder(0, 4, 2)]


def _random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("order", ORDERS)
def test_query_heads_share_keys_in_groups(order: AttentionOrder) -> None:
    q, k, v = _random(6, 3, 4), _random(2, 5, 4), _random(2, 5, 7)
    found = attention(q, k, v, FP32, order=order, mask=Mask(past=2))
    repeated = attention(
        q, k.repeat(3, axis=0), v.repeat(3, axis=0), FP32, order=order, mask=Mask(past=2)
    )  # fmt: skip
    assert found.shape == (6, 3, 7)
    assert np.array_equal(found, repeated)


@pytest.mark.parametrize("order", ORDERS)
def test_a_batch_is_its_members_alone(order: AttentionOrder) -> None:
    q, k, v = _random(2, 4, 3, 4), _random(2, 2, 5, 4), _random(2, 2, 5, 4)
    found = attention(q, k, v, FP32, order=order, mask=Mask(causal=False))
    for member in range(2):
        mask = Mask(causal=False)
        alone = attention(q[member], k[member], v[member], FP32, order=order, mask=mask)
        assert np.array_equal(found[member], alone)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("window", [None, 2])
def test_unseen_keys_do_not_matter(order: AttentionOrder, window: int | None) -> None:
    q, k, v = _random(1, 2, 4), _random(1, 9, 4), _random(1, 9, 4)
    found = attention(q, k, v, FP32, order=order, mask=Mask(past=3, window=window))
    k[:, 5:], v[:, 5:] = 99, -99
    if window:
        k[:, :2], v[:, :2] = 99, -99
    again = attention(q, k, v, FP32, order=order, mask=Mask(past=3, window=window))
    assert np.array_equal(found, again)


@pytest.mark.parametrize("order", [AttentionOrder(0, 4, 2), AttentionOrder(1, 3)])
@pytest.mark.parametrize(("queries", "past"), [(1, 30), (3, 28)])
def test_parts_and_tiles_begin_at_the_first_visible_key(
    order: AttentionOrder, queries: int, past: int
) -> None:
    q, k, v = _random(2, queries, 8), _random(2, 31, 8), _random(2, 31, 8)
    found = attention(q, k, v, FP32, order=order, mask=Mask(past=past, window=9))
    first = past - 9 + 1
    mask = Mask(past=8, window=9)
    alone = attention(q, k[:, first:], v[:, first:], FP32, order=order, mask=mask)
    assert found.tobytes() == alone.tobytes()


@pytest.mark.parametrize("order", ORDERS)
def test_one_key_gives_its_value_and_none_gives_zeros(order: AttentionOrder) -> None:
    q, k, v = _random(1, 3, 4), _random(1, 6, 4), _random(1, 6, 4)
    assert np.array_equal(attention(q, k, v, FP32, order=order)[0, 0], v[0, 0])
    assert not attention(q, k, v, FP32, order=order, mask=Mask(past=50, window=3)).any()


def test_a_prefill_equals_its_queries_one_by_one() -> None:
    q, k, v = _random(2, 6, 8), _random(2, 6, 8), _random(2, 6, 8)
    whole = attention(q, k, v, FP32)
    steps = [attention(q[:, i : i + 1], k, v, FP32, mask=Mask(past=i)) for i in range(6)]
    assert np.array_equal(whole, np.concatenate(steps, axis=1))


def test_scale_and_no_queries() -> None:
    q, k, v = _random(1, 2, 4), _random(1, 3, 4), _random(1, 3, 4)
    assert np.array_equal(
        attention(q, k, v, FP32), attention(q, k, v, FP32, scale=0.5)
    )  # head_dim 4
    assert not np.array_equal(attention(q, k, v, FP32), attention(q, k, v, FP32, scale=1.0))
    for order in ORDERS:
        assert attention(q[:, :0], k, v, FP32, order=order).shape == (1, 0, 4)


def _refused(error: type[AccelsimError], message: str, **changed: Any) -> None:
    given = {"q": _random(2, 3, 4), "k": _random(1, 5, 4), "v": _random(1, 5, 4)} | changed
    with pytest.raises(error, match=message):
        attention(given.pop("q"), given.pop("k"), given.pop("v"), FP32, **given)


def test_bad_input_is_refused_in_words() -> None:
    _refused(WorkloadError, "head_dim of q as of k", q=_random(2, 3, 5))
    _refused(WorkloadError, "lengths of k and v", v=_random(1, 6, 4))
    _refused(WorkloadError, "heads of q a multiple", q=_random(3, 3, 4), k=_random(2, 5, 4))
    _refused(WorkloadError, "none empty", k=_random(1, 0, 4), v=_random(1, 0, 4))
    _refused(WorkloadError, "expected .* each", q=_random(3, 4))
    _refused(WorkloadError, "past -1", mask=Mask(past=-1))
    for cap in (0.0, -5.0, float("nan"), float("inf"), 1e-9, 1e300):
        _refused(WorkloadError, "a cap of .* from 0.001 to 60000.0", cap=cap)
    _refused(MappingError, "tiles from 0 and parts from 1", order=AttentionOrder(-1, 4))
    _refused(MappingError, "tiles from 0 and parts from 1", order=AttentionOrder(1, 4, 0))


@pytest.mark.parametrize("order", [AttentionOrder(), AttentionOrder(0, 2), AttentionOrder(2, 2, 2)])
def test_a_sink_is_a_key_without_a_value(order: AttentionOrder) -> None:
    q, k, v = _random(4, 3, 4), _random(2, 5, 4), _random(2, 5, 4)
    sinks = np.float32([0.3, -1.0, 2.0, 0.0])
    found = attention(q, k, v, FP32, order=order, mask=Mask(past=2), sinks=sinks)
    scores = np.einsum("hqd,hkd->hqk", q, k.repeat(2, axis=0)).astype(np.float64) / 2.0
    scores[:, np.arange(5) > 2 + np.arange(3)[:, None]] = -np.inf
    shares = np.exp(scores)
    shares /= shares.sum(axis=-1, keepdims=True) + np.exp(sinks)[:, None, None]
    assert np.allclose(found, shares @ v.repeat(2, axis=0), atol=1e-6)
    with pytest.raises(WorkloadError, match="one score per head"):
        attention(q, k, v, FP32, sinks=sinks[:3])


_UNITS = [
    ("h100_sxm", "bf16"), ("a100_sxm_80gb", "tf32"), ("mi300x", "bf16"), ("tpu_v5e", "bf16"),
    ("h100_sxm", "fp8"), ("b200_sxm", "mxfp8"), ("b200_sxm", "nvfp4"),
]  # fmt: skip


@pytest.mark.parametrize(("chip", "dtype"), _UNITS)
@pytest.mark.parametrize(("past", "window"), [(0, None), (37, None), (200, 70)])
def test_many_queries_give_the_bits_of_whole_rows(
    chip: str, dtype: str, past: int, window: int | None
) -> None:
    """Attention works on some queries, and the keys that they see, at a time."""
    matrix = load_chip(chip).matrix_arithmetic(dtype)
    q, k, v = _random(2, 300, 16), _random(1, 300 + past, 16), _random(1, 300 + past, 16)
    arithmetic = replace(FP32, attention=matrix, vector="bf16")
    found = attention(q, k, v, arithmetic, mask=Mask(past=past, window=window), scale=0.3)
    scores = matmul(q.reshape(1, 600, 16), k.swapaxes(-1, -2), matrix).reshape(2, 300, -1)
    shares = softmax(scores, "bf16", causal=True, past=past, window=window, scale=0.3)
    assert np.array_equal(
        found[None], matmul(shares.reshape(1, 600, -1), v, matrix).reshape(1, 2, 300, 16)
    )


@pytest.mark.parametrize("order", [*ORDERS, AttentionOrder(2, 2, 2)])
def test_a_cap_bends_scores_before_the_mask(order: AttentionOrder) -> None:
    q, k, v = 9 * _random(4, 3, 4), _random(2, 5, 4), _random(2, 5, 4)
    sinks = np.float32([0.3, -1.0, 2.0, 0.0])
    found = attention(q, k, v, FP32, order=order, mask=Mask(past=2), scale=0.7, cap=2, sinks=sinks)
    scores = np.einsum("hqd,hkd->hqk", q, k.repeat(2, axis=0)).astype(np.float64) * 0.7
    assert np.abs(scores).max() > 8
    shares = np.exp(2 * np.tanh(scores / 2))
    shares[:, np.arange(5) > 2 + np.arange(3)[:, None]] = 0
    shares /= shares.sum(axis=-1, keepdims=True) + np.exp(sinks)[:, None, None]
    assert np.allclose(found, shares @ v.repeat(2, axis=0), atol=1e-6)


def test_a_value_that_is_no_number_reaches_every_query() -> None:
    q, k, v = _random(1, 200, 8), _random(1, 200, 8), _random(1, 200, 8)
    v[0, 190, 3] = np.inf
    found = attention(q, k, v, FP32)
    assert np.isnan(found[0, :190, 3]).all()
    assert np.isfinite(np.delete(found, 3, axis=2)).all()


_STRANGE = {
    "values that overflow the operand": (MatrixArithmetic("fp16", Chain()), {190: 7e4}),
    "an accumulator that blocks cut": (MatrixArithmetic("bf16", FusedSum(8, 10)), {}),
    "two stages that cut it": (
        MatrixArithmetic("bf16", TwoStageSum(8, sum_bits=20, accumulator_bits=12)), {},
    ),
    "a huge value far ahead": (MatrixArithmetic("bf16", FusedSum(16, 25)), {190: 1e36}),
    "and in two stages": (MatrixArithmetic("bf16", TwoStageSum(8)), {190: 1e36}),
    "nvfp4": (MatrixArithmetic("nvfp4", Chain()), {190: 50.0}),
    "ordinary numbers": (MatrixArithmetic("bf16", FusedSum(16, 25)), {}),
    "integers": (MatrixArithmetic("int8", IntegerSum(), "int32"), {190: 50.0}),
}  # fmt: skip


@pytest.mark.parametrize("case", _STRANGE)
def test_where_zeros_count_all_keys_enter(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, changes = _STRANGE[case]
    q, k, v = _random(1, 200, 8), _random(1, 200, 8), _random(1, 200, 8)
    v *= 1e-6 if changes.get(190) == 1e36 else 1.0
    for key, value in changes.items():
        v[0, key, :] = value
    arithmetic = replace(FP32, attention=matrix)
    found = attention(q, k, v, arithmetic)
    monkeypatch.setattr("accelsim.functional.attention_unfused._grain", lambda *_: 0)
    assert np.array_equal(found, attention(q, k, v, arithmetic), equal_nan=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("chip", ["tpu_v1", "edge_tpu", "h100_sxm", "mi300x"])
def test_no_query_sees_the_future(chip: str, order: AttentionOrder) -> None:
    arithmetic = load_chip(chip).arithmetic(preferred_dtype(load_chip(chip)))
    q, k, v = _random(4, 11, 8), _random(2, 11, 8), _random(2, 11, 8)
    first = attention(q, k, v, arithmetic, order=order)
    k[:, -1], v[:, -1], q[:, -1] = 30.0, -70.0, 5.0
    second = attention(q, k, v, arithmetic, order=order)
    assert np.array_equal(first[:, :-1], second[:, :-1])
    assert not np.array_equal(first[:, -1], second[:, -1])
