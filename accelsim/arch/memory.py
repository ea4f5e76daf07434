"""The memory specification: organisation and energy of one DRAM standard and speed grade."""

from __future__ import annotations

from pydantic import Field

from accelsim.arch.fields import Bytes, BytesPerSecond, Count, Fraction, JoulesPerByte, Section


class MemorySpec(Section):
    """One memory standard at one speed grade; bandwidth follows from rate x width."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)
    title: str
    standard: str = Field(description="JEDEC family, for example 'HBM3' or 'GDDR6'.")
    sources: dict[str, str] = Field(default_factory=dict)
    pin_rate_bytes_per_s: BytesPerSecond = Field(
        alias="pin_rate", description="Data rate of one pin, for example '6.4 Gb/s'."
    )
    device_bits: Count = Field(description="Data pins of one stack, chip or module.")
    channels: Count = Field(description="Channels of one stack, chip or module.")
    pseudo_channels: Count = Field(default=1, description="Pseudo-channels per channel.")
    bank_groups: Count = Field(description="Bank groups per (pseudo-)channel.")
    banks_per_group: Count
    page_bytes: Bytes = Field(alias="page", description="Row buffer of one (pseudo-)channel.")
    access_bytes: Bytes = Field(alias="access", description="One burst.")
    capacity_bytes: Bytes | None = Field(
        default=None, alias="capacity", description="Usual capacity of one stack or device."
    )
    read_energy_j_per_byte: JoulesPerByte = Field(
        alias="read_energy", description="Device energy incl. activation and I/O, streaming."
    )
    write_energy_j_per_byte: JoulesPerByte = Field(alias="write_energy")
    streaming_efficiency: Fraction = Field(
        description="Sustained over peak bandwidth of long reads (refresh, turnaround)."
    )

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Peak bandwidth of one stack, chip or module [B/s]."""
        return self.pin_rate_bytes_per_s * self.device_bits
