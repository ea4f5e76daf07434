"""Operands as a matrix unit takes them in: rounding, saturation, flushing, alignment exponents."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.operands import as_operand

ZERO = -126


def _values(x: list[float], fmt: str, *, flush: bool = False) -> list[float]:
    array = np.array([x], dtype=np.float32)
    return as_operand(array, fmt, axis=1, aligned=False, flush=flush).values[0].tolist()


def test_fp32_is_left_alone() -> None:
    x = np.array([[1e-42, 0.1, np.inf]], dtype=np.float32)
    assert as_operand(x, "fp32", axis=1, aligned=False).values is x


def test_tf32_drops_low_bits_and_bf16_rounds() -> None:
    last = 1 + 2.0**-10 + 2.0**-11 + 2.0**-20
    assert _values([last, -last], "tf32") == [1 + 2.0**-10, -1 - 2.0**-10]
    assert _values([1 + 2.0**-8, 1 + 3 * 2.0**-8], "bf16") == [1.0, 1 + 2.0**-6]


def test_narrow_formats_saturate_and_wide_ones_overflow() -> None:
    assert _values([1e6, -1e6], "fp8") == [448.0, -448.0]
    assert _values([1e6], "fp8_e4m3fnuz") == [240.0]
    assert _values([1e6], "fp16") == [np.inf]


def test_subnormals_are_flushed_to_plus_zero() -> None:
    found = _values([2.0**-15, -(2.0**-15), 2.0**-14], "fp16", flush=True)
    assert found == [0.0, 0.0, 2.0**-14]
    assert not np.signbit(found[:2]).any()
    assert _values([2.0**-15], "fp16") == [2.0**-15]


def test_exponents_are_those_of_the_format() -> None:
    x = np.array([[1.5, -8.0, 0.0, -0.0, 2.0**-24, 2.0**-14, 65504.0]], dtype=np.float32)
    found = as_operand(x, "fp16", axis=1, aligned=True).exponents
    assert found is not None
    assert found.tolist() == [[0, 3, ZERO, ZERO, -14, -14, 15]]
    tiny = as_operand(np.array([[2.0**-140]], dtype=np.float32), "fp32", axis=1, aligned=True)
    assert tiny.exponents is not None
    assert tiny.exponents.tolist() == [[-126]]


def test_block_scales_join_values_and_exponents() -> None:
    x = np.zeros((1, 40), dtype=np.float32)
    x[0, 0], x[0, 1], x[0, 32] = 6.0, 1.0, 3 * 2.0**10
    plain = as_operand(x, "mxfp4", axis=1, aligned=True)
    grouped = as_operand(x, "mxfp4", axis=1, aligned=True, group=16)
    assert plain.values[0, [0, 1, 32]].tolist() == [6.0, 1.0, 3 * 2.0**10]
    assert plain.exponents is not None and grouped.exponents is not None
    assert plain.exponents[0, [0, 1, 32]].tolist() == [2, 0, 11]
    # Terms of a group align by their scales alone: 1 and 2**9 here.
    assert grouped.exponents[0, [0, 1, 31, 32, 39]].tolist() == [0, 0, 0, 9, 9]
    assert plain.scale == 1.0


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_lie_along_k(axis: int) -> None:
    x = np.ones((64, 64), dtype=np.float32)
    x[0, 0] = 2.0**20  # Its own block alone is coarse.
    found = as_operand(x, "mxfp8", axis=axis, aligned=False).values
    lost = np.argwhere(found == 0.0)
    assert len(lost) == 31
    assert (lost[:, 1 - axis] == 0).all()


def test_the_scale_of_a_tensor_is_kept_apart() -> None:
    x = np.linspace(-900, 900, 64, dtype=np.float32).reshape(2, 32)
    found = as_operand(x, "nvfp4", axis=1, aligned=False)
    assert found.scale != 1.0
    assert np.abs(found.values * found.scale - x).max() < 900 / 6


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(WorkloadError, match="unknown number format 'bf17'"):
        as_operand(np.ones((1, 1), dtype=np.float32), "bf17", axis=1, aligned=False)
