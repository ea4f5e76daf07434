"""The vector unit: accuracy, IEEE special values, masks, shapes and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional import vector
from accelsim.functional.rope import rope
from accelsim.functional.rope_frequencies import RopeScaling, rope_frequencies
from accelsim.kernels.vector_math import cosine_sine, erf, exp, rsqrt, tanh

BINADES = np.random.default_rng(0).integers(0, 2**31, 40000).astype(np.uint32).view(np.float32)


def _ulps(
    kernel: Callable[[np.float32], float], exact: Callable[[float], float], x: NDArray[np.float32]
) -> float:
    """Return the largest error in units of the last place of the exact result."""
    worst = 0.0
    for value in x[np.isfinite(x)]:
        want = exact(float(value))
        ulp = 2.0 ** max(math.frexp(want)[1] - 24, -149)
        worst = max(worst, abs(float(kernel(value)) - want) / ulp)
    return worst


def _both_signs(x: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
    near = x[x <= limit]
    return np.concatenate([near, -near])


def test_elementary_functions_are_within_half_an_ulp_and_a_bit() -> None:
    assert _ulps(exp, math.exp, _both_signs(BINADES, 87.0)) < 0.501
    assert _ulps(tanh, math.tanh, _both_signs(BINADES, 1e30)) < 0.501
    assert _ulps(erf, math.erf, _both_signs(BINADES, 1e30)) < 0.501
    assert _ulps(rsqrt, lambda v: 1 / math.sqrt(v), BINADES[BINADES > 0]) < 0.501
    angles = _both_signs(BINADES, 2.0**20)[::4]
    assert _ulps(lambda v: cosine_sine(v)[0], math.cos, angles) < 0.501
    assert _ulps(lambda v: cosine_sine(v)[1], math.sin, angles) < 0.501


def test_where_functions_bend_most_they_are_as_accurate() -> None:
    near = np.random.default_rng(1).uniform(-9, 9, 20000).astype(np.float32)
    assert _ulps(exp, math.exp, near * 9) < 0.501
    assert _ulps(tanh, math.tanh, near) < 0.501
    assert _ulps(erf, math.erf, near / 2) < 0.501
    assert _ulps(exp, math.exp, np.linspace(-104, -87, 3000, dtype=np.float32)) < 0.501


def test_special_values_travel_as_in_ieee_754() -> None:
    inf, nan = np.float32(np.inf), np.float32(np.nan)
    assert [float(exp(v)) for v in (inf, -inf, np.float32(89))] == [math.inf, 0.0, math.inf]
    assert [float(tanh(v)) for v in (inf, -inf)] == [1.0, -1.0]
    assert [float(erf(v)) for v in (inf, -inf)] == [1.0, -1.0]
    assert all(math.isnan(function(nan)) for function in (exp, tanh, erf, rsqrt))
    zero = np.float32(-0.0)
    assert np.signbit([tanh(zero), erf(zero), *vector.add([zero], [zero], "fp16")]).all()
    x = np.array([np.nan, np.inf, 1.0], np.float32)
    for fmt in ("fp32", "bf16", "fp16"):
        for run in (vector.silu, vector.gelu_tanh, vector.gelu_erf, vector.relu, vector.relu2):
            found = run(x, fmt)
            assert np.isnan(found[0]) and found[1] == np.inf and np.isfinite(found[2])
    assert np.isnan(vector.softmax(x)).all()
    assert np.isnan(vector.rmsnorm(x, x, 1e-5)).all()
    payload = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(vector.add(payload, payload, "bf16")).all()


def test_softmax_masks() -> None:
    x = np.zeros((3, 4), np.float32)
    third = np.float32(1) / np.float32(3)
    assert vector.softmax(x, causal=True).tolist() == [
        [1, 0, 0, 0], [0.5, 0.5, 0, 0], [third, third, third, 0],
    ]  # fmt: skip
    assert vector.softmax(x, causal=True, past=1, window=1).argmax(axis=1).tolist() == [1, 2, 3]
    assert vector.softmax(x, window=2)[1].tolist() == [third, third, third, 0]
    assert not vector.softmax(x, causal=True, past=9, window=2).any()  # nothing seen: zeros


def test_narrow_formats_round_every_step() -> None:
    x = np.array([1.0, 2.0**-9], np.float32)
    assert vector.add(x[:1], x[1:], "bf16")[0] == 1  # 2^-9 is lost beside 1
    assert vector.add(x[:1], x[1:], "fp16")[0] == 1 + 2.0**-9
    assert vector.mul([300.0], [300.0], "fp16")[0] == np.inf
    row = np.random.default_rng(2).normal(size=(4, 64)).astype(np.float32)
    for fmt in ("bf16", "fp16"):
        for found in (vector.softmax(row, fmt), vector.layernorm(row, row[0], row[1], 1e-5, fmt)):
            assert np.array_equal(found, vector.mul(found, [1.0], fmt))
            assert not np.array_equal(found, vector.mul(found, [1 + 2.0**-12], "fp32"))


def test_rope_frequencies() -> None:
    plain = rope_frequencies(64, 10000.0)
    expected = 10000.0 ** (-np.arange(0, 64, 2) / 64)
    np.testing.assert_allclose(plain, expected, rtol=1e-7)
    np.testing.assert_array_equal(
        rope_frequencies(64, 10000.0, RopeScaling("linear", 4.0)), plain / np.float32(4)
    )
    llama3 = rope_frequencies(64, 5e5, RopeScaling("llama3", 8.0, 1.0, 4.0, 8192))
    ratio = rope_frequencies(64, 5e5) / llama3
    assert ratio[0] == 1 and abs(ratio[-1] - 8) < 1e-5 and (np.diff(ratio) > -1e-5).all()
    assert ((ratio > 1.01) & (ratio < 7.9)).any()


def test_rope_keeps_lengths_and_depends_on_distance_alone() -> None:
    random = np.random.default_rng(3)
    q, k = random.normal(size=(2, 1, 16)).astype(np.float32)
    freq = rope_frequencies(16, 10000.0)
    for style in ("neox", "interleaved"):
        found = [
            float((rope(q, [at], freq, style=style) @ rope(k, [at - 3], freq, style=style).T)[0, 0])
            for at in (3, 100)
        ]
        assert found[0] == pytest.approx(found[1], abs=1e-4)
    assert np.array_equal(rope(q, [0], freq), q)
    assert np.array_equal(rope(q, [7], freq[:2])[0, 4:], q[0, 4:])  # partial rotation


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: vector.silu([1.0], "fp8"), "no vector unit computes in 'fp8'"),
        (lambda: vector.silu(["a"]), "x is of type"),
        (lambda: vector.add([1.0], [1.0, 2.0]), "does not broadcast"),
        (lambda: vector.rmsnorm([[1.0, 2.0]], [1.0], 1e-5), r"weight has shape \(1,\)"),
        (lambda: vector.softmax(1.0), "at least one element"),
        (lambda: vector.softmax([1.0], past=-1), "past -1"),
        (lambda: vector.softmax([1.0], window=0), "window 0"),
        (lambda: rope_frequencies(7, 1e4), "expected an even number"),
        (lambda: rope_frequencies(8, 0.5), "rotary base 0.5"),
        (lambda: rope([[1.0, 2.0]], [1, 2], [1.0]), "one whole number per token"),
        (lambda: rope([[1.0, 2.0]], [2**20], [1.0]), "limit 0 to 1048575"),
        (lambda: rope([[1.0, 2.0]], [1], [1.0, 1.0]), "at most half"),
        (lambda: rope([[1.0, 2.0]], [1], [2.0]), "from 0 to 1"),
        (lambda: rope([[1.0, 2.0]], [1], [1.0], style="neo"), "unknown rope style 'neo'"),
    ],
)
def test_bad_input_is_refused_in_words(run: Callable[[], object], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        run()
