"""Number formats as values: where their bits are, what they can hold, and what overflow becomes.

Nothing here computes on arrays: `accelsim.functional.formats` encodes, decodes and rounds, and
`accelsim.dtypes` says how a chip without a format gets by.

References
----------
IEEE 754-2019 (fp64, fp32, fp16); OCP 8-bit Floating Point Specification (OFP8) v1.0, 2023, after
Micikevicius et al., FP8 Formats for Deep Learning, 2022, arXiv 2209.05433; OCP Microscaling Formats
(MX) Specification v1.0, 2023; Noune et al., 8-bit Numerical Formats for Deep Neural Networks, 2022,
arXiv 2206.02915 (fnuz); NVIDIA, Pretraining Large Language Models with NVFP4, 2025, arXiv
2509.25149.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from accelsim.errors import WorkloadError, suggest

Specials = Literal["ieee", "fn", "fnuz", "finite"]
_NARROW_BITS = 8


@dataclass(frozen=True)
class Format:
    """One scalar number format: a sign, an exponent and a fraction; or an integer.

    Attributes
    ----------
    name : str
        Canonical lower-case name.
    exponent_bits, fraction_bits : int
        Widths of the fields; an integer has only fraction bits (its sign not counted).
    bias : int
        A stored exponent e stands for ``2**(e - bias)``.
    specials : str
        Which codes are no numbers. ``ieee``: those with an exponent of all ones are Inf (fraction
        zero) and NaN. ``fn``: that of all ones is NaN, there is no Inf. ``fnuz``: that of -0 is
        NaN, there is neither Inf nor -0. ``finite``: none.
    kind : str
        ``float``, or ``int``: two's complement.
    signed : bool
        False for scales, which are never negative.
    padding_bits : int
        Bits of a stored code that carry nothing: the low 13 of a tf32 word, the top one of ue4m3.
    """

    name: str
    exponent_bits: int
    fraction_bits: int
    bias: int = 0
    specials: Specials = "ieee"
    kind: Literal["float", "int"] = "float"
    signed: bool = True
    padding_bits: int = 0

    @property
    def bits(self) -> int:
        """Bits that carry something."""
        return int(self.signed) + self.exponent_bits + self.fraction_bits

    @property
    def stored_bits(self) -> int:
        """Bits per value in memory."""
        return self.bits + self.padding_bits

    @property
    def is_narrow(self) -> bool:
        """Whether values need scales to be held: 8 bits and fewer."""
        return self.bits <= _NARROW_BITS

    @property
    def has_inf(self) -> bool:
        """Whether a code stands for infinity."""
        return self.kind == "float" and self.specials == "ieee"

    @property
    def has_nan(self) -> bool:
        """Whether a code stands for NaN."""
        return self.kind == "float" and self.specials != "finite"

    @property
    def has_negative_zero(self) -> bool:
        """Whether zero keeps its sign."""
        return self.kind == "float" and self.signed and self.specials != "fnuz"

    @property
    def has_zero(self) -> bool:
        """Whether zero is a value; not of ue8m0, where every code is a power of two."""
        return self.fraction_bits > 0

    @property
    def max_code(self) -> int:
        """Code of the largest finite value, any padding left out."""
        magnitudes = 1 << (self.exponent_bits + self.fraction_bits)
        if self.specials == "ieee" and self.kind == "float":
            return magnitudes - (1 << self.fraction_bits) - 1
        return magnitudes - (2 if self.specials == "fn" else 1)

    @property
    def inf_code(self) -> int | None:
        """Code of +Inf, or None."""
        return self.max_code + 1 if self.has_inf else None

    @property
    def nan_code(self) -> int | None:
        """Code of the NaN that is written: quiet where there are several; None where none."""
        if not self.has_nan:
            return None
        if self.specials == "ieee":
            return self.max_code + 1 + (1 << (self.fraction_bits - 1))
        return self.max_code + 1

    @property
    def max_exponent(self) -> int:
        """Exponent of the largest finite value, floor(log2(max))."""
        return math.frexp(self.max)[1] - 1

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal value."""
        return (1 if self.has_zero else 0) - self.bias if self.kind == "float" else 0

    @property
    def max(self) -> float:
        """Largest finite value."""
        return self.magnitude(self.max_code)

    @property
    def min(self) -> float:
        """Lowest finite value: -max, but 0 of an unsigned format and -2^(bits - 1) of an int."""
        if self.kind == "int":
            return -self.max - 1
        if self.signed:
            return -self.max
        return 0.0 if self.has_zero else self.smallest_normal

    @property
    def smallest_normal(self) -> float:
        """Smallest positive value of full precision."""
        return math.ldexp(1.0, self.min_exponent)

    @property
    def smallest_subnormal(self) -> float | None:
        """Smallest positive value, where it is below the smallest normal one; else None."""
        has_subnormals = self.kind == "float" and self.has_zero
        return self.magnitude(1) if has_subnormals else None

    def magnitude(self, code: int) -> float:
        """Return the value of a code without sign and padding, which is no special one."""
        if self.kind == "int":
            return float(code)
        exponent, fraction = code >> self.fraction_bits, code & ((1 << self.fraction_bits) - 1)
        if exponent or not self.has_zero:
            fraction += 1 << self.fraction_bits
        else:
            exponent = 1
        return math.ldexp(fraction, exponent - self.bias - self.fraction_bits)


@dataclass(frozen=True)
class BlockFormat:
    """Elements of a narrow format in blocks with a common scale.

    Attributes
    ----------
    name : str
        Canonical lower-case name.
    element : Format
        Of each value.
    block : int
        Consecutive values that share a scale.
    scale : Format
        Of the scale of a block.
    tensor_scale : bool
        Whether one fp32 scale of the whole tensor multiplies all others.
    """

    name: str
    element: Format
    block: int
    scale: Format
    tensor_scale: bool = False

    @property
    def bits(self) -> float:
        """Bits per value in memory, the share of its block's scale included."""
        return self.element.stored_bits + self.scale.stored_bits / self.block

    @property
    def max(self) -> float:
        """Largest value of an element times the largest scale of a block."""
        return self.element.max * self.scale.max


def _int(bits: int) -> Format:
    return Format(f"int{bits}", 0, bits - 1, specials="finite", kind="int")


_TABLE = (
    Format("fp64", 11, 52, 1023),
    Format("fp32", 8, 23, 127),
    Format("tf32", 8, 10, 127, padding_bits=13),
    Format("bf16", 8, 7, 127),
    Format("fp16", 5, 10, 15),
    Format("fp8_e4m3", 4, 3, 7, "fn"),
    Format("fp8_e5m2", 5, 2, 15),
    Format("fp8_e4m3fnuz", 4, 3, 8, "fnuz"),
    Format("fp8_e5m2fnuz", 5, 2, 16, "fnuz"),
    Format("fp6_e3m2", 3, 2, 3, "finite"),
    Format("fp6_e2m3", 2, 3, 1, "finite"),
    Format("fp4_e2m1", 2, 1, 1, "finite"),
    Format("ue8m0", 8, 0, 127, "fn", signed=False),
    Format("ue4m3", 4, 3, 7, "fn", signed=False, padding_bits=1),
    _int(32),
    _int(16),
    _int(8),
    _int(4),
)
FORMATS: dict[str, Format] = {f.name: f for f in _TABLE}
"""Every scalar format by name."""

_UE8M0, _E2M1 = FORMATS["ue8m0"], FORMATS["fp4_e2m1"]
_BLOCK_TABLE = (
    BlockFormat("mxfp8_e4m3", FORMATS["fp8_e4m3"], 32, _UE8M0),
    BlockFormat("mxfp8_e5m2", FORMATS["fp8_e5m2"], 32, _UE8M0),
    BlockFormat("mxfp6_e3m2", FORMATS["fp6_e3m2"], 32, _UE8M0),
    BlockFormat("mxfp6_e2m3", FORMATS["fp6_e2m3"], 32, _UE8M0),
    BlockFormat("mxfp4", _E2M1, 32, _UE8M0),
    BlockFormat("nvfp4", _E2M1, 16, FORMATS["ue4m3"], tensor_scale=True),
)
BLOCK_FORMATS: dict[str, BlockFormat] = {f.name: f for f in _BLOCK_TABLE}
"""Every block format by name."""

_ALIASES = {
    "float64": "fp64", "float32": "fp32", "float": "fp32", "xf32": "tf32", "bfloat16": "bf16",
    "float16": "fp16", "half": "fp16", "fp8": "fp8_e4m3", "float8": "fp8_e4m3", "e4m3": "fp8_e4m3",
    "e4m3fn": "fp8_e4m3", "fp8_e4m3fn": "fp8_e4m3", "float8_e4m3fn": "fp8_e4m3",
    "e5m2": "fp8_e5m2", "float8_e5m2": "fp8_e5m2", "e4m3fnuz": "fp8_e4m3fnuz",
    "float8_e4m3fnuz": "fp8_e4m3fnuz", "e5m2fnuz": "fp8_e5m2fnuz",
    "float8_e5m2fnuz": "fp8_e5m2fnuz", "fp6": "fp6_e3m2", "e3m2": "fp6_e3m2", "e2m3": "fp6_e2m3",
    "fp4": "fp4_e2m1", "e2m1": "fp4_e2m1", "e8m0": "ue8m0", "mxfp8": "mxfp8_e4m3",
    "mxfp6": "mxfp6_e3m2", "mxfp4_e2m1": "mxfp4",
}  # fmt: skip


def dtype_of(fmt: str) -> str:
    """Name a format by the dtype that chips and the timing engine know: fp8 of fp8_e4m3."""
    return fmt.partition("_")[0]


def find_format(name: str) -> Format | BlockFormat:
    """Return the scalar or block format with this name or alias.

    Raises
    ------
    WorkloadError
        If the name is unknown; the message suggests the nearest.

    Examples
    --------
    >>> find_format("fp8").name
    'fp8_e4m3'
    """
    key = str(name).strip().lower()
    key = _ALIASES.get(key, key)
    found = FORMATS.get(key) or BLOCK_FORMATS.get(key)
    if found is None:
        known = [*FORMATS, *BLOCK_FORMATS, *_ALIASES]
        raise WorkloadError(f"unknown number format '{name}': {suggest(key, known)}")
    return found
