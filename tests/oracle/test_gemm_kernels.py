"""Do the fast matmul kernels give the bits of the sums one by one, on any shape and cut of k?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arithmetic import (
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    SumOrder,
    TwoStageSum,
)
from accelsim.formats import find_format
from accelsim.functional import gemm
from accelsim.functional.gemm import matmul, sum_rule
from accelsim.functional.operands import as_operand
from accelsim.functional.packed_matrix import pack_matrix
from accelsim.kernels import gemm_chain
from accelsim.kernels.lanes import PANEL
from accelsim.kernels.sums import exact_matmuls

Floats = NDArray[np.float32]
FAST = {
    "chain fp32": MatrixArithmetic("fp32", Chain()),
    "chain bf16": MatrixArithmetic("bf16", Chain()),
    "two roundings": MatrixArithmetic("fp32", Chain(fused=False)),
    "fold 16": MatrixArithmetic("bf16", Chain(fold=16)),
    "fold 5": MatrixArithmetic("fp32", Chain(fold=5)),
    "flushed": MatrixArithmetic("bf16", Chain(flush_subnormals=True)),
    "flushed fold": MatrixArithmetic("bf16", Chain(fold=16, flush_subnormals=True)),
    "flushed fp16": MatrixArithmetic("fp16", Chain(flush_subnormals=True)),
    "pairs": MatrixArithmetic("bf16", PairwiseSum(2)),
    "fours": MatrixArithmetic("fp16", PairwiseSum(4)),
    "flushed pairs": MatrixArithmetic("bf16", PairwiseSum(2, flush_subnormals=True)),
    "flushed fours": MatrixArithmetic("bf16", PairwiseSum(4, flush_subnormals=True)),
    "fused bf16": MatrixArithmetic("bf16", FusedSum(16, 25)),
    "fused fp16": MatrixArithmetic("fp16", FusedSum(8, 24)),
    "fused tf32": MatrixArithmetic("tf32", FusedSum(4, 24)),
    "fused fp8": MatrixArithmetic("fp8_e4m3", FusedSum(32, 13, 13)),
    "fused mxfp8": MatrixArithmetic("mxfp8_e4m3", FusedSum(32, 25)),
    "fused mxfp4": MatrixArithmetic("mxfp4", FusedSum(64, 35, group=16)),
    "fused nvfp4": MatrixArithmetic("nvfp4", FusedSum(64, 35, group=16)),
    "two stages": MatrixArithmetic("bf16", TwoStageSum(8)),
    "two stages tf32": MatrixArithmetic("tf32", TwoStageSum(4)),
    "interleaved": MatrixArithmetic("fp8_e4m3fnuz", TwoStageSum(16, interleaved=True)),
}
SHAPES = [(1, 30, 40), (2, 33, 5), (3, 64, 70), (5, 1, 1), (13, 98, 33), (130, 66, 65)]


def _values(
    rng: np.random.Generator, shape: tuple[int, ...], kind: str, operand: str = "bf16"
) -> Floats:
    """Normal values; of many magnitudes; or so small that products are subnormal."""
    x = rng.standard_normal(shape)
    if kind == "wide":
        binades = 11 if operand == "fp16" else 60
        x = np.ldexp(x, rng.integers(-binades, binades, shape))
    if kind == "tiny":
        x = np.ldexp(np.rint(4 * x), rng.integers(-78, -62, shape))
        x[..., 0] = 2.0**-63
    x[rng.random(shape) < 0.1] = 0.0
    return x.astype(np.float32)


def one_by_one(
    a: Floats, b: Floats, arithmetic: MatrixArithmetic, split_k: int = 1
) -> NDArray[np.float32]:
    """``a b`` for [t, m, k] and [t, k, n], every sum by its definition."""
    sums = arithmetic.sums
    taken = {
        "fmt": arithmetic.operand,
        "aligned": True,
        "group": sums.group if isinstance(sums, FusedSum) else 1,
        "flush": isinstance(sums, Chain | PairwiseSum) and sums.flush_subnormals,
    }
    x = as_operand(a, axis=2, **taken)  # type: ignore[arg-type]
    y = as_operand(np.ascontiguousarray(b.swapaxes(1, 2)), axis=2, **taken)  # type: ignore[arg-type]
    assert x.exponents is not None and y.exponents is not None
    depth = a.shape[2]
    step = max(1, -(-depth // split_k))
    total: NDArray[np.float32] | None = None
    for start in range(0, depth, step):
        at = slice(start, start + step)
        part = np.zeros((len(a), a.shape[1], b.shape[2]))
        exact_matmuls(
            sum_rule(arithmetic), x.values[..., at].astype(np.float64),
            np.ascontiguousarray(x.exponents[..., at]), y.values[..., at].astype(np.float64),
            np.ascontiguousarray(y.exponents[..., at]), part,
        )  # fmt: skip
        fresh = part.astype(np.float32)
        total = fresh if total is None else total + fresh
    assert total is not None
    scale = np.float64(x.scale) * y.scale
    return total if scale == 1 else (total * scale).astype(np.float32)


def _bits(x: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.where(np.isnan(x), np.uint32(0x7FC00000), x.view(np.uint32))


@pytest.fixture
def count_exact(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Calls of the slow form that `matmul` makes."""
    calls: list[int] = []
    slow: Callable[..., None] = gemm.exact_matmuls

    def counted(*arguments: object) -> None:
        calls.append(1)
        slow(*arguments)

    monkeypatch.setattr(gemm, "exact_matmuls", counted)
    return calls


@pytest.mark.parametrize("kind", ["normal", "wide", "tiny"])
@pytest.mark.parametrize("name", list(FAST))
def test_bits_are_those_of_sums_one_by_one(name: str, kind: str, count_exact: list[int]) -> None:
    rng = np.random.default_rng([*name.encode(), len(kind)])
    for m, depth, n in SHAPES:
        k = depth + depth % 2 if name == "interleaved" else depth
        for split_k in (1, 3):
            a, b = (_values(rng, s, kind, FAST[name].operand) for s in ((1, m, k), (1, k, n)))
            found = matmul(a, b, FAST[name], order=SumOrder(split_k))
            expected = one_by_one(a, b, FAST[name], split_k)
            wrong = np.argwhere(_bits(found) != _bits(expected))
            assert not len(wrong), (
                f"{len(wrong)} of {found.size} differ at {(m, k, n)}, split {split_k}: "
                f"{[(found[tuple(w)], expected[tuple(w)]) for w in wrong[:3]]}"
            )
    assert not count_exact


@pytest.mark.parametrize("name", ["chain bf16", "fours", "fused bf16", "fused nvfp4", "two stages"])
@pytest.mark.parametrize("m", [1, 2, 7])
def test_batches_are_matmuls_side_by_side(name: str, m: int) -> None:
    rng = np.random.default_rng(m)
    a, b = _values(rng, (3, m, 37), "wide"), _values(rng, (3, 37, 19), "wide")
    found = matmul(a, b, FAST[name])
    assert np.array_equal(_bits(found), _bits(one_by_one(a, b, FAST[name])))


@pytest.mark.parametrize("name", ["fused bf16", "fused tf32", "two stages", "two stages tf32"])
@pytest.mark.parametrize("m", [1, 6])
def test_sums_that_leave_fp32_inside_a_chain(name: str, m: int) -> None:
    rng = np.random.default_rng(m)
    largest = np.float32(2.0**127)
    a, b = (_values(rng, shape, "normal") for shape in ((1, m, 50), (1, 50, 20)))
    # Later blocks cancel the first: sums by the definition are infinite or NaN all the same.
    for place, sign in ((1, 1), (2, 1), (30, -1), (31, -1)):
        a[0, 0, place] = sign * largest
        b[0, place, ::3] = 1.5
    found, expected = matmul(a, b, FAST[name]), one_by_one(a, b, FAST[name])
    assert not np.isfinite(expected[0, 0, ::3]).any() and np.isfinite(expected[0, 0, 1])
    assert np.array_equal(_bits(found), _bits(expected))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("fold", [0, 7])
def test_chains_start_from_what_out_holds(fold: int, fused: bool) -> None:
    rng = np.random.default_rng(fold)
    a, b = _values(rng, (1, 14, 40), "normal"), _values(rng, (1, 40, 35), "normal")
    arithmetic = MatrixArithmetic("fp32", Chain(fused=fused, fold=fold))
    start = _values(rng, (1, 14, 35), "wide")
    packed = pack_matrix(b, arithmetic)
    left = np.zeros((1, -(-14 // gemm_chain.ROWS), 40, gemm_chain.ROWS), dtype=np.float32)
    gemm_chain.pack_k_last(a, left)
    tiled, row = start.copy(), start.copy()
    gemm_chain.chain_matmul(left, packed.values, (3, 33), fold, fused, 1, tiled)
    gemm_chain.chain_matvec(a, packed.values, (3, 33), fold, fused, 2, row)
    expected = start.astype(np.float64)
    none = np.zeros((1, 14, 30), dtype=np.int16), np.zeros((1, 35, 30), dtype=np.int16)
    columns = np.ascontiguousarray(b[:, 3:33].swapaxes(1, 2)).astype(np.float64)
    rows = np.ascontiguousarray(a[:, :, 3:33]).astype(np.float64)
    exact_matmuls(sum_rule(arithmetic), rows, none[0], columns, none[1], expected)
    for found in (tiled, row):
        assert np.array_equal(_bits(found), _bits(expected.astype(np.float32)))


def test_panels_hold_what_was_packed() -> None:
    rng = np.random.default_rng(5)
    b = _values(rng, (2, 9, PANEL + 3), "normal")
    arithmetic = FAST["chain fp32"]
    packed = pack_matrix(b, arithmetic)
    turned = pack_matrix(b.swapaxes(1, 2), arithmetic, transposed=True)
    assert np.array_equal(packed.values, turned.values)
    assert packed.values.shape == (2, 2, 9, PANEL)
    assert np.array_equal(packed.values[1, 1, :, :3], b[1, :, PANEL:])
    assert not packed.values[:, 1, :, 3:].any()


@pytest.mark.parametrize("saturate", [False, True])
def test_integers_are_exact(saturate: bool) -> None:
    rng = np.random.default_rng(6)
    for m, k, n in ((1, 1, 1), (5, 130, 129), (3, 300, 7)):
        a = rng.integers(-128, 128, (2, m, k), dtype=np.int8)
        b = rng.integers(-128, 128, (2, k, n), dtype=np.int8)
        arithmetic = MatrixArithmetic("int8", IntegerSum(saturate), "int32")
        for split_k in (1, 4):
            found = matmul(a, b, arithmetic, order=SumOrder(split_k))
            assert found.dtype == np.int32
            assert np.array_equal(found, a.astype(np.int64) @ b.astype(np.int64))


def test_int32_sums_wrap_or_saturate() -> None:
    k = 140_000  # 140000 x 2^14 is beyond 2^31.
    a, b = np.full((1, k), -128, dtype=np.int8), np.full((k, 1), -128, dtype=np.int8)
    wraps = matmul(a, b, MatrixArithmetic("int8", IntegerSum(), "int32"))
    clamps = matmul(a, b, MatrixArithmetic("int8", IntegerSum(saturate=True), "int32"))
    assert wraps[0, 0] == (k * 2**14 + 2**31) % 2**32 - 2**31
    assert clamps[0, 0] == 2**31 - 1


def answers() -> list[str]:
    """Bytes of small matmuls in every family, by the lanes of this process or without them."""
    rng = np.random.default_rng(7)
    found = []
    for value in FAST.values():
        for m in (1, 2, 5):
            k = 18 if find_format(value.operand).bits > 8 else 70
            a, b = (_values(rng, s, "wide", value.operand) for s in ((1, m, k), (1, k, 3)))
            found.append(matmul(a, b, value, order=SumOrder(m)).tobytes().hex())
    whole = rng.integers(-128, 128, (1, 3, 9)), rng.integers(-128, 128, (1, 9, 4))
    for saturate in (False, True):
        arithmetic = MatrixArithmetic("int8", IntegerSum(saturate), "int32")
        found.append(matmul(*whole, arithmetic).tobytes().hex())
    for arithmetic in (
        MatrixArithmetic("fp64", Chain("fp64"), "fp64"),
        MatrixArithmetic("fp32", Chain(flush_subnormals=True)),
        MatrixArithmetic("fp8_e4m3", FusedSum(16, 13), "fp16"),
    ):
        a, b = _values(rng, (1, 3, 18), "wide"), _values(rng, (1, 18, 4), "wide")
        found.append(matmul(a, b, arithmetic).tobytes().hex())
    return found


_SCRIPT = """
import json
from tests.oracle.test_gemm_kernels import answers
print(json.dumps(answers()))
"""


def test_compiled_and_plain_python_agree_to_the_last_bit() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _SCRIPT], capture_output=True, text=True, check=False,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1",
                          "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == answers()
