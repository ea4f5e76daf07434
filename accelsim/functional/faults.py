"""Bit flips in weights, cached keys and values, and accumulators; the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import Format
from accelsim.functional.bit_flips import (
    STRUCK,
    Damage,
    Flips,
    bit_numbers,
    codes_of,
    draw_positions,
    masks,
    with_correction,
    without_correction,
    words_of,
)
from accelsim.functional.block_formats import BlockScaled
from accelsim.functional.fault_plan import (
    TARGETS,
    FaultEvent,
    FaultPlan,
    FaultTally,
    Place,
    Target,
    check_name,
    check_whole,
)
from accelsim.functional.formats import code_dtype, decode, encode, scalar_format
from accelsim.functional.quant.memory import Changes
from accelsim.functional.secded import CHECK_BITS, DATA_BITS, OUTCOMES

__all__ = ["FaultEvent", "FaultInjector", "FaultPlan", "FaultTally", "Place"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
_Where = tuple[Target, str, int]
_Coder = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]
_PIECE = 1 << 18
"""Codes that are looked at together: a multiple of 64, so that words of memory stay whole."""
_NOT_FLOAT32 = ("fp64", "int32")


class _Piece(NamedTuple):
    """Flips in codes that lie together, and which of them are read as ``code & keep ^ flip``."""

    start: int
    flips: Flips
    damage: Damage
    indices: NDArray[np.int64]
    keep: NDArray[np.int64]
    flip: NDArray[np.int64]
    is_new: bool


class FaultInjector:
    """Flips the bits of a plan in the arrays that an executor shows it.

    Flips depend on seed, target, name, step and place alone: not on the order of calls, on threads
    or on values. An array is copied where something changes, and returned as it is elsewhere.

    Attributes
    ----------
    plan : FaultPlan
    events : list of FaultEvent
        The first `max_events` flips, in the order of calls.

    Examples
    --------
    >>> injector = FaultInjector(FaultPlan(places=(Place("weights", "w", 1, 15),)))
    >>> injector.weights("w", np.float32([1, 2, 3]), "bf16").tolist()
    [1.0, -2.0, 3.0]
    """

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.events: list[FaultEvent] = []
        self._tallies: dict[str, FaultTally] = {target: FaultTally() for target in plan.targets}
        self._met: set[Place] = set()
        self._counted: set[tuple[Any, ...]] = set()
        self._lock = Lock()

    @property
    def tally(self) -> dict[str, FaultTally]:
        """What happened so far, by target."""
        return dict(self._tallies)

    @property
    def unmet_places(self) -> list[Place]:
        """Places of the plan that no array has had yet: perhaps a name is misspelt."""
        return [place for place in self.plan.places if place not in self._met]

    def weights(
        self, name: str, values: Floats, fmt: str, *, scale: ArrayLike | None = None
    ) -> Floats:
        """Return weights as memory gives them back.

        Parameters
        ----------
        name : str
        values : array of float32
            Values of `fmt`, times `scale`.
        fmt : str
            Scalar format of the stored codes.
        scale : array, optional
            Scales of quantised values, of a shape that broadcasts to theirs; they are not struck.

        Returns
        -------
        array of float32
            NaN and Inf where a code says so.

        Raises
        ------
        WorkloadError
            If values are not float32, the format cannot travel as float32, or a bit or place of
            the plan does not exist in the array.
        """
        return self._values(("weights", name, 0), values, fmt, scale)

    def kv(
        self,
        name: str,
        values: Floats,
        fmt: str,
        step: int = 0,
        *,
        scale: ArrayLike | None = None,
    ) -> Floats:
        """Return keys or values as the cache gives them back at a step; see `weights`."""
        return self._values(("kv", name, step), values, fmt, scale)

    def accumulators(
        self, name: str, sums: NDArray[Any], step: int = 0, *, fmt: str = "fp32"
    ) -> NDArray[Any]:
        """Return sums as their registers give them back at a step; see `weights`. Never guarded.

        Sums are float32 of `fmt`, or int32, whose registers are words of that.
        """
        if sums.dtype == np.int32:
            return self.codes("accumulators", name, sums, "int32", step)
        return self._values(("accumulators", name, step), sums, fmt)

    def table(
        self, name: str, shape: tuple[int, int], fmt: str, read: Callable[[Rows], Floats]
    ) -> Changes:
        """Return what memory changes in weights of which rows are looked up; see `weights`.

        The flips are those of the whole table, whichever rows are looked up, and the same that
        `weights` makes of it.

        Parameters
        ----------
        name : str
        shape : tuple of int
            [rows, width].
        fmt : str
        read : callable
            Returns the rows of these numbers as float32 [len(numbers), width]. Called once, with
            the rows that have flips, ascending; not at all where none has.
        """
        where: _Where = ("weights", name, 0)
        rows, width = shape
        known = _travels_as_float32(fmt)
        pieces = list(self._pieces(where, rows * width, known))
        if not pieces:
            return Changes()
        needed = np.unique(np.concatenate([piece.indices for piece in pieces]) // width)
        held = read(needed) if len(needed) else np.empty((0, width), np.float32)
        coders = _coders(known, None)
        changes = [Changes()]
        for piece in pieces:
            row, column = divmod(piece.indices, width)
            before = held[np.searchsorted(needed, row), column]
            after, changed = self._read_back(where, piece, known, before, coders)
            changes.append(Changes(piece.indices[changed], after[changed]))
        return Changes(*(np.concatenate(part) for part in zip(*changes, strict=True)))

    def codes(
        self, target: Target, name: str, codes: NDArray[Any], fmt: str | Format, step: int = 0
    ) -> NDArray[Any]:
        """Return codes, as `accelsim.functional.formats.encode` makes them, with flips.

        For what does not travel as float32: weights that stay narrow, int32 sums, fp64.

        Raises
        ------
        WorkloadError
            As `weights` does; also if the target is unknown or codes have another type.
        """
        check_name("target", target, TARGETS)
        known = scalar_format(fmt)
        if codes.dtype != code_dtype(known):
            raise WorkloadError(f"codes of {known.name} are {code_dtype(known)}, got {codes.dtype}")
        return self._strike((target, name, step), codes, known, (_as_it_is, _as_it_is))

    def blocks(self, target: Target, name: str, held: BlockScaled, step: int = 0) -> BlockScaled:
        """Return a tensor in a block format with flips in its elements and its scales.

        Their names are ``NAME.elements`` and ``NAME.scales``; the scale of the whole tensor is not
        struck. Errors are those of `codes`.
        """
        elements, scales = held.format.element, held.format.scale
        return replace(
            held,
            codes=self.codes(target, f"{name}.elements", held.codes, elements, step),
            scale_codes=self.codes(target, f"{name}.scales", held.scale_codes, scales, step),
        )

    def _values(
        self, where: _Where, values: Floats, fmt: str, scale: ArrayLike | None = None
    ) -> Floats:
        known = _travels_as_float32(fmt)
        if values.dtype != np.float32:
            raise WorkloadError(f"values of '{where[1]}' are {values.dtype}, expected float32")
        return self._strike(where, values, known, _coders(known, _spread(scale, values.shape)))

    def _strike(
        self, where: _Where, array: NDArray[Any], fmt: Format, coders: tuple[_Coder, _Coder]
    ) -> NDArray[Any]:
        """Return the array with its flips, piece by piece; coders give codes and values."""
        struck = array
        for piece in self._pieces(where, array.size, fmt):
            before = array.flat[piece.indices]
            after, changed = self._read_back(where, piece, fmt, before, coders)
            if changed.any():
                struck = array.copy() if struck is array else struck
                struck.flat[piece.indices] = after
        return struck

    def _pieces(self, where: _Where, count: int, fmt: Format) -> Iterator[_Piece]:
        """Yield the pieces of an array that have flips."""
        check_whole("step", where[2], 2**63)
        if where[0] not in self.plan.targets:
            return
        array = (*where, count, fmt.name)
        # Weights that are read again have the flips that they had.
        is_new = where[0] != "weights" or array not in self._counted
        self._counted.add(array)
        for start, size, flips in self._flips(where, count, fmt):
            damage = self._read(where[0], flips, size * fmt.stored_bits)
            local, keep, flip = masks(damage, fmt.stored_bits, size)
            yield _Piece(start, flips, damage, local + start, keep, flip, is_new)

    def _read_back(
        self,
        where: _Where,
        piece: _Piece,
        fmt: Format,
        before: NDArray[Any],
        coders: tuple[_Coder, _Coder],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the values of a piece after its flips, and which codes are others."""
        to_codes, to_values = coders
        written = words_of(to_codes(before, piece.indices), fmt)
        read = written & piece.keep ^ piece.flip
        changed = written != read
        after = np.where(changed, to_values(codes_of(read, fmt), piece.indices), before)
        if piece.is_new:
            self._record(where, piece, int(np.count_nonzero(changed)))
            self._describe(where, piece, fmt.stored_bits, (before, after))
        return after, changed

    def _flips(self, where: _Where, count: int, fmt: Format) -> Iterator[tuple[int, int, Flips]]:
        """Yield first code, number of codes and flips of each piece that has any."""
        width, rate = fmt.stored_bits, self.plan.rate_per_bit
        if self.plan.places:
            yield 0, count, Flips(self._placed(where, count, fmt))
        if not rate:
            return
        bits = bit_numbers(self.plan.bits, fmt)
        guarded = self._is_guarded(where[0])
        for start in range(0, count, _PIECE):
            size = min(_PIECE, count - start)
            key = json.dumps([self.plan.seed, *where, start])
            drawn = draw_positions(f"data {key}", rate, size * len(bits))
            data = drawn // len(bits) * width + bits[drawn % len(bits)]
            words = -(-size * width // DATA_BITS) if guarded else 0
            checks = draw_positions(f"checks {key}", rate, words * CHECK_BITS)
            if len(data) or len(checks):
                yield start, size, Flips(data, checks)

    def _placed(self, where: _Where, count: int, fmt: Format) -> NDArray[np.int64]:
        """Return the bits that the plan's places name in this array."""
        found = []
        for place in self.plan.places:
            if (place.target, place.name) != where[:2] or place.step not in (None, where[2]):
                continue
            if place.index >= count and place.target != "weights":
                continue  # there are fewer tokens at this step than at others
            if place.index >= count or place.bit >= fmt.stored_bits:
                raise WorkloadError(
                    f"{place} does not exist: '{place.name}' has {count} values of "
                    f"{fmt.stored_bits} bits ({fmt.name})"
                )
            self._met.add(place)
            found.append(place.index * fmt.stored_bits + place.bit)
        if len(set(found)) < len(found):
            raise WorkloadError(f"two places name the same bit of '{where[1]}' at step {where[2]}")
        return np.array(sorted(found), np.int64)

    def _is_guarded(self, target: Target) -> bool:
        return self.plan.ecc == "secded" and target != "accumulators"

    def _read(self, target: Target, flips: Flips, size: int) -> Damage:
        if self._is_guarded(target):
            return with_correction(flips, size, self.plan.on_detected == "zero")
        return without_correction(flips)

    def _record(self, where: _Where, piece: _Piece, changed: int) -> None:
        flips, damage = piece.flips, piece.damage
        words = dict(zip(OUTCOMES, damage.by_outcome.tolist(), strict=True))
        found = FaultTally(len(flips.data), len(flips.checks), values_changed=changed, **words)
        with self._lock:
            self._tallies[where[0]] += found

    def _describe(
        self, where: _Where, piece: _Piece, width: int, values: tuple[NDArray[Any], NDArray[Any]]
    ) -> None:
        """Add events until there are enough."""
        before, after = values
        damage = piece.damage
        with self._lock:
            room = self.plan.max_events - len(self.events)
            for number in np.argsort(damage.bits, kind="stable")[: max(room, 0)]:
                index, bit = divmod(piece.start * width + int(damage.bits[number]), width)
                at = int(np.searchsorted(piece.indices, index))
                outcome = int(damage.outcomes[number])
                word = "flipped" if outcome == STRUCK else OUTCOMES[outcome]
                known = before[at].item(), after[at].item()
                self.events.append(FaultEvent(*where, index, bit, *known, word))


def _travels_as_float32(fmt: str) -> Format:
    known = scalar_format(fmt)
    if known.name in _NOT_FLOAT32:
        raise WorkloadError(f"{known.name} does not travel as float32: give codes() its codes")
    return known


def _as_it_is(given: NDArray[Any], _: NDArray[np.int64]) -> NDArray[Any]:
    return given


def _coders(fmt: Format, spread: Floats | None) -> tuple[_Coder, _Coder]:
    """Return how values at flat indices become codes, and codes values; scales are spread."""

    def to_codes(chosen: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
        if spread is None:
            return encode(chosen, fmt)
        divisors = spread.flat[indices]
        return encode(chosen / np.where(divisors == 0.0, np.float32(1.0), divisors), fmt)

    def to_values(codes: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
        found = decode(codes, fmt)
        if spread is None:
            return found
        with np.errstate(over="ignore", invalid="ignore"):  # a flip may well make an Inf
            return found * spread.flat[indices]

    return to_codes, to_values


def _spread(scale: ArrayLike | None, shape: tuple[int, ...]) -> Floats | None:
    """Return scales in the shape of the values, without a copy."""
    if scale is None:
        return None
    given = np.asarray(scale, np.float32)
    try:
        return np.broadcast_to(given, shape)
    except ValueError:
        raise WorkloadError(
            f"scale of shape {given.shape} does not broadcast to values of shape {shape}"
        ) from None
