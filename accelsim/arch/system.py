"""The system specification: equal chips joined level by level, innermost first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import Field

from accelsim.arch.chip import Chip
from accelsim.arch.fields import Bytes, Count, LinkBandwidth, Seconds, Section, Watts
from accelsim.arch.schema import Topology


class Level(Section):
    """One level of the network: how many members it joins and how fast each can talk."""

    name: str
    topology: Topology
    shape: tuple[Count, ...] = Field(description="Members per axis: [8], or [4, 4, 4] for a torus.")
    bandwidth_bytes_per_s: LinkBandwidth = Field(
        alias="bandwidth", description="Of one chip into this level, all its links together."
    )
    latency_s: Seconds = Field(alias="latency", description="One message, one hop, software apart.")

    @property
    def size(self) -> int:
        """Number of members joined by this level."""
        return math.prod(self.shape)


class HostSpec(Section):
    """The computers that carry the chips."""

    cpu: str | None = Field(default=None, description="Name of a CPU spec or free text.")
    count: Count = 1
    memory_bytes: Bytes | None = Field(default=None, alias="memory")


class SystemPower(Section):
    """Power of the whole system."""

    max_w: Watts | None = Field(default=None, alias="max")
    idle_w: Watts | None = Field(default=None, alias="idle")


class SystemSpec(Section):
    """Equal chips and the network between them."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)
    title: str
    chip: str = Field(description="Name of a chip spec.")
    sources: dict[str, str] = Field(default_factory=dict)
    levels: tuple[Level, ...] = Field(min_length=1, description="Innermost first.")
    host: HostSpec | None = None
    power: SystemPower | None = None

    @property
    def chips(self) -> int:
        """Number of chips in the system."""
        return math.prod(level.size for level in self.levels)


@dataclass(frozen=True, eq=False)
class System:
    """A system ready for simulation: the spec and its chip.

    A single chip is a system of one chip with no levels, so that engines know one type only.
    """

    name: str
    title: str
    chip: Chip
    levels: tuple[Level, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def chips(self) -> int:
        """Number of chips."""
        return math.prod(level.size for level in self.levels)

    @classmethod
    def of_chip(cls, chip: Chip) -> System:
        """Wrap one chip as a system of size one."""
        return cls(chip.name, chip.spec.title, chip, (), chip.source_texts)
