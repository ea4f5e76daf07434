"""Codes of 4 and 6 bits without gaps in bytes, as memory holds them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import Format
from accelsim.functional.formats import code_dtype, scalar_format
from accelsim.kernels.formats import pack_rows, unpack_rows

_WIDTHS = (4, 6)


def pack(codes: ArrayLike, fmt: str | Format) -> NDArray[np.uint8]:
    """Pack codes along the last axis.

    Parameters
    ----------
    codes : array of int, shape (..., n)
        As `encode` returns them.
    fmt : str or Format
        A format of 4 or 6 bits.

    Returns
    -------
    array of uint8, shape (..., ceil(n bits / 8))
        Little endian: code i lies in bits ``i bits`` to ``(i + 1) bits - 1`` of the row. So of 4
        bits the even index is in the low nibble, and of 6 bits four codes are in three bytes,
        ``c0 | c1 << 6 | c2 << 12 | c3 << 18``. Bits left over are zero.

    Raises
    ------
    WorkloadError
        If the format has another width, or a code does not fit it.
    """
    known = _packed_format(fmt)
    bits = known.bits
    given = np.asarray(codes)
    if given.dtype.kind not in "iu" or given.ndim == 0:
        raise WorkloadError(f"codes are {given.dtype} of shape {given.shape}, expected an array "
                            f"of integers of {known.name}")  # fmt: skip
    low = -(1 << (bits - 1)) if known.kind == "int" else 0
    if given.size and not (low <= int(given.min()) and int(given.max()) < low + (1 << bits)):
        raise WorkloadError(
            f"codes go from {given.min()} to {given.max()}, but those of {known.name} from {low} "
            f"to {low + (1 << bits) - 1}"
        )
    n = given.shape[-1]
    packed = np.zeros((*given.shape[:-1], -(-n * bits // 8)), np.uint8)
    pack_rows(_rows(given), bits, _rows(packed))
    return packed


def unpack(packed: ArrayLike, fmt: str | Format, count: int) -> NDArray[Any]:
    """Return the codes that `pack` has packed.

    Parameters
    ----------
    packed : array of uint8, shape (..., ceil(count bits / 8))
    fmt : str or Format
        A format of 4 or 6 bits.
    count : int
        Codes per row.

    Returns
    -------
    array, shape (..., count)
        uint8; int8 of int4.

    Raises
    ------
    WorkloadError
        If the format has another width, or `count` codes do not fill the bytes.
    """
    known = _packed_format(fmt)
    bits = known.bits
    octets = np.asarray(packed)
    wanted = -(-int(count) * bits // 8)
    if octets.dtype != np.uint8 or octets.ndim == 0 or octets.shape[-1] != wanted or count < 0:
        raise WorkloadError(
            f"packed codes are {octets.dtype} of shape {octets.shape}, but {count} of "
            f"{known.name} are uint8 with a last axis of {wanted}"
        )
    codes = np.empty((*octets.shape[:-1], int(count)), code_dtype(known))
    unpack_rows(_rows(octets), bits, known.kind == "int", _rows(codes))
    return codes


def _packed_format(fmt: str | Format) -> Format:
    known = scalar_format(fmt)
    if known.bits not in _WIDTHS:
        raise WorkloadError(
            f"{known.name} has {known.bits} bits: only codes of 4 and 6 bits are packed"
        )
    return known


def _rows(array: NDArray[Any]) -> NDArray[Any]:
    """Return (rows, n) with the last axis as n, a view where the array is contiguous."""
    return np.ascontiguousarray(array).reshape(math.prod(array.shape[:-1]), array.shape[-1])
