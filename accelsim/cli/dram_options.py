"""What the command line says of a memory and its traffic, made into both."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.documents import printable
from accelsim.errors import SimulationError

if TYPE_CHECKING:
    from accelsim.scenarios.dram_study import Accesses
    from accelsim.timing.dram.patterns import Traffic

MOST_FILE_BYTES = 256 * 2**20
"""Longest file of addresses: some 16 million accesses."""
_QUOTED = 40
_NUMBER = re.compile(r"\d{1,18}|0[xX][0-9a-fA-F]{1,15}", flags=re.ASCII)
_DIRECTIONS = {
    "": False, "0": False, "r": False, "read": False, "false": False,
    "1": True, "w": True, "write": True, "true": True,
}  # fmt: skip
_TURNS = re.compile(r"(\d{1,6}):(\d{1,6})", flags=re.ASCII)


def bytes_of(option: str, text: str | None) -> int | None:
    """Read a size such as ``256 B`` or ``4 KiB``.

    Raises
    ------
    SimulationError
        If it is none, or no whole number of bytes.
    """
    from accelsim.units import INFORMATION, parse_quantity

    if text is None:
        return None
    try:
        size = parse_quantity(text, INFORMATION)
    except ValueError as problem:
        raise SimulationError(f"{option} {problem}") from None
    if size < 0 or size != int(size):
        raise SimulationError(f"{option} '{text}' is no whole number of bytes, as '256 B' is")
    return int(size)


def seconds_of(option: str, text: str | None) -> float | None:
    """Read a time such as ``2 us``.

    Raises
    ------
    SimulationError
        If it is none, or below zero.
    """
    from accelsim.units import TIME, parse_quantity

    if text is None:
        return None
    try:
        time_s = parse_quantity(text, TIME)
    except ValueError as problem:
        raise SimulationError(f"{option} {problem}") from None
    if time_s < 0:
        raise SimulationError(f"{option} '{text}' is below zero")
    return time_s


@dataclass(frozen=True)
class TrafficOptions:
    """Options that describe traffic, as they were typed; None where they were not.

    Attributes
    ----------
    pattern : str or None
    numbers : dict of str to value
        Fields of `Traffic` that are plain numbers.
    sizes : dict of str to str
        Fields of `Traffic` that are sizes, by option.
    alternate : str or None
        As ``2:1``.
    """

    pattern: str | None
    numbers: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, str | None] = field(default_factory=dict)
    alternate: str | None = None

    @property
    def given(self) -> dict[str, bool]:
        """Options, and whether each was given."""
        named = {f"--{name.replace('_', '-')}": v is not None for name, v in self.numbers.items()}
        sized = {option: text is not None for option, text in self.sizes.items()}
        return {
            "--pattern": self.pattern is not None, **named, **sized,
            "--alternate": self.alternate is not None,
        }  # fmt: skip

    def traffic(self, pattern: str, access_bytes: int) -> Traffic:
        """Build the traffic of a pattern.

        Raises
        ------
        SimulationError
            If it is none, or an option means nothing to the pattern.
        """
        from accelsim.timing.dram.patterns import Traffic

        own = {
            "--streams": "stream", "--write-streams": "stream", "--chunk": "stream",
            "--spacing": "stream", "--stagger": "stream", "--stride": "strided",
            "--block": "random mixed",
        }  # fmt: skip
        for option, patterns in own.items():
            if self.given.get(option) and pattern not in patterns.split():
                raise SimulationError(
                    f"{option} means nothing to pattern '{pattern}': it belongs to "
                    f"{patterns.replace(' ', ' and ')}"
                )
        fields = {name: value for name, value in self.numbers.items() if value is not None}
        for option, text in self.sizes.items():
            size = bytes_of(option, text)
            if size is not None:
                fields[f"{option.removeprefix('--')}_bytes"] = size
        # Turns, strides and blocks of one access each, however large an access is.
        for name in ("chunk_bytes", "stride_bytes", "block_bytes"):
            fields.setdefault(name, access_bytes)
        if self.alternate is not None:
            fields["alternate"] = _turns(self.alternate)
        return Traffic(pattern, access_bytes=access_bytes, **fields)


def _turns(text: str) -> tuple[int, int]:
    match = _TURNS.fullmatch(text)
    if match is None:
        raise SimulationError(f"--alternate '{text}' is no READS:WRITES such as 2:1")
    return int(match[1]), int(match[2])


def read_addresses(path: Path) -> Accesses:
    """Read accesses in program order from a CSV file with columns address and write.

    Parameters
    ----------
    path : Path
        Addresses in bytes, decimal or 0x...; write (may be missing) is 0, 1, r or w.

    Raises
    ------
    SimulationError
        If it cannot be read, is too long, or a line is no access; the line is named.
    """
    import numpy as np

    shown = printable(str(path))
    try:
        if path.exists() and not path.is_file():
            raise SimulationError(f"--addresses {shown}: not a file")
        if path.is_file() and path.stat().st_size > MOST_FILE_BYTES:
            raise SimulationError(f"--addresses {shown}: more than {MOST_FILE_BYTES // 2**20} MiB")
        with path.open(encoding="utf-8-sig", newline=None) as lines:
            address_at, write_at = _columns(lines.readline(), shown)
            addresses, writes = [], []
            for number, line in enumerate(lines, 2):
                cells = [cell.strip() for cell in line.split(",")]
                if cells == [""]:
                    continue
                try:
                    addresses.append(_address(cells[address_at]))
                    writes.append(write_at is not None and _DIRECTIONS[cells[write_at].lower()])
                except (IndexError, KeyError, ValueError):
                    raise SimulationError(
                        f"--addresses {shown}:{number}: '{printable(line.strip()[:_QUOTED])}' is "
                        "no access: expected an address in bytes (decimal or 0x...) and 0 or 1"
                    ) from None
    except UnicodeDecodeError:
        raise SimulationError(f"--addresses {shown}: not a text in UTF-8") from None
    except OSError as error:
        raise SimulationError(f"--addresses {shown}: {error.strerror or error}") from None
    if not addresses:
        raise SimulationError(f"--addresses {shown}: no accesses below the heading")
    return np.array(addresses, np.int64), np.array(writes, bool)


def _columns(heading: str, shown: str) -> tuple[int, int | None]:
    names = [name.strip().strip('"').lower() for name in heading.split(",")]
    if "address" not in names:
        got = printable(heading.strip()[:_QUOTED])
        raise SimulationError(
            f"--addresses {shown}:1: '{got}' names no column 'address': the first line names the "
            "columns, 'address,write'"
        )
    return names.index("address"), names.index("write") if "write" in names else None


def _address(cell: str) -> int:
    if _NUMBER.fullmatch(cell) is None:
        raise ValueError(cell)
    return int(cell, 16 if cell[:2].lower() == "0x" else 10)
