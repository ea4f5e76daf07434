"""What to flip, and what came of it: plans of faults, tallies and events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal, get_args

from accelsim.errors import WorkloadError, suggest
from accelsim.functional.secded import CHECK_BITS, DATA_BITS

Target = Literal["weights", "kv", "accumulators"]
TARGETS: tuple[Target, ...] = get_args(Target)
FIELDS = ("all", "sign", "exponent", "fraction")
_MOST_SEEDS = 2**32
_LEAST_RATE = 1e-30


@dataclass(frozen=True)
class Place:
    """One bit that flips.

    Attributes
    ----------
    target : str
        "weights", "kv" or "accumulators".
    name : str
        Of the array, as the executor gives it.
    index : int
        Of the value in the flat array.
    bit : int
        Of its code, 0 the lowest.
    step : int or None
        At which step; None: at every one. An array of the cache or of accumulators that has no
        such index at a step, because fewer tokens run, is not struck.
    """

    target: Target
    name: str
    index: int
    bit: int
    step: int | None = None


@dataclass(frozen=True)
class FaultPlan:
    """Which bits flip.

    Attributes
    ----------
    rate_per_bit : float
        Probability that a stored bit flips, each time that an array is given to the injector.
    places : tuple of Place
        Exact bits, instead of a rate.
    targets : tuple of str
        What is struck: any of "weights", "kv", "accumulators".
    bits : str or tuple of int
        Which bits of a code a rate may strike: "all", "sign", "exponent", "fraction", or numbers,
        0 the lowest.
    seed : int
        0 to 2^32 - 1.
    ecc : str
        "secded": 64 data bits in memory order and 8 check bits form a word of a Hsiao code; check
        bits flip at the same rate. It guards weights and kv; accumulators are never guarded.
    on_detected : str
        What becomes of a word with an error that was seen but not corrected: "keep" it as it is,
        or "zero" it.
    max_events : int
        Flips that are described one by one.

    Raises
    ------
    WorkloadError
        If a field is of another kind or out of its range, or rate and places are both given.
    """

    rate_per_bit: float = 0.0
    places: tuple[Place, ...] = ()
    targets: tuple[Target, ...] = TARGETS
    bits: str | tuple[int, ...] = "all"
    seed: int = 0
    ecc: Literal["none", "secded"] = "none"
    on_detected: Literal["keep", "zero"] = "keep"
    max_events: int = 100

    @property
    def ecc_overhead(self) -> float:
        """Check bits per data bit: 1/8 with "secded", else 0.

        Memory that has no devices of its own for them (GDDR with inline ECC) gives that share of
        what data take to them, in capacity and in traffic. It is charged nowhere.
        """
        return CHECK_BITS / DATA_BITS if self.ecc == "secded" else 0.0

    def __post_init__(self) -> None:
        rate = self.rate_per_bit
        if not isinstance(rate, Real) or not (rate == 0.0 or _LEAST_RATE <= rate <= 1.0):
            raise WorkloadError(f"rate_per_bit is {rate!r}, expected 0, or {_LEAST_RATE} to 1")
        if rate and self.places:
            raise WorkloadError("a fault plan has a rate or places: give one of them")
        _check_tuple("targets", self.targets, "('kv',)")
        for target in self.targets:
            check_name("target", target, TARGETS)
        check_name("ecc", self.ecc, ("none", "secded"))
        check_name("on_detected", self.on_detected, ("keep", "zero"))
        for name, most in (("seed", _MOST_SEEDS), ("max_events", 2**31)):
            check_whole(name, getattr(self, name), most)
        _check_bits(self.bits)
        _check_tuple("places", self.places, "(Place('weights', 'output_norm', 0, 30),)")
        if len(set(self.places)) < len(self.places):
            raise WorkloadError("a place is given twice: two flips of one bit cancel out")
        for place in self.places:
            _check_place(place, self.targets)


@dataclass(frozen=True)
class FaultTally:
    """What happened to one target.

    Attributes
    ----------
    flips, check_flips : int
        Data bits and check bits that flipped in memory.
    corrected, detected, miscorrected, undetected : int
        Words by what error correction made of them; all 0 without it.
    values_changed : int
        Codes that differ from what was written, be it in the sign of zero.
    """

    flips: int = 0
    check_flips: int = 0
    corrected: int = 0
    detected: int = 0
    miscorrected: int = 0
    undetected: int = 0
    values_changed: int = 0

    def __add__(self, other: FaultTally) -> FaultTally:
        """Return the sums."""
        return FaultTally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class FaultEvent:
    """One flip of a data bit.

    Attributes
    ----------
    target, name, step, index, bit
        As in `Place`.
    before, after : float
        The value as written and as read. Equal if the flip was corrected; if a code has several
        flips, each event tells the value after all of them. Of `codes`, the codes.
    outcome : str
        "flipped" without error correction; else what became of the word.
    """

    target: str
    name: str
    step: int
    index: int
    bit: int
    before: float
    after: float
    outcome: str


def _check_tuple(what: str, given: Any, example: str) -> None:
    """Refuse a single value in place of a tuple: a text alone would be taken letter by letter."""
    if not isinstance(given, tuple):
        raise WorkloadError(f"{what} is {given!r}, expected a tuple: {what}={example}")


def _check_bits(bits: Any) -> None:
    if isinstance(bits, str):
        check_name("bits", bits, FIELDS)
        return
    _check_tuple("bits", bits, "(7, 8)")
    if not bits or len(set(bits)) < len(bits):
        raise WorkloadError(f"bits are {bits}, expected different numbers, at least one")
    for bit in bits:
        check_whole("a bit", bit, 64)


def _check_place(place: Any, targets: tuple[str, ...]) -> None:
    if not isinstance(place, Place):
        raise WorkloadError(f"a place is {place!r}, expected Place(target, name, index, bit)")
    check_name("target of a place", place.target, TARGETS)
    if place.target not in targets:
        raise WorkloadError(
            f"{place} lies outside the plan's targets ({', '.join(targets)}): add "
            f"'{place.target}' to targets, or leave them out"
        )
    check_whole("index of a place", place.index, 2**63)
    check_whole("bit of a place", place.bit, 64)
    if place.step is not None:
        check_whole("step of a place", place.step, 2**63)


def check_name(what: str, name: Any, known: Iterable[str]) -> None:
    """Refuse a name that is not known."""
    if name not in known:
        raise WorkloadError(f"{what} is {name!r}: {suggest(str(name), known)}")


def check_whole(what: str, number: Any, most: int) -> None:
    """Refuse all but whole numbers from 0 to `most` - 1."""
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < most:
        raise WorkloadError(f"{what} is {number!r}, expected a whole number from 0 to {most - 1}")
