"""Matrix instructions on raw bits: `mma` does to codes what one instruction of a unit does."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.arch.arithmetic import find_architecture
from accelsim.errors import WorkloadError
from accelsim.formats import FORMATS, Format, dtype_of
from accelsim.functional.formats import decode, encode
from accelsim.functional.gemm import sum_rule
from accelsim.functional.packing import unpack
from accelsim.kernels.sums import FUSED, SumRule, exact_matmuls, exponents

_NAMES = {
    "f16": "fp16", "bf16": "bf16", "f32": "fp32", "f64": "fp64", "tf32": "tf32", "xf32": "tf32",
    "e4m3": "fp8_e4m3", "e5m2": "fp8_e5m2", "fp8": "fp8_e4m3fnuz", "bf8": "fp8_e5m2fnuz",
    "e2m1": "fp4_e2m1", "e3m2": "fp6_e3m2", "e2m3": "fp6_e2m3", "ue8m0": "ue8m0", "ue4m3": "ue4m3",
}  # fmt: skip
_TYPE = "f16|bf16|f32|f64|tf32|e4m3|e5m2|e2m1|e3m2|e2m3"
_NVIDIA = re.compile(
    rf"(?:mma|wgmma|tcgen05mma)(?:_block_scale)?\.m\d+n\d+k(?P<k>\d+)(\.block(?P<block>\d+))?"
    rf"\.(?P<d>{_TYPE})\.(?P<a>{_TYPE})\.(?P<b>{_TYPE})(\.(?P<c>{_TYPE}))?"
    r"(\.(?P<scale>ue8m0|ue4m3))?"
)
_AMD = re.compile(
    r"(?:v_)?mfma[._](?P<d>f32|f64)_\d+x\d+x(?P<k>\d+)_?"
    r"(?P<a>bf16|f16|f32|f64|xf32|fp8|bf8)(_(?P<b>fp8|bf8))?(_1k)?"
)
_TILED = 3


@dataclass(frozen=True)
class Instruction:
    """A matrix instruction by its name: formats of its operands, depth, block scales.

    Attributes
    ----------
    a, b, c, d : Format
        Of the operands, of the accumulator that comes in and of the one that goes out.
    k : int
        Products per result.
    scale : Format or None
        Of block scales.
    block : int
        Values per block scale.
    """

    a: Format
    b: Format
    c: Format
    d: Format
    k: int
    scale: Format | None = None
    block: int = 0

    @classmethod
    def parse(cls, name: str) -> Instruction:
        """Read a name such as ``wgmma.m64n8k16.f32.bf16.bf16``.

        Raises
        ------
        WorkloadError
            If the name is of neither vendor's pattern.
        """
        match = _NVIDIA.fullmatch(name) or _AMD.fullmatch(name)
        if match is None:
            raise WorkloadError(
                f"unknown matrix instruction '{name[:80]}': expected a name such as "
                "'wgmma.m64n8k16.f32.bf16.bf16' or 'mfma.f32_16x16x16_f16'"
            )
        part = match.groupdict()
        scale = part.get("scale")
        if (scale is None) != (part.get("block") is None):
            raise WorkloadError(
                f"matrix instruction '{name}': block scales need both a block size (.block32) and "
                "a format (.ue8m0)"
            )
        a, d = part["a"], part["d"]

        def fmt(short: str) -> Format:
            return FORMATS[_NAMES[short]]

        return cls(
            fmt(a), fmt(part.get("b") or a), fmt(part.get("c") or d), fmt(d), int(part["k"]),
            fmt(scale) if scale else None, int(part.get("block") or 0),
        )  # fmt: skip

    @property
    def dtype(self) -> str:
        """Name under which architectures list this instruction's sums."""
        plain = dtype_of(self.a.name)
        if self.scale is None:
            return plain
        return "nvfp4" if self.scale.name == "ue4m3" else f"mx{plain}"


def mma(  # noqa: PLR0917  (the order is that of the instruction's operands)
    architecture: str,
    instruction: str,
    a: ArrayLike,
    b: ArrayLike,
    c: ArrayLike,
    scale_a: ArrayLike | None = None,
    scale_b: ArrayLike | None = None,
) -> NDArray[Any]:
    """Execute one matrix instruction per tile, on bit patterns: ``D = A B + C``.

    Parameters
    ----------
    architecture : str
        As in arch_specs/arithmetic.yaml, capitals and spaces ignored: "Hopper", "CDNA3".
    instruction : str
        Kind, shape and types in the vendor's words: "wgmma.m64n8k16.f32.bf16.bf16",
        "mfma.f32_16x16x16_f16". Of the shape only k counts: M and N may be any number, since every
        result is a sum of its own.
    a : array of uint, [T, M, K]
        Codes of the left operand, as wide as an element; e2m1 packed two per byte along k, the
        even one in the low nibble. tf32 words are fp32 words whose low 13 bits are ignored.
    b : array of uint, [T, K, N]
        Codes of the right operand.
    c : array of uint, [T, M, N]
        Codes of the accumulator.
    scale_a, scale_b : array of uint8, [T, M, K / block] and [T, K / block, N], optional
        Codes of the block scales, for instructions that take them.

    Returns
    -------
    array of uint, [T, M, N]
        Codes of the result. NaN is the one that the unit writes (aligned sums: 0x7fffffff, 0x7fff),
        or the quiet one of the format.

    Raises
    ------
    SpecError
        If the architecture is unknown.
    WorkloadError
        If the instruction is unknown to it, or arrays do not match it.

    Notes
    -----
    Every sum is worked out by its definition (`accelsim.kernels.sums`); `matmul` does the same
    arithmetic on whole matrices, faster.

    References
    ----------
    Xie et al., "MMA-Sim: Bit-accurate reference model of tensor cores and matrix cores", 2025,
    arXiv 2511.10909.
    """
    what = Instruction.parse(instruction)
    sums = find_architecture(architecture).matrix_arithmetic(
        what.dtype, instruction.split(".", 1)[-1]
    )
    rule = sum_rule(replace(sums, output=what.d.name))
    x, ex = _operand(_Given("a", a, what.a, scale_a), what, rule)
    y, ey = _operand(_Given("b", b, what.b, scale_b), what, rule)
    total = _values("c", np.asarray(c), what.c)
    if len(x) != len(y) or total.shape != (len(x), x.shape[1], y.shape[1]):
        raise WorkloadError(
            f"{instruction}: a gives {x.shape[:2]}, b {(len(y), y.shape[1])} [tiles, rows or "
            f"columns], but c has shape {total.shape}"
        )
    exact_matmuls(rule, x, ex, y, ey, total)
    return _written(total, what.d, rule)


@dataclass(frozen=True)
class _Given:
    """One operand as it was given."""

    name: str
    codes: ArrayLike
    format: Format
    scales: ArrayLike | None


def _operand(
    given: _Given, what: Instruction, rule: SumRule
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Values [T, rows, K] with block scales multiplied in, and what they are aligned by."""
    codes, scales = np.asarray(given.codes), given.scales
    if given.name == "b":
        codes = codes.swapaxes(1, -1) if codes.ndim == _TILED else codes
        scales = None if scales is None else np.asarray(scales).swapaxes(1, -1)
    values = _values(given.name, codes, given.format, what.k)
    if rule.flush:
        values = np.where(np.abs(values) < given.format.smallest_normal, 0.0, values)
    exponents = _exponents(values, given.format)
    if (scales is None) != (what.scale is None):
        need = "needs block scales" if what.scale else "takes no block scales"
        raise WorkloadError(f"scale_{given.name}: this instruction {need}")
    if scales is None or what.scale is None:
        return values, exponents
    blocks = np.asarray(scales)
    wanted = (*values.shape[:2], what.k // what.block)
    if blocks.dtype != np.uint8 or blocks.shape != wanted:
        raise WorkloadError(
            f"scale_{given.name} is {blocks.dtype} of {blocks.size} values, expected uint8 codes "
            f"for {wanted} [tiles, rows or columns, blocks of {what.block}]"
        )
    if what.scale.name == "ue4m3":
        blocks = blocks & np.uint8(0x7F)
    factors = decode(blocks, what.scale).astype(np.float64)
    values = values * np.repeat(factors, what.block, axis=2)
    of_scales = np.repeat(_exponents(factors, what.scale), what.block, axis=2)
    return values, (of_scales if rule.group > 1 else exponents + of_scales)


def _values(
    name: str, codes: NDArray[Any], fmt: Format, k: int | None = None
) -> NDArray[np.float64]:
    """Decode one operand, [T, rows, K] (nibbles are unpacked), or the accumulator."""
    wide = 8 * max(1, fmt.stored_bits // 8)
    if codes.dtype != np.dtype(f"uint{wide}") or codes.ndim != _TILED:
        raise WorkloadError(
            f"{name} is {codes.dtype} of shape {codes.shape}: expected {fmt.name} bit patterns in "
            f"uint{wide} with a leading axis of tiles"
        )
    packed = 2 if fmt.stored_bits == 4 else 1
    if k is not None and codes.shape[2] * packed != k:
        raise WorkloadError(
            f"{name} holds {codes.shape[2] * packed} values along k, the instruction takes {k}"
        )
    if packed > 1:
        codes = unpack(np.ascontiguousarray(codes), fmt, codes.shape[2] * packed)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return np.ascontiguousarray(decode(np.ascontiguousarray(codes), fmt), dtype=np.float64)


def _exponents(values: NDArray[np.float64], fmt: Format) -> NDArray[np.int16]:
    out = np.empty(values.shape, dtype=np.int16)
    exponents(values.reshape(-1), fmt.min_exponent, out.reshape(-1))
    return out


def _written(total: NDArray[np.float64], fmt: Format, rule: SumRule) -> NDArray[Any]:
    """Codes of results; units of aligned sums write one NaN, all ones but the sign."""
    codes = encode(total, fmt)
    if rule.family == FUSED:
        ones = (1 << (fmt.stored_bits - 1)) - 1
        codes = np.where(np.isnan(total), codes.dtype.type(ones), codes)
    return codes
