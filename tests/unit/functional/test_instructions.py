"""Matrix instructions by the vendors' names: what they take, what they give, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.errors import SpecError, WorkloadError
from accelsim.functional.instructions import Instruction, mma

WGMMA = "wgmma.m64n8k16.f32.bf16.bf16"
SCALED = "mma_block_scale.m16n8k64.block32.f32.e2m1.e2m1.f32.ue8m0"

NAMES = {
    WGMMA: ("bf16", "bf16", "fp32", "fp32", 16, "bf16"),
    "mma.m8n8k4.f32.f16.f16.f16": ("fp16", "fp16", "fp16", "fp32", 4, "fp16"),
    "mma.m16n8k8.f32.tf32.tf32.f32": ("tf32", "tf32", "fp32", "fp32", 8, "tf32"),
    "mma.m16n8k32.f32.e4m3.e5m2.f32": ("fp8_e4m3", "fp8_e5m2", "fp32", "fp32", 32, "fp8"),
    "tcgen05mma.m64n8k32.f16.e4m3.e4m3": ("fp8_e4m3", "fp8_e4m3", "fp16", "fp16", 32, "fp8"),
    "mma.m8n8k4.f64.f64.f64.f64": ("fp64", "fp64", "fp64", "fp64", 4, "fp64"),
    "mfma.f32_16x16x16_f16": ("fp16", "fp16", "fp32", "fp32", 16, "fp16"),
    "mfma.f32_16x16x16f16": ("fp16", "fp16", "fp32", "fp32", 16, "fp16"),
    "v_mfma_f32_16x16x16bf16_1k": ("bf16", "bf16", "fp32", "fp32", 16, "bf16"),
    "mfma.f32_16x16x8_xf32": ("tf32", "tf32", "fp32", "fp32", 8, "tf32"),
    "mfma.f32_16x16x32_fp8_bf8": ("fp8_e4m3fnuz", "fp8_e5m2fnuz", "fp32", "fp32", 32, "fp8"),
    "mfma.f64_16x16x4_f64": ("fp64", "fp64", "fp64", "fp64", 4, "fp64"),
}


@pytest.mark.parametrize("name", list(NAMES))
def test_names_say_formats_and_depth(name: str) -> None:
    found = Instruction.parse(name)
    formats = (found.a.name, found.b.name, found.c.name, found.d.name)
    assert (*formats, found.k, found.dtype) == NAMES[name]
    assert found.scale is None


@pytest.mark.parametrize(
    ("name", "scale", "block", "dtype"),
    [
        (SCALED, "ue8m0", 32, "mxfp4"),
        ("mma_block_scale.m16n8k64.block16.f32.e2m1.e2m1.f32.ue4m3", "ue4m3", 16, "nvfp4"),
        ("tcgen05mma_block_scale.m128n8k32.block32.f32.e4m3.e4m3.ue8m0", "ue8m0", 32, "mxfp8"),
    ],
)
def test_names_say_block_scales(name: str, scale: str, block: int, dtype: str) -> None:
    found = Instruction.parse(name)
    assert found.scale is not None
    assert (found.scale.name, found.block, found.dtype) == (scale, block, dtype)


def _bf16(x: Any) -> np.ndarray[Any, np.dtype[np.uint16]]:
    words = np.asarray(x, dtype=np.float32).view(np.uint32)
    return (words >> 16).astype(np.uint16)


def _operands() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-8, 8, (3, 64, 16)), rng.integers(-8, 8, (3, 16, 8))
    c = rng.integers(-8, 8, (3, 64, 8)).astype(np.float32)
    return a, b, c


@pytest.mark.parametrize("architecture", ["Hopper", "hopper", "HOPPER", "Blackwell", "ampere"])
def test_small_integers_are_exact_everywhere(architecture: str) -> None:
    a, b, c = _operands()
    found = mma(architecture, WGMMA, _bf16(a), _bf16(b), c.view(np.uint32))
    assert found.dtype == np.uint32
    assert np.array_equal(found.view(np.float32), (a @ b + c).astype(np.float32))


def test_nibbles_are_packed_two_per_byte_and_scaled() -> None:
    a = np.full((1, 16, 32), 0x22, dtype=np.uint8)  # 1 and 1
    b = np.full((1, 32, 8), 0x42, dtype=np.uint8)  # 1 in the even place, 2 in the odd one
    c = np.zeros((1, 16, 8), dtype=np.uint32)
    scale_a = np.full((1, 16, 2), 128, dtype=np.uint8)  # 2
    scale_b = np.full((1, 2, 8), 127, dtype=np.uint8)  # 1
    found = mma("RTXBlackwell", SCALED, a, b, c, scale_a, scale_b)
    assert (found.view(np.float32) == 2 * (32 * 1 + 32 * 2)).all()
    scale_b[0, 1] = 0xFF
    assert (mma("RTXBlackwell", SCALED, a, b, c, scale_a, scale_b) == 0x7FFFFFFF).all()


def test_nan_is_the_one_that_the_unit_writes() -> None:
    a, b, c = _operands()
    left = _bf16(a)
    left[0, 0, 0] = 0x7FC1
    assert (mma("Hopper", WGMMA, left, _bf16(b), c.view(np.uint32))[0, 0] == 0x7FFFFFFF).all()
    half = np.zeros((1, 8, 4), dtype=np.uint16)
    half[0, 0, 0] = 0x7E00
    zeros = np.zeros((1, 4, 8), dtype=np.uint16), np.zeros((1, 8, 8), dtype=np.uint16)
    found = mma("Volta", "mma.m8n8k4.f16.f16.f16.f16", half, *zeros)
    assert (found[0, 0] == 0x7FFF).all()


A, B, C = (_bf16(_operands()[0]), _bf16(_operands()[1]), _operands()[2].view(np.uint32))
SCALES = (np.zeros((3, 64, 1), np.uint8), np.zeros((3, 1, 8), np.uint8))
BAD: dict[str, tuple[Any, ...]] = {
    "no name": ("Hopper", "", A, B, C, "unknown matrix instruction"),
    "half a name": ("Hopper", "wgmma.m64n8k16.f32", A, B, C, "expected a name such as"),
    "a kind nobody has": ("Hopper", "foo.m64n8k16.f32.bf16.bf16", A[0], B, C, "unknown matrix"),
    "a type nobody has": ("Hopper", "wgmma.m64n8k16.f32.bf17.bf17", A, B, C, "unknown matrix"),
    "a shape without k": ("Hopper", "wgmma.m64n8.f32.bf16.bf16", A, B, C, "unknown matrix"),
    "scales without a block": ("Blackwell", WGMMA + ".ue8m0", A, B, C, "need both a block size"),
    "a is signed": ("Hopper", WGMMA, A.astype(np.int16), B, C, "a is int16"),
    "a is floats": ("Hopper", WGMMA, A.astype(np.float32), B, C, "a is float32"),
    "c is too narrow": ("Hopper", WGMMA, A, B, C.astype(np.uint16), "c is uint16"),
    "no axis of tiles": ("Hopper", WGMMA, A[0], B[0], C[0], "leading axis of tiles"),
    "k of a": ("Hopper", WGMMA, A[:, :, :8], B, C, "a holds 8 values along k"),
    "k of b": ("Hopper", WGMMA, A, B[:, :8], C, "b holds 8 values along k"),
    "tiles of b": ("Hopper", WGMMA, A, B[:2], C, "a gives"),
    "shape of c": ("Hopper", WGMMA, A, B, C[:, :, :4], r"c has shape \(3, 64, 4\)"),
    "scales unasked": ("Hopper", WGMMA, A, B, C, *SCALES, "takes no block scales"),
}


@pytest.mark.parametrize("arguments", BAD.values(), ids=list(BAD))
def test_what_is_no_instruction_is_refused(arguments: tuple[Any, ...]) -> None:
    *given, told = arguments
    with pytest.raises(WorkloadError, match=told):
        mma(*given)


def test_scales_that_are_missing_or_of_another_shape_are_refused() -> None:
    a, b = np.zeros((1, 16, 32), np.uint8), np.zeros((1, 32, 8), np.uint8)
    c = np.zeros((1, 16, 8), np.uint32)
    with pytest.raises(WorkloadError, match="scale_a: this instruction needs block scales"):
        mma("RTXBlackwell", SCALED, a, b, c)
    wrong = np.zeros((1, 16, 3), np.uint8)
    with pytest.raises(WorkloadError, match="scale_a is uint8 of 48 values"):
        mma("RTXBlackwell", SCALED, a, b, c, wrong, np.zeros((1, 2, 8), np.uint8))


def test_units_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SpecError, match=r"unknown architecture 'Hoper'.*hopper"):
        mma("Hoper", WGMMA, A, B, C)
    with pytest.raises(SpecError, match="no sums for bf16"):
        mma("Volta", WGMMA, A, B, C)
