"""What the command line says of an array and a problem, made into both."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from accelsim.errors import SpecError, WorkloadError

if TYPE_CHECKING:
    from accelsim.arch.array import ArrayBuffers, SystolicArray
    from accelsim.scenarios.array_problem import ArrayProblem

CONV_HELP = "N,C,H,W,K,R,S: images, channels, input size, filters, filter size"
_CONV_SIZES = 7
_WORDS = re.compile(r"(\d{1,12})(Ki|Mi|Gi)?", flags=re.ASCII)
_RATE = re.compile(r"\d{1,9}(\.\d{1,9})?(/\d{1,9})?", flags=re.ASCII)
_SCALES = {None: 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True)
class Setting:
    """An array as the command line describes it.

    Attributes
    ----------
    array : SystolicArray
    chip, dtype : str
        Where it comes from; empty without ``--on``.
    clock_hz : float or None
        Of that chip.
    changed : tuple of str
        What differs from the chip's array.
    """

    array: SystolicArray
    chip: str = ""
    dtype: str = ""
    clock_hz: float | None = None
    changed: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"chip": self.chip or None, "dtype": self.dtype or None, "clock_hz": self.clock_hz,
                "changed": list(self.changed)}  # fmt: skip

    @property
    def title(self) -> str:
        """One line for tables."""
        if not self.chip:
            return str(self.array)
        changed = f"; changed: {', '.join(self.changed)}" if self.changed else ""
        clock = f"{(self.clock_hz or 0.0) / 1e6:,.0f} MHz"
        return f"{self.array} ({self.chip}, {self.dtype}, {clock}{changed})"


def refuse_idle(given: dict[str, bool], needs: str, present: bool) -> None:
    """Refuse options that mean nothing without another one.

    Parameters
    ----------
    given : dict of str to bool
        Options, and whether each was given.
    needs : str
        The option that they belong to.
    present : bool
        Whether that one was given.

    Raises
    ------
    SpecError
        Naming them.
    """
    idle = [option for option, is_given in given.items() if is_given]
    if idle and not present:
        out = "leave it out" if len(idle) == 1 else "leave them out"
        raise SpecError(f"{', '.join(idle)} without {needs} would mean nothing: add that, or {out}")


def setting_of(
    shape: dict[str, Any],
    on: str | None,
    dtype: str | None,
    *,
    features: dict[str, Any],
    buffers: ArrayBuffers | None,
    word_bits: int | None,
) -> Setting:
    """Put an array together from its own options, or from those that differ from a chip's.

    A word of the buffers is as wide as the chip's dtype unless `word_bits` says otherwise.
    """
    from accelsim.arch.array import SystolicArray

    given = {name: value for name, value in shape.items() if value is not None}
    named = {name: value for name, value in features.items() if value is not None}
    if "sparsity" in named:
        from accelsim.arch.array import Sparsity

        named["sparsity"] = Sparsity.parse(named["sparsity"])
    if on is None:
        missing = [f"--{name}" for name in ("rows", "cols") if name not in given]
        if missing:
            raise SpecError(f"{' and '.join(missing)} missing: give the array's size, or --on CHIP")
        base, found = SystolicArray("ws", 1, 1), None
    else:
        from accelsim.arch.loader import load_chip

        if on.lower().endswith(".cfg"):
            raise SpecError(
                f"--on {on}: .cfg files are for topologies, as in accelsim run NET.csv --on {on}"
            )
        from accelsim.dtypes import dtype as find_dtype

        found = load_chip(on)
        dtype = dtype or ("bf16" if "bf16" in found.dtypes else found.dtypes[0])
        base = found.systolic_array(dtype)
        word_bits = word_bits or max(1, round(8 * find_dtype(dtype).bytes))
    if buffers is not None and word_bits is not None:
        buffers = dataclasses.replace(buffers, word_bits=word_bits)
    whole = dataclasses.replace(base.features, **named)
    array = dataclasses.replace(base, **given, features=whole, buffers=buffers)
    if found is None:
        return Setting(array)
    changed = [f"{name} {value}" for name, value in {**given, **named}.items()]
    return Setting(array, found.name, dtype or "", found.spec.clock_hz, tuple(changed))


def dataflows_of(text: str | None) -> list[str | None]:
    """Read one dataflow, or several to compare; None leaves the choice to the array."""
    if text is None:
        return [None]
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise SpecError(
            f"--dataflow '{text}': expected ws, os or is, or different ones as ws,os,is"
        )
    return list(names)


def buffers_of(
    sram: str | None, words_per_cycle: str | None, inner: str | None
) -> ArrayBuffers | None:
    """Read buffers: one value for all operands, or three as A,B,C."""
    if sram is None:
        return None
    from accelsim.arch.array import ArrayBuffers

    if inner not in (None, "rows", "cols"):
        raise SpecError(f"--inner '{inner}': expected rows or cols")
    a, b, c = (_words(text) for text in _three("--sram", sram))
    order: Any = inner
    sizes = ArrayBuffers(a, b, c, inner=order)
    if words_per_cycle is None:
        return sizes
    rates = map(_rate, _three("--bandwidth", words_per_cycle))
    ports: dict[str, Any] = {
        f"{name}_words_per_cycle": rate for name, rate in zip("abc", rates, strict=True)
    }
    return dataclasses.replace(sizes, **ports)


def _words(text: str) -> int:
    """Read a count of words; Ki, Mi and Gi are binary."""
    found = _WORDS.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise SpecError(f"--sram '{text}' is no number of words, for example 65536, 64Ki or 1Mi")
    return int(found[1]) * _SCALES[found[2]]


def _rate(text: str) -> Fraction:
    """Read words per cycle: 10, 0.5 or 3/7."""
    if not _RATE.fullmatch(text) or re.search(r"/0+$", text):
        raise SpecError(f"--bandwidth '{text}' is no number of words per cycle, as 10, 0.5 or 3/7")
    value, _, parts = text.partition("/")
    rate = Fraction(value) / int(parts or 1)
    if rate == 0:
        raise SpecError(f"--bandwidth '{text}': a port without bandwidth never delivers")
    return rate


def _three(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3) or not all(parts):
        raise SpecError(f"{option} '{text}': expected one value, or three as A,B,C")
    return parts * (3 // len(parts))


def matmul_of(m: int | None, n: int | None, k: int | None) -> ArrayProblem:
    """Read a matmul."""
    from accelsim.scenarios.array_problem import ArrayProblem

    if m is None or n is None or k is None:
        raise WorkloadError("give --m, --n and --k (C[m, n] = A[m, k] B[k, n]), or --conv SIZES")
    return ArrayProblem(m, n, k)


def conv_of(conv: str, stride: str, padding: str, dilation: str, groups: int) -> ArrayProblem:
    """Read a convolution."""
    from accelsim.scenarios.array_problem import ArrayProblem
    from accelsim.workload.conv import ConvShape

    sizes = _whole("--conv", conv)
    if len(sizes) != _CONV_SIZES:
        raise WorkloadError(f"--conv '{conv}' has {len(sizes)} numbers, expected {CONV_HELP}")
    images, channels, height, width, filters, high, wide = sizes
    pads = _whole("--padding", padding)
    sides = {1: pads * 4, 2: [pads[0], pads[0], pads[-1], pads[-1]], 4: pads}.get(len(pads))
    if sides is None:
        raise WorkloadError(f"--padding '{padding}': expected 1, 2 or 4 numbers")
    shape = ConvShape(
        images, channels, filters, height, width, high, wide,
        stride=_pair("--stride", stride), padding=(sides[0], sides[1], sides[2], sides[3]),
        dilation=_pair("--dilation", dilation), groups=groups,
    )  # fmt: skip
    return ArrayProblem.of_conv(shape)


def _pair(option: str, text: str) -> tuple[int, int]:
    numbers = _whole(option, text)
    if len(numbers) not in (1, 2):
        raise WorkloadError(f"{option} '{text}': expected one number or two (H,W)")
    return numbers[0], numbers[-1]


def _whole(option: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,10}", part, flags=re.ASCII) for part in parts):
        raise WorkloadError(f"{option} '{text}': expected whole numbers with commas, as 1 or 1,2")
    return [int(part) for part in parts]
