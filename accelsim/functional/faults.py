"""Bit flips in weights, cached keys and values, and accumulators; the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import Format
from accelsim.functional.bit_flips import (
    STRUCK,
    Damage,
    Flips,
    draw_positions,
    masks,
    with_correction,
    without_correction,
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
from accelsim.functional.secded import CHECK_BITS, DATA_BITS, OUTCOMES

__all__ = ["FaultEvent", "FaultInjector", "FaultPlan", "FaultTally", "Place"]

_Where = tuple[Target, str, int]
_Coder = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]
_PIECE = 1 << 18
"""Codes that are looked at together: a multiple of 64, so that words of memory stay whole."""
_NOT_FLOAT32 = ("fp64", "int32")


class FaultInjector:
    """Flips the bits of a plan in the arrays that an executor shows it.

    Flips depend on seed, target, name, step and shape alone: not on the order of calls, on threads
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
        self, name: str, values: NDArray[np.float32], fmt: str, *, scale: ArrayLike | None = None
    ) -> NDArray[np.float32]:
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
        values: NDArray[np.float32],
        fmt: str,
        step: int = 0,
        *,
        scale: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Return keys or values as the cache gives them back at a step; see `weights`."""
        return self._values(("kv", name, step), values, fmt, scale)

    def accumulators(
        self, name: str, values: NDArray[np.float32], step: int = 0, *, fmt: str = "fp32"
    ) -> NDArray[np.float32]:
        """Return sums as their registers give them back at a step; see `weights`. Never guarded."""
        return self._values(("accumulators", name, step), values, fmt)

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

        def same(given: NDArray[Any], _: NDArray[np.int64]) -> NDArray[Any]:
            return given

        return self._strike((target, name, step), codes, known, (same, same))

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
        self,
        where: _Where,
        values: NDArray[np.float32],
        fmt: str,
        scale: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        known = scalar_format(fmt)
        if known.name in _NOT_FLOAT32:
            raise WorkloadError(f"{known.name} does not travel as float32: give codes() its codes")
        if values.dtype != np.float32:
            raise WorkloadError(f"values of '{where[1]}' are {values.dtype}, expected float32")
        spread = _spread(scale, values.shape)

        def to_codes(chosen: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
            if spread is None:
                return encode(chosen, known)
            divisors = spread.flat[indices]
            return encode(chosen / np.where(divisors == 0.0, np.float32(1.0), divisors), known)

        def to_values(codes: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
            found = decode(codes, known)
            if spread is None:
                return found
            with np.errstate(over="ignore", invalid="ignore"):  # a flip may well make an Inf
                return found * spread.flat[indices]

        return self._strike(where, values, known, (to_codes, to_values))

    def _strike(
        self, where: _Where, array: NDArray[Any], fmt: Format, coders: tuple[_Coder, _Coder]
    ) -> NDArray[Any]:
        """Return the array with its flips, piece by piece; coders give codes and values."""
        check_whole("step", where[2], 2**63)
        if where[0] not in self.plan.targets:
            return array
        to_codes, to_values = coders
        struck = array
        for start, count, flips in self._flips(where, array.size, fmt):
            damage = self._read(where[0], flips, count * fmt.stored_bits)
            local, keep, flip = masks(damage, fmt.stored_bits, count)
            indices = local + start
            before = array.flat[indices]
            written = _words(to_codes(before, indices), fmt)
            read = written & keep ^ flip
            changed = written != read
            after = np.where(changed, to_values(_codes(read, fmt), indices), before)
            if changed.any():
                struck = array.copy() if struck is array else struck
                struck.flat[indices] = after
            self._record(where, flips, damage, int(np.count_nonzero(changed)))
            self._describe(where, start * fmt.stored_bits, fmt, damage, (indices, before, after))
        return struck

    def _flips(self, where: _Where, count: int, fmt: Format) -> Iterator[tuple[int, int, Flips]]:
        """Yield first code, number of codes and flips of each piece that has any."""
        width, rate = fmt.stored_bits, self.plan.rate_per_bit
        if self.plan.places:
            yield 0, count, Flips(self._placed(where, count, fmt))
        if not rate:
            return
        bits = _bit_numbers(self.plan.bits, fmt)
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

    def _record(self, where: _Where, flips: Flips, damage: Damage, changed: int) -> None:
        words = dict(zip(OUTCOMES, damage.by_outcome.tolist(), strict=True))
        found = FaultTally(len(flips.data), len(flips.checks), values_changed=changed, **words)
        with self._lock:
            self._tallies[where[0]] += found

    def _describe(
        self,
        where: _Where,
        offset: int,
        fmt: Format,
        damage: Damage,
        values: tuple[NDArray[Any], ...],
    ) -> None:
        """Add events until there are enough."""
        indices, before, after = values
        with self._lock:
            room = self.plan.max_events - len(self.events)
            for number in np.argsort(damage.bits, kind="stable")[: max(room, 0)]:
                index, bit = divmod(offset + int(damage.bits[number]), fmt.stored_bits)
                at = int(np.searchsorted(indices, index))
                outcome = int(damage.outcomes[number])
                word = "flipped" if outcome == STRUCK else OUTCOMES[outcome]
                known = before[at].item(), after[at].item()
                self.events.append(FaultEvent(*where, index, bit, *known, word))


def _spread(scale: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
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


def _bit_numbers(chosen: str | tuple[int, ...], fmt: Format) -> NDArray[np.int64]:
    """Return the bits of a code that may flip, ascending."""
    if not isinstance(chosen, str):
        if max(chosen) >= fmt.stored_bits:
            raise WorkloadError(
                f"bit {max(chosen)} of the fault plan is not in {fmt.name}: it has "
                f"{fmt.stored_bits} bits"
            )
        return np.array(sorted(chosen), np.int64)
    # Padding lies below a whole word (tf32), but above a narrow code (ue4m3).
    low = fmt.padding_bits if fmt.signed else 0
    exponent = low + fmt.fraction_bits
    sign = exponent + fmt.exponent_bits
    first, last = {
        "all": (0, fmt.stored_bits),
        "sign": (sign, sign + int(fmt.signed)),
        "exponent": (exponent, sign),
        "fraction": (low, exponent),
    }[chosen]
    if first == last:
        raise WorkloadError(f"{fmt.name} has no {chosen} bits to flip: choose others in the plan")
    return np.arange(first, last)


def _words(codes: NDArray[Any], fmt: Format) -> NDArray[np.int64]:
    """Return the bits of codes, two's complement of integers cut to their width."""
    if fmt.kind == "int":
        return codes.astype(np.int64) & ((1 << fmt.stored_bits) - 1)
    return codes.astype(np.int64)


def _codes(words: NDArray[np.int64], fmt: Format) -> NDArray[Any]:
    """Return the codes whose bits these are."""
    if fmt.kind == "int":
        sign = 1 << (fmt.stored_bits - 1)
        words = (words ^ sign) - sign
    return words.astype(code_dtype(fmt))
