"""The memory specification: organisation, timing and energy of one DRAM at one speed grade."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from accelsim.arch.dram_timing import Timings, burst_cycles, contradictions, read_to_write_known
from accelsim.arch.fields import (
    Bytes,
    BytesPerSecond,
    Count,
    Fraction,
    Joules,
    JoulesPerByte,
    Section,
    Watts,
)
from accelsim.errors import SpecError

_Problem = tuple[tuple[str, ...], str]
_FASTEST_PIN_BYTES_PER_S = 6.25e9
_EITHER = (
    "state either timing, from which the bank model derives what is sustained, or "
    "streaming_efficiency without timing"
)


class CommandEnergy(Section):
    """Energy of each command of the device, and what it draws between them."""

    activate_j: Joules = Field(
        alias="activate",
        description="One activate and precharge of one row, restoring included, of one "
        "(pseudo-)channel or rank.",
    )
    read_j_per_byte: JoulesPerByte = Field(
        alias="read", description="Column access and movement on the die; no activation, no I/O."
    )
    write_j_per_byte: JoulesPerByte = Field(alias="write", description="As `read`.")
    io_j_per_byte: JoulesPerByte = Field(alias="io", description="The interface of the device.")
    refresh_j: Joules = Field(
        alias="refresh", description="One refresh of all banks of one (pseudo-)channel or rank."
    )
    standby_w: Watts = Field(
        alias="standby", description="One device (stack, chip, DIMM), all rows closed."
    )
    active_standby_w: Watts = Field(
        alias="active_standby", description="One device with rows open, between commands."
    )


class MemorySpec(Section):
    """One memory standard at one speed grade; bandwidth follows from rate x width."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)
    title: str
    standard: str = Field(description="JEDEC family, for example 'HBM3' or 'GDDR6'.")
    sources: dict[str, str] = Field(default_factory=dict)
    pin_rate_bytes_per_s: BytesPerSecond = Field(
        alias="pin_rate", description="Data rate of one pin, for example '6.4 Gb/s'."
    )
    clock_ratio: Count | None = Field(
        default=None,
        description="Bits of a pin per period of the command clock; without: as the standard has.",
    )
    device_bits: Count = Field(description="Data pins of one stack, chip or module.")
    channels: Count = Field(description="Channels of one stack, chip or module.")
    pseudo_channels: Count = Field(default=1, description="Pseudo-channels per channel.")
    ranks: Count = Field(default=1, description="Ranks that share the bus of a channel.")
    stack_ids: Count = Field(
        default=1, description="Stack ids (SID) per pseudo-channel: ranks inside a stack."
    )
    bank_groups: Count = Field(description="Bank groups per (pseudo-)channel, rank and stack id.")
    banks_per_group: Count
    page_bytes: Bytes = Field(alias="page", description="Row buffer of one (pseudo-)channel.")
    access_bytes: Bytes = Field(alias="access", description="One burst.")
    capacity_bytes: Bytes | None = Field(
        default=None, alias="capacity", description="Usual capacity of one stack or device."
    )
    timing: Timings | None = Field(
        default=None, description="Needed by the bank model, not by the bandwidth model."
    )
    command_energy: CommandEnergy | None = None
    read_energy_j_per_byte: JoulesPerByte = Field(
        alias="read_energy", description="Device energy incl. activation and I/O, streaming."
    )
    write_energy_j_per_byte: JoulesPerByte = Field(alias="write_energy")
    streaming_efficiency: Fraction | None = Field(
        default=None,
        description="Sustained over peak bandwidth of long transfers, where there is no timing: "
        "otherwise the bank model derives it.",
    )

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Peak bandwidth of one stack, chip or module [B/s]."""
        return self.pin_rate_bytes_per_s * self.device_bits

    @property
    def bus_bits(self) -> int:
        """Data pins of one pseudo-channel (of one channel, where there is one)."""
        return self.device_bits // (self.channels * self.pseudo_channels)

    @property
    def banks(self) -> int:
        """Banks of one pseudo-channel and rank, over all its stack ids."""
        return self.stack_ids * self.bank_groups * self.banks_per_group

    @property
    def rows_per_bank(self) -> int:
        """Rows of one bank; any whole number (dies of 24 Gb have 3 x 2^n).

        Raises
        ------
        SpecError
            If the capacity is unknown or no whole number of rows.
        """
        rows = self._rows()
        if rows is None or rows < 1 or rows != int(rows):
            raise SpecError(f"memory '{self.name}': capacity: {self._row_trouble()}")
        return int(rows)

    @property
    def channel_capacity_bytes(self) -> float:
        """Capacity of one channel [B], its pseudo-channels together.

        Raises
        ------
        SpecError
            If the capacity is unknown.
        """
        if self.capacity_bytes is None:
            raise SpecError(f"memory '{self.name}': capacity: not stated, give it, as '16 GiB'")
        return self.capacity_bytes / self.channels

    def _row_bytes(self) -> float:
        """Bytes of the device that one row number selects, one row in every bank."""
        return self.channels * self.pseudo_channels * self.ranks * self.banks * self.page_bytes

    def _rows(self) -> float | None:
        return None if self.capacity_bytes is None else self.capacity_bytes / self._row_bytes()

    def _row_trouble(self) -> str:
        if self.capacity_bytes is None:
            return "not stated, give it, as '16 GiB'"
        banks = self.channels * self.pseudo_channels * self.ranks * self.banks
        return (
            f"{self.capacity_bytes / 2**30:.6g} GiB are {self._rows():.6g} rows of "
            f"{self.page_bytes:g} B in each of {banks} banks, expected a whole number: use GiB "
            "(not GB), or correct channels, ranks, stack_ids, banks or page"
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(self._organisation_problems())
        if (self.timing is None) == (self.streaming_efficiency is None):
            problems.append((("streaming_efficiency",), _EITHER))
        if not problems and self.timing is not None:
            problems = list(self._timing_problems())
        if problems:
            details = [
                InitErrorDetails(
                    type=PydanticCustomError("value_error", "{text}", {"text": text}),
                    loc=keys,
                    input=None,
                )
                for keys, text in problems
            ]
            raise ValidationError.from_exception_data(type(self).__name__, details)
        return self

    def _organisation_problems(self) -> Iterator[_Problem]:
        if self.pin_rate_bytes_per_s > _FASTEST_PIN_BYTES_PER_S:
            yield (
                ("pin_rate",),
                f"{8e-9 * self.pin_rate_bytes_per_s:g} Gb/s of one pin, expected at most "
                f"{8e-9 * _FASTEST_PIN_BYTES_PER_S:g}: write bits, as '8 Gb/s'",
            )
        for key, size in (("page", self.page_bytes), ("access", self.access_bytes)):
            if size < 1 or size != int(size) or int(size) & (int(size) - 1):
                yield (key,), f"{size:g} B is no power of two, as addresses need it"
        if self.page_bytes % self.access_bytes:
            yield (
                ("page",),
                f"{self.page_bytes:g} B is no multiple of an access of {self.access_bytes:g} B: "
                "correct page or access",
            )
        buses = self.channels * self.pseudo_channels
        if self.device_bits % buses:
            yield (
                ("device_bits",),
                f"{self.device_bits} pins do not divide among {buses} (pseudo-)channels: correct "
                "device_bits, channels or pseudo_channels",
            )

    def _timing_problems(self) -> Iterator[_Problem]:
        try:
            burst = burst_cycles(self)
        except SpecError as problem:
            key, _, text = str(problem).partition(": ")
            yield (key,), text
            return
        if burst < 1 or burst != int(burst):
            yield (
                ("access",),
                f"{self.access_bytes:g} B take {burst:g} clocks on {self.bus_bits} pins, expected "
                "a whole number: correct access, the pins of a channel or clock_ratio",
            )
        rows = self._rows()
        if rows is not None and (rows < 1 or rows != int(rows)):
            yield ("capacity",), self._row_trouble()
        for name, text in contradictions(self):
            yield ("timing", name), text
        if not read_to_write_known(self):
            yield (
                ("timing", "tRTW"),
                f"missing, and {self.standard} has no rule for it: state the clocks from a read "
                "to a write",
            )
