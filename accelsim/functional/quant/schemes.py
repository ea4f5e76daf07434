"""Quantisation schemes: which format weights and activations of matmuls take, and how scaled."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from accelsim.errors import WorkloadError, suggest
from accelsim.formats import BLOCK_FORMATS, FORMATS, BlockFormat, Format, find_format

Granularity = Literal["tensor", "channel", "token", "group", "block"]
Clip = Literal["absmax", "mse"]
GRANULARITIES = ("tensor", "channel", "token", "group", "block")
CLIPS = ("absmax", "mse")
SCALE_BITS = 32
"""Scales of integers and of scalar floats are fp32."""
_INTEGERS = ("int4", "int8")
_SCALED = {"tensor": "one scale", "channel": "a scale per channel", "token": "a scale per token"}

SCHEME_NAMES = (
    "int8", "smoothquant", "int8-weight", "int4-weight", "int4-g128", "int4-g32", "int4-g128-mse",
    "int4-g128-asym", "int4", "fp8", "fp8-tensor", "fp8_e5m2", "fp8-weight", "mxfp8", "mxfp6",
    "mxfp4", "nvfp4", "mxfp8-weight", "mxfp6-weight", "mxfp4-weight", "nvfp4-weight",
)  # fmt: skip
"""Schemes to choose from; any format, group size and suffix combine as `parse_scheme` says."""

_SMOOTH_ALPHA = 0.5
_USUAL_GROUP = 128
_SUFFIXES = ("weight", "tensor", "mse", "asym", "g32", "g64", "g128")


@dataclass(frozen=True)
class TensorScheme:
    """How one operand of a matmul is quantised.

    Attributes
    ----------
    format : str
        A number format of at most 8 bits, or a block format; aliases become the full name.
    granularity : str
        What shares a scale: the "tensor", an output "channel" (a row of [n, k] weights), a
        "token" (a row of activations), a "group" of consecutive k of a channel; "block" of block
        formats, and of them alone.
    group : int
        Values per group; 0 unless the granularity is "group". The last one of a row may be
        shorter.
    clip : str
        "absmax": the largest magnitude meets the largest code. "mse": of a grid of smaller ranges
        the one with the least squared error (int8, int4).
    symmetric : bool
        False: codes have a zero point and span the range of the values (int8, int4).

    Raises
    ------
    WorkloadError
        If a value is unknown, or the values do not go together.
    """

    format: str
    granularity: Granularity = "channel"
    group: int = 0
    clip: Clip = "absmax"
    symmetric: bool = True

    def __post_init__(self) -> None:
        found = find_format(self.format)
        object.__setattr__(self, "format", found.name)
        if self.granularity not in GRANULARITIES or self.clip not in CLIPS:
            raise WorkloadError(
                f"granularity '{self.granularity}' with clip '{self.clip}': granularities are "
                f"{', '.join(GRANULARITIES)}, clips {', '.join(CLIPS)}"
            )
        _check_width(found)
        if isinstance(found, BlockFormat) != (self.granularity == "block"):
            raise WorkloadError(
                f"{found.name} cannot have a scale per {self.granularity}: block formats bring "
                "their own scales (granularity 'block'), others take tensor, channel, token, group"
            )
        whole = isinstance(self.group, int) and not isinstance(self.group, bool)
        if not whole or (self.group > 0) != (self.granularity == "group") or self.group < 0:
            raise WorkloadError(
                f"group is {self.group!r} with granularity '{self.granularity}': a group has at "
                "least 1 value, other granularities have group 0"
            )
        if found.name not in _INTEGERS and (self.clip == "mse" or not self.symmetric):
            raise WorkloadError(
                f"{found.name} has neither clip 'mse' nor zero points: these are of int8 and int4"
            )

    @property
    def bits(self) -> float:
        """Bits per value in memory, scales of groups and blocks included.

        Those of channels, tokens and tensors are shared by too many values to count.
        """
        found = find_format(self.format)
        if isinstance(found, BlockFormat):
            return found.bits
        per_group = SCALE_BITS + (0 if self.symmetric else found.stored_bits)
        return found.stored_bits + (per_group / self.group if self.group else 0.0)

    def describe(self) -> str:
        """Return the scheme in words."""
        if self.granularity == "block":
            return f"{self.format} in blocks"
        scaled = _SCALED.get(self.granularity, f"a scale per {self.group} values")
        extras = [] if self.symmetric else ["zero points"]
        extras += ["MSE-optimal clipping"] if self.clip == "mse" else []
        return ", ".join([f"{self.format} with {scaled}", *extras])


def _check_width(found: Format | BlockFormat) -> None:
    narrow = isinstance(found, BlockFormat) or (found.signed and found.is_narrow)
    if not narrow:
        raise WorkloadError(
            f"{found.name} is no format to quantise to: take one of at most 8 bits, int8, fp8, "
            "mxfp4, ...; 16-bit formats are chosen as the dtype"
        )


@dataclass(frozen=True)
class Scheme:
    """How the weights of matmuls, and what they are multiplied with, are quantised.

    Attributes
    ----------
    weights : TensorScheme
        Once, when the model is loaded.
    activations : TensorScheme or None
        At each matmul, with scales found from the values themselves (dynamic). None: weight-only;
        weights are dequantised to the 16-bit (or wider) operand of the matrix unit.
    smooth : float or None
        Alpha of SmoothQuant: how much of the range of activations moves into the weights, from 0
        to 1.

    Raises
    ------
    WorkloadError
        If the values do not go together.
    """

    weights: TensorScheme
    activations: TensorScheme | None = None
    smooth: float | None = None

    def __post_init__(self) -> None:
        if self.weights.granularity == "token":
            raise WorkloadError("weights have no tokens: their scales are per tensor, channel, ...")
        if self.activations is not None:
            _check_pair(self.weights, self.activations)
        if self.smooth is None:
            return
        if self.activations is None:
            raise WorkloadError(
                "smoothing moves the range of activations into weights: it needs quantised "
                "activations, as 'smoothquant' has"
            )
        if not (math.isfinite(self.smooth) and 0.0 <= self.smooth <= 1.0):
            raise WorkloadError(f"smooth is {self.smooth}, expected alpha from 0 to 1")

    @property
    def weight_bits(self) -> float:
        """Bits per weight in memory, scales of groups and blocks included."""
        return self.weights.bits

    @property
    def activation_bits(self) -> float | None:
        """Bits per quantised activation, scales of blocks included; None where weight-only."""
        return None if self.activations is None else self.activations.bits

    def taken_by(self, operand: str) -> Scheme:
        """Return the scheme with the unit's own variant of its format, for example fnuz."""
        if self.activations is None:
            return self
        weights = replace(self.weights, format=operand)
        return replace(self, weights=weights, activations=replace(self.activations, format=operand))

    def describe(self) -> str:
        """Return the scheme in words."""
        text = f"weights {self.weights.describe()}"
        if self.activations is None:
            return f"{text}; activations as they are"
        text += f"; activations {self.activations.describe()}"
        return text if self.smooth is None else f"{text}; SmoothQuant with alpha {self.smooth:g}"


def parse_scheme(text: str) -> Scheme:
    """Return the scheme of a name.

    Parameters
    ----------
    text : str
        A number format, then suffixes in any order, each once: ``-weight`` (weight-only), ``-g128``
        (weight-only, a scale per 128 values), ``-tensor`` (one scale per tensor), ``-mse`` (clip by
        least squared error), ``-asym`` (zero points). Or ``smoothquant``, ``smoothquant:0.7``.

    Returns
    -------
    Scheme
        Without suffix weights have a scale per channel and activations one per token. Weight-only
        int4 has groups of 128 unless the name says otherwise.

    Raises
    ------
    WorkloadError
        If the name is unknown (the nearest are named), or its parts do not go together.

    Examples
    --------
    >>> parse_scheme("int4-g128-mse").describe()
    'weights int4 with a scale per 128 values, MSE-optimal clipping; activations as they are'
    """
    name = str(text).strip().lower()
    if name.partition(":")[0] == "smoothquant":
        return _smoothquant(name)
    base, *suffixes = name.split("-")
    try:
        found = find_format(base)
    except WorkloadError:
        raise _unknown(text, name) from None
    groups = [suffix for suffix in suffixes if re.fullmatch(r"g\d{1,9}", suffix)]
    words = [suffix for suffix in suffixes if suffix not in groups]
    wrong = [word for word in words if word not in _SUFFIXES]
    if wrong or len(groups) > 1 or len(set(suffixes)) < len(suffixes):
        problem = f"'{wrong[0]}': {suggest(wrong[0], _SUFFIXES)}" if wrong else "a suffix twice"
        raise WorkloadError(f"scheme '{text}' has {problem}; schemes: {', '.join(SCHEME_NAMES)}")
    return _scheme(found.name, words, int(groups[0][1:]) if groups else 0, bool(groups))


def _check_pair(weights: TensorScheme, activations: TensorScheme) -> None:
    if activations.granularity not in ("tensor", "token", "block"):
        raise WorkloadError(
            f"activations have no scales per {activations.granularity}: take tensor or token"
        )
    if weights.format != activations.format:
        raise WorkloadError(
            f"weights are {weights.format} and activations {activations.format}: a matrix unit "
            "multiplies operands of one format; leave the activations out for weight-only"
        )
    if weights.granularity == "group":
        raise WorkloadError(
            f"weights in groups of {weights.group} meet {activations.format} activations: a sum "
            "over k has one scale; take channel, or leave the activations out for weight-only"
        )
    if not (weights.symmetric and activations.symmetric) or activations.clip != "absmax":
        raise WorkloadError(
            "zero points are of weight-only schemes, and activations are scaled by absmax"
        )


def _smoothquant(name: str) -> Scheme:
    _, colon, number = name.partition(":")
    try:
        alpha = float(number) if colon else _SMOOTH_ALPHA
    except ValueError:
        raise WorkloadError(
            f"scheme '{name}': '{number}' is no alpha, expected a number from 0 to 1 as in "
            "smoothquant:0.7"
        ) from None
    return Scheme(TensorScheme("int8"), TensorScheme("int8", "token"), alpha)


def _scheme(name: str, words: Sequence[str], group: int, has_group: bool) -> Scheme:
    weight_only = has_group or "weight" in words
    found = find_format(name)
    is_block = isinstance(found, BlockFormat)
    if isinstance(found, BlockFormat) and (has_group or "tensor" in words):
        suffix = f"-g{group}" if has_group else "-tensor"
        raise WorkloadError(
            f"{name} has a scale per {found.block} values of its own: leave '{suffix}' out "
            f"({name}, or {name}-weight for the weights alone)"
        )
    of_weights: Granularity = "channel"
    if has_group:
        of_weights = "group"
    elif "tensor" in words:
        of_weights = "tensor"
    elif is_block:
        of_weights = "block"
    elif weight_only and name == "int4":
        of_weights, group = "group", _USUAL_GROUP
    clip: Clip = "mse" if "mse" in words else "absmax"
    weights = TensorScheme(name, of_weights, group, clip, "asym" not in words)
    if weight_only:
        return Scheme(weights)
    of_activations: Granularity = "token" if of_weights == "channel" else of_weights
    return Scheme(weights, TensorScheme(name, of_activations))


def _unknown(text: str, name: str) -> WorkloadError:
    narrow = (n for n, f in FORMATS.items() if f.signed and f.is_narrow)
    known = {*SCHEME_NAMES, *narrow, *BLOCK_FORMATS}
    return WorkloadError(
        f"unknown quantisation scheme '{text}': {suggest(name, known)} Schemes: "
        f"{', '.join(SCHEME_NAMES)}"
    )
