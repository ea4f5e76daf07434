"""Activations that arrive in 16 bits, brought to the format of a matmul by kernels before it."""

from __future__ import annotations

from typing import Any

from accelsim.workload.ops import Vector

CONVERSIONS = ("none", "static", "tensor", "block")
"""How: not at all; by a known scale; by one scale that is found first; by one scale per block."""
ARRIVING = "bf16"
SCALE_BLOCK = 128
"""Elements along k that share a scale where blocks are scaled (DeepSeek-V3 report, 2024)."""


def conversion_ops(prefix: str, how: str, rows: int, cols: int, dtype: str) -> tuple[Vector, ...]:
    """Return the kernels that convert ``[rows, cols]`` activations.

    Parameters
    ----------
    prefix : str
        Before the names of the ops.
    how : str
        One of `CONVERSIONS`.
    rows, cols : int
        Shape.
    dtype : str
        Format wanted.

    Notes
    -----
    A static scale takes one elementwise kernel. A scale of the whole tensor takes two sweeps: its
    largest magnitude, then the scaling. Blocks, of 16 to 128 elements or a row, are scaled by the
    lanes that read them, in one sweep.
    """
    shape: dict[str, Any] = {"rows": rows, "cols": cols, "dtype": ARRIVING}
    scaled = shape | {"out_dtype": dtype}
    match how:
        case "static":
            return (Vector(f"{prefix}.scale", fn="mul_scalar", **scaled),)
        case "tensor":
            return (
                Vector(f"{prefix}.amax", fn="amax", **shape),
                Vector(f"{prefix}.scale", fn="mul_scalar", **scaled),
            )
        case "block":
            return (Vector(f"{prefix}.quantize", fn="quantize", **scaled),)
    return ()
