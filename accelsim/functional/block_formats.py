"""Block-scaled formats: MX (a power of two per 32 values), NVFP4 (ue4m3 per 16, fp32 per tensor).

References
----------
OCP Microscaling Formats (MX) Specification v1.0, 2023 (conversion of vectors: "floor"); Mishra
et al., Recipes for Pre-training LLMs with MXFP8, 2025, arXiv 2506.08027 ("ceil"); NVIDIA,
Pretraining Large Language Models with NVFP4, 2025, arXiv 2509.25149 (two levels of scales).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError, suggest
from accelsim.formats import BLOCK_FORMATS, BlockFormat, find_format
from accelsim.functional.formats import (
    code_layout,
    decode,
    encode,
    real_array,
    rounding_mode,
    rounding_rule,
)
from accelsim.kernels.block_formats import encode_blocks, largest, scale_blocks

SCALE_RULES = ("floor", "ceil")
_UE8M0_NAN = 255
_UE8M0_BIAS = 127
_LARGEST_FP32 = float(np.finfo(np.float32).max)
_SMALLEST_FP32 = float(np.finfo(np.float32).smallest_subnormal)


@dataclass(frozen=True, eq=False)
class BlockScaled:
    """A tensor in a block format.

    Attributes
    ----------
    format : BlockFormat
    codes : array of uint8
        Of the elements, one per byte; in the shape of the tensor.
    scale_codes : array of uint8
        Of the scales; the shape of the tensor with `axis` cut to the number of blocks.
    axis : int
        Along which blocks lie.
    tensor_scale : float
        A float32 that multiplies everything; 1 where the format has none.

    Raises
    ------
    WorkloadError
        If arrays are not uint8, or shapes do not belong together.
    """

    format: BlockFormat
    codes: NDArray[np.uint8]
    scale_codes: NDArray[np.uint8]
    axis: int = -1
    tensor_scale: float = 1.0

    def __post_init__(self) -> None:
        for name, array in (("codes", self.codes), ("scale_codes", self.scale_codes)):
            if array.dtype != np.uint8:
                raise WorkloadError(f"{name} of {self.format.name} are {array.dtype}, not uint8")
        _check_axis(self.codes.shape, self.axis)
        wanted = list(self.codes.shape)
        wanted[self.axis] = -(-wanted[self.axis] // self.format.block)
        if self.scale_codes.shape != tuple(wanted):
            raise WorkloadError(
                f"scale_codes have shape {self.scale_codes.shape}, but {self.format.name} of shape "
                f"{self.codes.shape} in blocks of {self.format.block} along axis {self.axis} has "
                f"scales of shape {tuple(wanted)}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.codes.shape

    @property
    def stored_bytes(self) -> float:
        """Bytes in memory: packed elements, scales, and the scale of the tensor."""
        bits = self.codes.size * self.format.element.stored_bits
        bits += self.scale_codes.size * self.format.scale.stored_bits
        return bits / 8 + (4 if self.format.tensor_scale else 0)

    def scales(self) -> NDArray[np.float32]:
        """Return the scale of each block as float32, without that of the tensor."""
        return decode(self.scale_codes, self.format.scale)

    def values(self) -> NDArray[np.float32]:
        """Return element x scale of its block x scale of the tensor, rounded once to float32."""
        elements = decode(_rows(self.codes, self.axis), self.format.element)
        scales = _rows(self.scales(), self.axis)
        found = np.empty(elements.shape, np.float32)
        scale_blocks(elements, scales, self.format.block, float(self.tensor_scale), found)
        return _as_before(found, self.codes.shape, self.axis)


def quantize_blocks(
    x: ArrayLike,
    fmt: str | BlockFormat,
    axis: int = -1,
    *,
    rounding: str = "nearest_even",
    seed: int | None = None,
    scale_rule: str = "floor",
    tensor_scale: float | None = None,
) -> BlockScaled:
    """Quantise a tensor to a block format.

    Parameters
    ----------
    x : array
        Real numbers of any shape with at least one axis.
    fmt : str or BlockFormat
        ``mxfp8_e4m3``, ``mxfp8_e5m2``, ``mxfp6_e3m2``, ``mxfp6_e2m3``, ``mxfp4`` or ``nvfp4``.
    axis : int, optional
        Along which consecutive values share a scale; the last block may be shorter.
    rounding, seed : optional
        Of elements, as in `accelsim.functional.formats.round_to`; element i is counted with `axis`
        last. Elements saturate. Scales are rounded to nearest even (ue4m3) or by `scale_rule`.
    scale_rule : str, optional
        Of MX: ``floor``, that of the OCP specification, saturates elements above the largest
        one; ``ceil`` takes the smallest power of two under which none does.
    tensor_scale : float, optional
        Of NVFP4, where it is known beforehand; else found from the largest finite value of `x`.

    Returns
    -------
    BlockScaled

    Raises
    ------
    WorkloadError
        If the format, rounding or rule is unknown, `x` holds no real numbers, or an option does
        not belong to the format.

    Notes
    -----
    With a the largest magnitude of a block and m that of an element: MX floor, ``2**(floor(log2 a)
    - floor(log2 m))``; MX ceil, ``2**ceil(log2(a / m))``, both held within 2^-127 and 2^127. NVFP4,
    with A the largest magnitude of all: ``t = A / (448 m)`` rounded to fp32, and ``ue4m3(a / (m
    t))``. Elements are ``x / (scale t)``. A block with NaN or Inf gets a NaN scale and zero codes:
    all its values are NaN; other blocks are untouched.
    """
    known = block_format(fmt)
    mode = rounding_mode(rounding, seed)
    given = real_array(x)
    _check_axis(given.shape, axis)
    _check_options(known, scale_rule, tensor_scale)
    rows = _rows(given, axis)
    peaks = np.empty((rows.shape[0], -(-rows.shape[1] // known.block)))
    largest(rows, known.block, peaks)
    if known.tensor_scale:
        of_tensor = _tensor_scale(peaks, known) if tensor_scale is None else float(tensor_scale)
        relative = peaks / (known.element.max * of_tensor)
        scale_codes = encode(relative, known.scale, saturate=True)
    else:
        of_tensor = 1.0
        scale_codes = _power_of_two_codes(peaks, known, scale_rule)
    divisors = decode(scale_codes, known.scale).astype(np.float64) * of_tensor
    codes = np.empty(rows.shape, np.uint8)
    rule, layout = rounding_rule(known.element, True), code_layout(known.element)
    encode_blocks(rows, divisors, known.block, rule, layout, mode, seed or 0, codes)
    blocks = list(given.shape)
    blocks[axis] = peaks.shape[1]
    return BlockScaled(
        known,
        _as_before(codes, given.shape, axis),
        _as_before(scale_codes, tuple(blocks), axis),
        axis,
        of_tensor,
    )


def block_format(fmt: str | BlockFormat) -> BlockFormat:
    """Return the block format of this name.

    Raises
    ------
    WorkloadError
        If the name is unknown, or that of a scalar format.
    """
    known = find_format(fmt) if isinstance(fmt, str) else fmt
    if not isinstance(known, BlockFormat):
        name = getattr(known, "name", known)
        raise WorkloadError(f"'{name}' has no block scales: {suggest(str(name), BLOCK_FORMATS)}")
    return known


def _tensor_scale(peaks: NDArray[np.float64], fmt: BlockFormat) -> float:
    """Return the fp32 scale that brings the largest finite value to the largest of the format."""
    most = float(np.max(peaks, initial=0.0, where=np.isfinite(peaks)))
    if most == 0.0:
        return 1.0
    return max(float(np.float32(min(most / fmt.max, _LARGEST_FP32))), _SMALLEST_FP32)


def _power_of_two_codes(
    peaks: NDArray[np.float64], fmt: BlockFormat, scale_rule: str
) -> NDArray[np.uint8]:
    """Return the ue8m0 codes of blocks with these largest magnitudes."""
    bad = np.isnan(peaks)
    finite = np.where(bad, 0.0, peaks)
    exponent = np.frexp(finite)[1].astype(np.int64) - 1 - fmt.element.max_exponent
    if scale_rule == "ceil":
        # A ratio to the power of two just found lies in [1, 2) times 2^max_exponent.
        exponent += np.ldexp(finite, -exponent) > fmt.element.max
    exponent = np.where(finite == 0.0, -_UE8M0_BIAS, exponent)
    codes = np.clip(exponent, -_UE8M0_BIAS, _UE8M0_BIAS) + _UE8M0_BIAS
    return np.where(bad, _UE8M0_NAN, codes).astype(np.uint8)


def _check_options(fmt: BlockFormat, scale_rule: str, tensor_scale: float | None) -> None:
    if scale_rule not in SCALE_RULES:
        raise WorkloadError(
            f"unknown scale_rule '{scale_rule}': {suggest(str(scale_rule), SCALE_RULES)}"
        )
    if fmt.tensor_scale and scale_rule != "floor":
        raise WorkloadError(f"scale_rule is of MX formats: the scales of {fmt.name} are rounded")
    if tensor_scale is None:
        return
    if not fmt.tensor_scale:
        raise WorkloadError(f"{fmt.name} has no tensor scale: leave tensor_scale out")
    as_fp32 = np.float32(tensor_scale)
    if not (0.0 < as_fp32 < np.inf and float(as_fp32) == float(tensor_scale)):
        raise WorkloadError(f"tensor_scale is {tensor_scale}, expected a positive fp32 value")


def _check_axis(shape: tuple[int, ...], axis: int) -> None:
    if not -len(shape) <= axis < len(shape):
        raise WorkloadError(f"axis is {axis}, but the shape is {shape}")


def _rows(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return a contiguous (rows, n) array with `axis` as n."""
    moved = np.ascontiguousarray(np.moveaxis(array, axis, -1))
    return moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])


def _as_before(rows: NDArray[Any], shape: tuple[int, ...], axis: int) -> NDArray[Any]:
    """Return the rows in the shape that `_rows` was given."""
    moved = list(shape)
    moved.append(moved.pop(axis))
    return np.moveaxis(rows.reshape(moved), -1, axis)
