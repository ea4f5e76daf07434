"""Does the dequantising matmul give the bits of dequantising first, and of plain Python?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from accelsim.arithmetic import Chain, MatrixArithmetic, SumOrder
from accelsim.functional.formats import round_to
from accelsim.functional.gemm import matmul
from accelsim.functional.packed_matrix import pack_matrix
from accelsim.functional.quant.codes import IntegerCodes, quantize_integers
from accelsim.functional.quant.schemes import TensorScheme
from accelsim.functional.quant.stored import NarrowWeights, covers, narrow_weights
from accelsim.kernels.lanes import PANEL

_SCRIPT = """
import json
from tests.oracle.test_dequant_gemv import answers
print(json.dumps(answers()))
"""
BITS = {"int4": 4, "int8": 8}


def quantised(
    fmt: str, shape: tuple[int, int], group: int, symmetric: bool = True, size: float = 0.02
) -> IntegerCodes:
    weight = np.random.default_rng(group).standard_normal(shape).astype(np.float32) * size
    return quantize_integers(weight, TensorScheme(fmt, "group", group, symmetric=symmetric))


def narrow(found: IntegerCodes, fmt: str, operand: str, fold: int = 0) -> NarrowWeights:
    arithmetic = MatrixArithmetic(operand, Chain(fold=fold))
    assert covers(arithmetic, found)
    return narrow_weights(found, arithmetic, bits=BITS[fmt])


def words(values: np.ndarray) -> list[int]:
    return values.astype(np.float32).reshape(-1).view(np.uint32).tolist()


def fused(x: float, y: float, z: float) -> float:
    """x y + z rounded once to fp32, by fractions; all results here are normal numbers or zero."""
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        return 0.0
    mantissa, exponent = abs(exact), 0
    while mantissa >= 2**24:
        mantissa, exponent = mantissa / 2, exponent + 1
    while mantissa < 2**23:
        mantissa, exponent = mantissa * 2, exponent - 1
    rounded = float(round(mantissa) * Fraction(2) ** exponent)
    return rounded if exact > 0 else -rounded


def twin(found: IntegerCodes, x: np.ndarray, operand: str, fold: int, split: int) -> np.ndarray:
    """One product after the other, each weight dequantised where it is met."""
    n, k = found.codes.shape
    left = round_to(x, operand)
    step = -(-k // split)
    out = np.zeros((len(x), n), np.float32)
    for i in range(len(x)):
        for j in range(n):
            parts = []
            for start in range(0, k, step):
                total, chain = np.float32(0.0), 0.0
                for at in range(start, min(start + step, k)):
                    g = at // found.group
                    code = np.float32(found.codes[j, at]) - found.zeros[j, g]
                    weight = float(round_to(np.float32(code * found.scales[j, g]), operand))
                    chain = fused(float(left[i, at]), weight, chain)
                    if fold and (at + 1 - start) % fold == 0:
                        total, chain = total + np.float32(chain), 0.0
                parts.append(total + np.float32(chain) if fold else np.float32(chain))
            out[i, j] = sum(parts[1:], start=parts[0])
    return out


@pytest.mark.parametrize("fmt", ["int4", "int8"])
@pytest.mark.parametrize("operand", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize(("fold", "split"), [(0, 1), (5, 1), (0, 3)])
def test_every_sum_is_that_of_the_plain_twin(fmt: str, operand: str, fold: int, split: int) -> None:
    found = quantised(fmt, (5, 23), 6, symmetric=fold == 0)
    x = np.random.default_rng(3).standard_normal((2, 23)).astype(np.float32)
    got = narrow(found, fmt, operand, fold).multiply(x, SumOrder(split))
    assert words(got) == words(twin(found, x, operand, fold, split))


@pytest.mark.parametrize("fmt", ["int4", "int8"])
@pytest.mark.parametrize("operand", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("rows", [1, 2, 4, 5])
def test_bits_are_those_of_dequantising_first(fmt: str, operand: str, rows: int) -> None:
    shape = (2 * PANEL + 3, 131)
    x = np.random.default_rng(rows).standard_normal((rows, shape[1])).astype(np.float32)
    for group, symmetric, fold, split in ((32, True, 0, 1), (131, False, 16, 1), (7, True, 9, 4)):
        found = quantised(fmt, shape, group, symmetric)
        stored = narrow(found, fmt, operand, fold)
        packed = pack_matrix(found.values(), stored.arithmetic, transposed=True)
        order = SumOrder(split)
        wanted = matmul(x, packed, stored.arithmetic, order=order)
        assert words(stored.multiply(x, order)) == words(wanted)
        assert words(stored.values()) == words(round_to(found.values(), operand))


@pytest.mark.parametrize("exponent", [-26, -21, -15, -10, 6])
def test_subnormal_operands_are_rounded_right(exponent: int) -> None:
    found = quantised("int8", (PANEL, 64), 16, size=2.0**exponent)
    for operand in ("fp16", "bf16"):
        wanted = np.abs(round_to(found.values(), operand))
        assert words(np.abs(narrow(found, "int8", operand).values())) == words(wanted)


def test_ties_go_to_even() -> None:
    codes = np.arange(-127, 128, dtype=np.int8).reshape(1, -1)
    for step in (1.0, 257.0, 2.0**-17 + 2.0**-24, 1.0 + 2.0**-7, 3 * 2.0**-20):
        scales, zeros = np.float32([[step]]), np.float32([[0.0]])
        found = IntegerCodes(codes, scales, zeros, 255)
        for operand in ("bf16", "fp16"):
            if covers(MatrixArithmetic(operand, Chain()), found):
                wanted = np.abs(round_to(found.values(), operand))
                assert words(np.abs(narrow(found, "int8", operand).values())) == words(wanted)


def test_values_out_of_range_are_not_covered() -> None:
    codes = np.ones((1, 4), np.int8)
    for scale, operand in ((300.0, "fp16"), (np.nan, "bf16"), (np.inf, "bf16"), (1e30, "bf16")):
        found = IntegerCodes(codes, np.float32([[scale]]), np.float32([[0.0]]), 4)
        assert not covers(MatrixArithmetic(operand, Chain()), found)


def answers() -> list[list[int]]:
    """Sums and operands of odd shapes, groups, folds and cuts."""
    answered = []
    for fmt, operand, fold, split in (("int4", "bf16", 0, 1), ("int4", "fp16", 5, 1),
                                      ("int8", "bf16", 0, 2), ("int4", "fp32", 0, 3)):  # fmt: skip
        found = quantised(fmt, (PANEL + 1, 11), 3, symmetric=fold == 0)
        stored = narrow(found, fmt, operand, fold)
        x = np.random.default_rng(5).standard_normal((3, 11)).astype(np.float32)
        answered += [words(stored.multiply(x[:rows], SumOrder(split))) for rows in (1, 3)]
        answered.append(words(stored.values()))
    for clip in ("absmax", "mse"):
        weight = np.random.default_rng(6).standard_normal((2, 9)).astype(np.float32)
        scheme = TensorScheme("int4", "group", 4, clip, symmetric=False)  # type: ignore[arg-type]
        answered.append(words(quantize_integers(weight, scheme).values()))
    return answered


def test_compiled_and_plain_python_agree_to_the_last_bit() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _SCRIPT], capture_output=True, text=True, check=False,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1",
                          "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == answers()
