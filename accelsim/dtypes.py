"""Number formats by name: how wide they are in memory and what a chip without them uses instead.

Only storage and substitution live here; encoding and rounding belong to the functional core.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from accelsim.errors import WorkloadError, suggest


@dataclass(frozen=True)
class DType:
    """One number format.

    Attributes
    ----------
    name : str
        Canonical lower-case name.
    bits : float
        Bits per element in memory, block scales included (mxfp8: 8 + 8/32).
    kind : str
        ``"float"`` or ``"int"``.
    fallbacks : tuple of str
        Formats that a unit without this one computes in instead, nearest first. All hold every
        significand of the format, but for two exchanges of 16 bits: the last of fp16 and bf16
        (each other), and the floats of w8a16, which hold its weights and not its activations.
    """

    name: str
    bits: float
    kind: str
    fallbacks: tuple[str, ...] = ()

    @property
    def bytes(self) -> float:
        """Bytes per element in memory (fractional for sub-byte and block-scaled formats)."""
        return self.bits / 8

    @property
    def block_scaled(self) -> bool:
        """Whether blocks of elements share a scale, as in the mx and nv formats."""
        return self.kind == "float" and self.bits % 1 != 0


_FROM_8_BIT = ("bf16", "fp16", "tf32", "fp32")
_TABLE = (
    DType("fp64", 64, "float"),
    DType("fp32", 32, "float", ("fp64",)),
    DType("tf32", 32, "float", ("fp32",)),
    DType("bf16", 16, "float", ("tf32", "fp32", "fp16")),
    DType("fp16", 16, "float", ("tf32", "fp32", "bf16")),
    DType("fp8", 8, "float", _FROM_8_BIT),
    DType("fp6", 6, "float", ("fp8", *_FROM_8_BIT)),
    DType("fp4", 4, "float", ("fp6", "fp8", *_FROM_8_BIT)),
    DType("mxfp8", 8.25, "float", ("fp8", *_FROM_8_BIT)),
    DType("mxfp6", 6.25, "float", ("mxfp8", "fp8", *_FROM_8_BIT)),
    DType("mxfp4", 4.25, "float", ("nvfp4", "fp4", "mxfp6", "mxfp8", "fp8", *_FROM_8_BIT)),
    DType("nvfp4", 4.5, "float", ("mxfp4", "fp4", "mxfp8", "fp8", *_FROM_8_BIT)),
    DType("int32", 32, "int", ("fp64",)),
    DType("int16", 16, "int", ("fp32", "int32", "fp64")),
    # 16-bit activations that meet 8-bit weights: stored as the former, faster than 16 by 16 bits.
    # Floating-point chips keep the 16 bits of activations; 8-bit weights are exact in both.
    DType("w8a16", 16, "int", ("int16", "fp16", "bf16", "tf32", "fp32", "int32", "fp64")),
    DType("int8", 8, "int", ("fp16", "bf16", "tf32", "fp32", "int32")),
    DType("int4", 4, "int", ("int8", "fp8", "bf16", "fp16", "tf32", "fp32")),
)
DTYPES: dict[str, DType] = {d.name: d for d in _TABLE}
_GROUPED = re.compile(r"(int4|int8)-g([1-9][0-9]{0,5})")
_SCALE_BITS = 32
_ALIASES = {
    "float64": "fp64", "float32": "fp32", "float": "fp32", "bfloat16": "bf16", "float16": "fp16",
    "half": "fp16", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "float8": "fp8", "e4m3": "fp8",
    "e5m2": "fp8", "w8a8": "int8",
}  # fmt: skip


@lru_cache(maxsize=256)
def dtype(name: str) -> DType:
    """Return the format with this name or alias.

    ``int4-g128`` and the like are integers with an fp32 scale for each group of that many: how
    weights are stored, 4 + 32 / 128 bits each.

    Raises
    ------
    WorkloadError
        If the name is unknown; the message suggests the nearest.
    """
    key = name.strip().lower()
    found = DTYPES.get(_ALIASES.get(key, key))
    grouped = _GROUPED.fullmatch(key)
    if grouped is not None:
        plain, group = DTYPES[grouped[1]], int(grouped[2])
        return DType(key, plain.bits + _SCALE_BITS / group, plain.kind, plain.fallbacks)
    if found is None:
        raise WorkloadError(f"unknown dtype '{name}': {suggest(key, DTYPES)}")
    return found
