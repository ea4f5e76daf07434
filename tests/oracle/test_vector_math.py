"""Kernels of the vector unit give the bits of a plain Python unit."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.functional import vector
from accelsim.functional.formats import round_to
from accelsim.functional.rope import RopeStyle, rope
from accelsim.functional.rope_frequencies import rope_frequencies
from tests.oracle.naive_vector import ROUND, Unit, fp32

FORMATS = ("fp32", "bf16", "fp16")


def _values(count: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return (random.normal(size=count) * 2.0 ** random.integers(-12, 4, count)).astype(np.float32)


def _same(found: NDArray[np.float32], expected: object) -> None:
    want = np.asarray(expected, np.float32)
    assert found.shape == want.shape
    wrong = np.flatnonzero(found.view(np.uint32).ravel() != want.view(np.uint32).ravel())
    assert not wrong.size, (wrong[:5], found.ravel()[wrong[:5]], want.ravel()[wrong[:5]])


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("size", [1, 15, 16, 100])
def test_norms_are_those_of_the_twin(fmt: str, size: int) -> None:
    unit, x = Unit(fmt), _values(3 * size, 1).reshape(3, size)
    weight, bias = _values(size, 2), _values(size, 3)
    found = vector.rmsnorm(x, weight, 1e-5, fmt)
    _same(found, [unit.rmsnorm(row, weight.tolist(), 1e-5) for row in x.tolist()])
    found = vector.layernorm(x, weight, bias, 1e-5, fmt)
    _same(found, [unit.layernorm(row, weight.tolist(), bias.tolist(), 1e-5) for row in x.tolist()])


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("window", [None, 7])
def test_softmax_is_that_of_the_twin(fmt: str, window: int | None) -> None:
    unit, x, past = Unit(fmt), 20 * _values(5 * 40, 4).reshape(5, 40), 30
    expected = []
    for i, row in enumerate(x.tolist()):
        seen = [past + i - (window or 40) < key <= past + i for key in range(40)]
        expected.append(unit.softmax(row, seen, 0.125))
    found = vector.softmax(x, fmt, causal=True, past=past, window=window, scale=0.125)
    _same(found, expected)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("cap", [0.3, 50.0])
def test_caps_are_those_of_the_twin(fmt: str, cap: float) -> None:
    unit, x = Unit(fmt), np.append(40 * _values(300, 8), np.float32([0.0, -0.0, 6e4, -6e4]))
    _same(vector.softcap(x, cap, fmt), [unit.softcap(value, cap) for value in x.tolist()])
    rows = x[:300].reshape(5, 60)
    expected = [unit.softmax(row, [True] * 60, 0.125, cap) for row in rows.tolist()]
    _same(vector.softmax(rows, fmt, scale=0.125, cap=cap), expected)


@pytest.mark.parametrize("fmt", FORMATS)
def test_activations_are_those_of_the_twin(fmt: str) -> None:
    unit, x = Unit(fmt), np.append(40 * _values(300, 5), np.float32([0.0, -0.0, 3e38, -3e38]))
    _same(vector.silu(x, fmt), [unit.silu(value) for value in x.tolist()])
    finite = x[:-2]
    _same(vector.gelu_tanh(finite, fmt), [unit.gelu_tanh(value) for value in finite.tolist()])
    y = _values(x.size, 6)
    pairs = list(zip(x.tolist(), y.tolist(), strict=True))
    _same(vector.silu_mul(x, y, fmt), [unit.mul(unit.silu(a), unit.of(b)) for a, b in pairs])
    _same(vector.add(x, y, fmt), [unit.add(unit.of(a), unit.of(b)) for a, b in pairs])
    _same(vector.mul(x, y, fmt), [unit.mul(unit.of(a), unit.of(b)) for a, b in pairs])


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("style", ["neox", "interleaved"])
def test_rope_is_that_of_the_twin(fmt: str, style: RopeStyle) -> None:
    unit, freq = Unit(fmt), rope_frequencies(8, 10000.0)
    x, at = _values(2 * 3 * 10, 7).reshape(2, 3, 10), np.array([0, 5, 4097])
    expected = [[unit.of(value) for value in row] for row in x.reshape(6, 10).tolist()]
    for row, position in zip(expected, [0, 5, 4097] * 2, strict=True):
        for j, f in enumerate(freq.tolist()):
            low, high = (j, j + 4) if style == "neox" else (2 * j, 2 * j + 1)
            angle = fp32(position * f)
            c, s = unit.of(math.cos(angle)), unit.of(math.sin(angle))
            a, b = row[low], row[high]
            row[low] = unit.add(unit.mul(a, c), -unit.mul(b, s))
            row[high] = unit.add(unit.mul(b, c), unit.mul(a, s))
    _same(rope(x, at, freq, fmt, style=style), np.reshape(expected, (2, 3, 10)))


@pytest.mark.parametrize("fmt", FORMATS)
def test_rounding_is_that_of_the_formats(fmt: str) -> None:
    bits = np.random.default_rng(8).integers(0, 2**32, 20000, dtype=np.uint64).astype(np.uint32)
    bits[::3] &= 0xFFFFF000  # more ties
    bits[1::7] = 0x33000000 + (bits[1::7] & 0x0FFFFFFF) // 2  # fp16 subnormals and around
    x = bits.view(np.float32)
    x = np.append(x[~np.isnan(x)], np.float32([65519.9, 65520, -65520, np.inf, -np.inf, -0.0]))
    found = vector.mul(x, np.float32(1), fmt)
    _same(found, round_to(x, fmt))
    _same(found[:2000], [ROUND[fmt](value) for value in x[:2000].tolist()])


def test_results_do_not_depend_on_pieces_that_threads_take() -> None:
    x = _values(300 * 500, 9).reshape(300, 500)  # more than one piece
    ones = np.ones(500, np.float32)
    for run in (
        vector.softmax,
        vector.silu,
        lambda rows: vector.rmsnorm(rows, ones, 1e-5),
        lambda rows: vector.layernorm(rows, ones, ones, 1e-5),
    ):
        _same(run(x), np.concatenate([run(x[:100]), run(x[100:200]), run(x[200:])]))


_SCRIPT = """
import numpy as np
from accelsim.arithmetic import FP32, AttentionOrder
from accelsim.functional import vector
from accelsim.functional.attention import Mask, attention
from accelsim.functional.rope import rope
from accelsim.functional.rope_frequencies import rope_frequencies
x = (np.random.default_rng(3).normal(size=(2, 3, 20)) * 3).astype(np.float32)
w = x[0, 0]
for fmt in ("fp32", "bf16", "fp16"):
    runs = [vector.rmsnorm(x, w, 1e-5, fmt), vector.layernorm(x, w, w, 1e-5, fmt),
            vector.softmax(x, fmt, causal=True, past=9), vector.silu_mul(x, w, fmt),
            vector.gelu_tanh(x, fmt), vector.gelu_erf(x, fmt), vector.relu2(x, fmt),
            rope(x, np.array([0, 3, 90]), rope_frequencies(20, 1e4), fmt)]
    for order in (AttentionOrder(), AttentionOrder(2, 2, 2)):
        runs.append(attention(x, x, x, FP32, order=order, mask=Mask(window=2)))
    for run in runs:
        print(run.tobytes().hex())
"""


def test_without_compilation_the_bits_are_the_same() -> None:
    answers = []
    for disabled in ("0", "1"):
        environment = os.environ | {"NUMBA_DISABLE_JIT": disabled}
        environment["PYTHONPATH"] = os.pathsep.join(p or "." for p in sys.path)
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout)
    assert answers[0] == answers[1] and answers[0]
