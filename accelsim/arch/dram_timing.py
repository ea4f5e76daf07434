"""The timing parameters of a DRAM, under their JEDEC names, and what they are in clocks."""

# JEDEC spells tRCDRD so, and the keys of a file are the names of the datasheet.
# ruff: noqa: N815

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from accelsim.arch.delays import Delay, DelayText
from accelsim.arch.fields import Seconds, Section
from accelsim.errors import SpecError

if TYPE_CHECKING:
    from accelsim.arch.memory import MemorySpec

_Needed = Annotated[Delay, DelayText()]
_Other = Annotated[Delay, DelayText(positive=False)] | None


class Timings(Section):
    """Timing parameters of one speed grade; what is left out follows from the others."""

    tCK: Seconds | None = Field(
        default=None, description="clock period; without: clock_ratio / pin_rate"
    )
    tCL: _Needed = Field(description="read command to first data")
    tCWL: _Needed = Field(description="write command to first data")
    tRCDRD: _Needed = Field(description="activate to read")
    tRCDWR: _Other = Field(default=None, description="activate to write")
    tRP: _Needed = Field(description="precharge of a bank to its next activate")
    tRPab: _Other = Field(default=None, description="precharge of all banks to an activate")
    tRAS: _Needed = Field(description="activate to precharge")
    tRC: _Other = Field(default=None, description="activate to activate, same bank")
    tCCDS: _Needed = Field(description="read to read, other bank group")
    tCCDL: _Other = Field(default=None, description="read to read, same bank group")
    tCCDR: _Other = Field(default=None, description="read to read, other stack id")
    tCCDS_WR: _Other = Field(default=None, description="write to write, other bank group")
    tCCDL_WR: _Other = Field(default=None, description="write to write, same bank group")
    tRRDS: _Needed = Field(description="activate to activate, other bank group")
    tRRDL: _Other = Field(default=None, description="activate to activate, same bank group")
    tFAW: _Needed = Field(description="window of four activates")
    tRTP: _Needed = Field(description="read to precharge")
    tWR: _Needed = Field(description="end of write data to precharge")
    tWTRS: _Needed = Field(description="end of write data to read, other bank group")
    tWTRL: _Other = Field(default=None, description="end of write data to read, same bank group")
    tRTW: _Other = Field(default=None, description="read to write")
    tPPD: _Other = Field(default=None, description="precharge to precharge")
    tRFC: _Needed = Field(description="refresh of all banks to the next command")
    tRFCpb: _Other = Field(default=None, description="refresh of one bank to its next command")
    tREFI: _Needed = Field(description="mean interval of refreshes of all banks")
    tREFIpb: _Other = Field(default=None, description="mean interval of refreshes of one bank")
    tRREFD: _Other = Field(default=None, description="refresh of one bank to activate of another")
    tCS: _Other = Field(default=None, description="gap of the data bus between ranks")
    tAAD: _Other = Field(default=None, description="longest gap of the two halves of an activate")
    tWCKPST: _Other = Field(default=None, description="data clock after a burst")
    tBLmax: _Other = Field(default=None, description="burst as seen by its own bank group")
    tPBR2PBR: _Other = Field(default=None, description="refresh of one bank to that of another")
    tPBR2ACT: _Other = Field(default=None, description="refresh of a bank to activate of another")

    def delays(self) -> dict[str, Delay]:
        """Stated parameters by JEDEC name, in the order of this class (without tCK)."""
        named = ((name, getattr(self, name)) for name in TIMING_NAMES)
        return {name: delay for name, delay in named if delay is not None}


TIMING_NAMES = tuple(
    name for name in Timings.model_fields if name.startswith("t") and name != "tCK"
)
"""JEDEC names of the parameters, without tCK."""

_SAME_AS = {
    "tRCDWR": "tRCDRD", "tRPab": "tRP", "tCCDL": "tCCDS", "tCCDR": "tCCDS", "tCCDS_WR": "tCCDS",
    "tCCDL_WR": "tCCDL", "tRRDL": "tRRDS", "tWTRL": "tWTRS", "tRFCpb": "tRFC", "tRREFD": "tRRDS",
}  # fmt: skip
"""What a parameter is taken from when a file leaves it out; those in no table are zero."""

_TRANSFERS_PER_CLOCK = {
    "DDR3": 2, "DDR4": 2, "DDR5": 2, "LPDDR4": 2, "LPDDR4X": 2, "HBM2": 2, "HBM2E": 2,
    "HBM3": 4, "HBM3E": 4, "HBM4": 4, "GDDR5": 4, "LPDDR5": 8, "LPDDR5X": 8, "GDDR6": 8,
    "GDDR6X": 16, "GDDR7": 16,
}  # fmt: skip
"""Bits of a pin per period of the command clock. The data clock of HBM3 and later, GDDR and LPDDR5
runs two or four times as fast; GDDR6X (PAM4) and GDDR7 (PAM3 with ten lines for eight pins) move
two data bits per symbol, and eight symbols per clock as GDDR6 does."""

_GAP_AFTER_READ = {
    "DDR3": 2, "DDR4": 2, "DDR5": 4, "LPDDR4": 2, "LPDDR4X": 2, "LPDDR5": 2, "LPDDR5X": 2,
    "HBM2": 2, "HBM2E": 2,
}  # fmt: skip
"""Clocks that the data bus rests between read and write data, where tRTW is left out."""
_LATENCY_AFTER_READ = {"GDDR5": 1, "GDDR6": 1, "GDDR6X": 1, "GDDR7": 1}
"""Clocks beyond tCL from read to write, where tRTW is left out."""

_RANK_GAP = 2
"""Clocks that the data bus rests between ranks, where tCS is left out."""
_LONGEST_OPENING = 8
"""Clocks between the two halves of an activate of LPDDR5 at most (JESD209-5), where tAAD is not."""
_PERIOD_TOLERANCE = 0.02
"""Part by which a stated tCK may differ from what the pin rate says (DDR5 cuts it to ps)."""
_COMPARISON_GUARD = 0.03
"""Clocks by which stated times may contradict each other: grades are rounded to ps."""
_AT_LEAST = (
    ("tRAS", "tRCDRD", "a row would close before its first read"),
    ("tRAS", "tRCDWR", "a row would close before its first write"),
    ("tRC", "tRAS", "a row would be reopened before it may be closed"),
    ("tFAW", "tRRDS", "four activates cannot be closer than two"),
    ("tCCDL", "tCCDS", "the same bank group is never faster than another"),
    ("tCCDL_WR", "tCCDS_WR", "the same bank group is never faster than another"),
    ("tRRDL", "tRRDS", "the same bank group is never faster than another"),
    ("tWTRL", "tWTRS", "the same bank group is never faster than another"),
    ("tRPab", "tRP", "closing all banks includes closing one"),
    ("tRFC", "tRFCpb", "refreshing all banks includes refreshing one"),
)
"""(parameter, another that it is never shorter than, why)."""


def contradictions(memory: MemorySpec) -> Iterator[tuple[str, str]]:
    """Name what no DRAM can have: the key in ``timing`` and what is wrong with it.

    Parameters
    ----------
    memory : MemorySpec
        With timing.

    Yields
    ------
    tuple of str
        JEDEC name of a stated parameter, and a message with both values and what to try.
    """
    assert memory.timing is not None
    period_s, stated = clock_period_s(memory), memory.timing.delays()
    ratio = transfers_per_clock(memory.standard, memory.clock_ratio)
    expected_s = ratio / (8 * memory.pin_rate_bytes_per_s)
    if abs(period_s / expected_s - 1) > _PERIOD_TOLERANCE:
        yield (
            "tCK",
            f"{_ns(period_s)} contradicts the pin rate: {ratio} bits of a pin per clock are "
            f"{_ns(expected_s)}; state that, or correct pin_rate or clock_ratio",
        )
    seconds = {name: delay.seconds(period_s) for name, delay in stated.items()}
    for name, other in _SAME_AS.items():
        seconds.setdefault(name, seconds[other])
    row_s = seconds["tRAS"] + seconds["tRP"]
    seconds.setdefault("tRC", row_s)
    guard_s = _COMPARISON_GUARD * period_s
    for longer, shorter, why in _AT_LEAST:
        if seconds[longer] < seconds[shorter] - guard_s:
            yield (
                longer if longer in stated else shorter,
                f"{longer} of {_ns(seconds[longer])} is shorter than {shorter} of "
                f"{_ns(seconds[shorter])}: {why}; make {longer} {_ns(seconds[shorter])} or more",
            )
    if seconds["tRAS"] - guard_s <= seconds["tRC"] < row_s - guard_s:
        yield (
            "tRC",
            f"tRC of {_ns(seconds['tRC'])} is shorter than tRAS + tRP of {_ns(row_s)}: a row "
            "cannot open, close and open again in it; correct one of them or leave tRC out",
        )
    if seconds["tRFC"] >= seconds["tREFI"]:
        yield (
            "tREFI",
            f"tREFI of {_ns(seconds['tREFI'])} is no longer than tRFC of "
            f"{_ns(seconds['tRFC'])}: the memory would only refresh; usual are 1900 to 7800 ns",
        )


def _ns(seconds: float) -> str:
    return f"{seconds * 1e9:.4g} ns"


def transfers_per_clock(standard: str, stated: int | None) -> int:
    """Bits that a pin moves in one period of the command clock.

    Raises
    ------
    SpecError
        If it is not stated and the standard is unknown.
    """
    known = stated or _TRANSFERS_PER_CLOCK.get(standard)
    if known is None:
        raise SpecError(
            f"clock_ratio: unknown for the standard '{standard}' (known: "
            f"{', '.join(_TRANSFERS_PER_CLOCK)}), state clock_ratio, for example 2 for DDR"
        )
    return known


def clock_period_s(memory: MemorySpec) -> float:
    """Period of the command clock [s]: tCK where it is stated, else clock ratio / pin rate."""
    stated = memory.timing.tCK if memory.timing else None
    ratio = transfers_per_clock(memory.standard, memory.clock_ratio)
    return stated or ratio / (8 * memory.pin_rate_bytes_per_s)


def burst_cycles(memory: MemorySpec) -> float:
    """Clocks that one access holds the data bus (whole, where the memory is consistent)."""
    ratio = transfers_per_clock(memory.standard, memory.clock_ratio)
    return 8 * memory.access_bytes / (memory.bus_bits * ratio)


def resolved_cycles(memory: MemorySpec) -> dict[str, int]:
    """Every timing parameter in periods of the command clock.

    Parameters
    ----------
    memory : MemorySpec

    Returns
    -------
    dict of str to int
        nBL (clocks of one access on the data bus), nCL, nCWL, ... [nCK]: the JEDEC names with n.

    Raises
    ------
    SpecError
        If the memory states no timing.

    Notes
    -----
    Minima round up (`Delay.cycles`); the refresh intervals, averages, round to the nearest clock.
    """
    if memory.timing is None:
        raise SpecError(
            f"memory '{memory.name}' has no timing: give it the section 'timing', or extend a "
            "packaged memory (docs/specs.md, A memory of your own)"
        )
    period_s = clock_period_s(memory)
    stated = memory.timing.delays()
    n = {
        name: delay.nearest_cycles(period_s) if name.startswith("tREFI") else delay.cycles(period_s)
        for name, delay in stated.items()
    }
    n["tBL"] = round(burst_cycles(memory))
    for name, other in _SAME_AS.items():
        n.setdefault(name, n[other])
    n.setdefault("tRC", n["tRAS"] + n["tRP"])
    n.setdefault("tREFIpb", math.ceil(n["tREFI"] / memory.banks))
    n.setdefault("tRTW", _read_to_write_cycles(memory.standard, n))
    n.setdefault("tCS", _RANK_GAP)
    if memory.standard.startswith("LPDDR"):
        n.setdefault("tPBR2PBR", n["tRFCpb"])
        n.setdefault("tPBR2ACT", n["tRRDS"])
    if memory.standard.startswith("LPDDR5"):
        n.setdefault("tAAD", _LONGEST_OPENING)
    return {f"n{name[1:]}": n.get(name, 0) for name in ("tBL", *TIMING_NAMES)}


def timing_origins(memory: MemorySpec) -> dict[str, str]:
    """Say of every parameter that is not zero what it is: as stated, or what it follows from.

    Parameters
    ----------
    memory : MemorySpec
        With timing.

    Returns
    -------
    dict of str to str
        By JEDEC name, for example ``{"tRP": "16.25 ns", "tRPab": "as tRP", ...}``.
    """
    assert memory.timing is not None
    stated = {name: delay.text for name, delay in memory.timing.delays().items()}
    derived = {
        **{name: f"as {other}" for name, other in _SAME_AS.items()},
        "tRC": "tRAS + tRP",
        "tREFIpb": f"tREFI / {memory.banks} banks",
        "tRTW": f"rule of {memory.standard}",
    }
    origins = {**derived, **stated}
    return {name: origins[name] for name in TIMING_NAMES if name in origins}


def read_to_write_known(memory: MemorySpec) -> bool:
    """Tell whether tRTW is stated or follows from the standard."""
    stated = memory.timing is not None and memory.timing.tRTW is not None
    return stated or memory.standard in {**_GAP_AFTER_READ, **_LATENCY_AFTER_READ}


def _read_to_write_cycles(standard: str, n: Mapping[str, int]) -> int:
    """Clocks from read to write by the rule of the standard; 0 where it has none."""
    if standard in _LATENCY_AFTER_READ:
        return n["tCL"] + _LATENCY_AFTER_READ[standard]
    gap = _GAP_AFTER_READ.get(standard)
    return 0 if gap is None else max(1, n["tCL"] + n["tBL"] + gap - n["tCWL"])
