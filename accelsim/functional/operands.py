"""Operands of a matrix unit: values rounded to its format, and the exponents they align by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import BlockFormat, Format, find_format
from accelsim.functional.block_formats import BlockScaled, quantize_blocks
from accelsim.functional.formats import decode, round_to
from accelsim.kernels.gemm_aligned import alignment_exponents
from accelsim.kernels.sums import ZERO_EXPONENT

_FAR = 2.0**100


@dataclass(frozen=True)
class Operand:
    """Values as a matrix unit takes them in.

    Attributes
    ----------
    values : array of float32
        Rounded to the format; block scales are multiplied in, the scale of a tensor is not.
    exponents : array of int8 (int16 with block scales) or None
        What each value is aligned by (see `accelsim.kernels.sums`); None where nothing aligns.
    scale : float
        Scale of the whole tensor.
    """

    values: NDArray[np.float32]
    exponents: NDArray[Any] | None = None
    scale: float = 1.0


def as_operand(
    x: NDArray[Any],
    fmt: str,
    *,
    axis: int,
    aligned: bool,
    group: int = 1,
    flush: bool = False,
) -> Operand:
    """Round an array to the operand format of a matrix unit.

    Parameters
    ----------
    x : array of float32 or float64
        Any shape; rounded once.
    fmt : str
        Name of a scalar or block format. tf32 drops the low bits of fp32 words, as the
        instructions do; formats of 8 bits and fewer saturate, as conversions to them do.
    axis : int
        The axis of k, along which blocks of a block format lie.
    aligned : bool
        Whether exponents are needed.
    group : int
        Products per term of the sum; where it is more than 1, terms align by their scales alone.
    flush : bool
        Values below the smallest normal one of the format become +0.
    """
    found = find_format(fmt)
    if isinstance(found, BlockFormat):
        return block_operand(quantize_blocks(x, found, axis=axis), aligned=aligned, group=group)
    values = rounded_operand(x, found, flush=flush)
    return Operand(values, alignment_of(values, found) if aligned else None)


def rounded_operand(
    x: NDArray[Any],
    fmt: Format,
    *,
    flush: bool = False,
) -> NDArray[np.float32]:
    """Round to a scalar format the way that operands are converted to it; see `as_operand`."""
    values = x
    if fmt.name == "fp32":
        with np.errstate(over="ignore", invalid="ignore"):
            values = x.astype(np.float32, copy=False)
    else:
        rounding = "toward_zero" if fmt.name == "tf32" else "nearest_even"
        values = round_to(x, fmt, rounding=rounding, saturate=fmt.is_narrow)
    if flush:
        values = np.where(np.abs(values) < fmt.smallest_normal, np.float32(0.0), values)
    return values


def alignment_of(values: NDArray[np.float32], fmt: Format) -> NDArray[np.int8]:
    """Return the exponents that values of a scalar format are aligned by."""
    return alignment_of_words(np.ascontiguousarray(values).view(np.uint32), fmt)


def alignment_of_words(words: NDArray[Any], fmt: Format) -> NDArray[np.int8]:
    """Return the exponents that values are aligned by.

    Parameters
    ----------
    words : array of uint32 or uint16
        Of fp32 values, or their upper halves.
    fmt : Format
    """
    out = np.empty(words.shape, dtype=np.int8)
    alignment_exponents(words.reshape(-1), fmt.min_exponent, out.reshape(-1))
    return out


def block_operand(blocks: BlockScaled, *, aligned: bool, group: int = 1) -> Operand:
    """Take in a tensor that is in a block format already, blocks along k; see `as_operand`."""
    fmt, axis = blocks.format, blocks.axis
    elements = decode(blocks.codes, fmt.element).astype(np.float32, copy=False)
    scales = blocks.scales().astype(np.float32, copy=False)
    size = elements.shape[axis]

    def spread(per_block: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(per_block, fmt.block, axis=axis).take(np.arange(size), axis=axis)

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values = np.ascontiguousarray(elements * spread(scales), dtype=np.float32)
    if _leaves_fp32(scales):
        exact = elements.astype(np.float64) * spread(scales)
        lost = np.count_nonzero((exact != values) & np.isfinite(exact))
        if lost:
            raise WorkloadError(
                f"{lost} values of {fmt.name} times their scales leave fp32, in which operands "
                "travel: rescale the tensor"
            )
    if not aligned:
        return Operand(values, None, float(blocks.tensor_scale))
    of_scales = spread(alignment_of(scales, fmt.scale)).astype(np.int16)
    own = alignment_of(elements, fmt.element) if group == 1 else np.int8(0)
    floor = np.int16(2 * ZERO_EXPONENT)
    exponents = np.maximum(of_scales + own, floor)
    return Operand(values, np.ascontiguousarray(exponents), float(blocks.tensor_scale))


def _leaves_fp32(scales: NDArray[np.float32]) -> bool:
    """Whether scales are so large or small that products with elements may leave fp32."""
    sizes = np.abs(scales[np.isfinite(scales) & (scales != 0.0)])
    return bool(sizes.size and (sizes.max() > _FAR or sizes.min() < 1.0 / _FAR))
