"""Address maps: which bits of an address choose rank, stack id, group, bank, row and column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError, suggest

LEVELS = ("rank", "stack", "group", "bank", "row", "column")
"""Fields of an address; a pseudo-channel counts as a rank. Order of `kernels.dram.addresses`."""
REST = 0
"""Bits of a field that takes all that is left."""
_ACCESS_BYTES = 64
_MAX_BITS = 40
"""Of one field: those of a map before the last row stay far below the 64 of an address."""


@dataclass(frozen=True)
class Hash:
    """XOR the low `bits` of a field with those of another from bit `start` on."""

    level: str
    source: str
    start: int
    bits: int


@dataclass(frozen=True)
class AddressMap:
    """Bit fields above the bytes of one transaction, lowest first, and the hashes over them.

    Attributes
    ----------
    fields : tuple of (level, bits)
        A level may come twice: its later bits are the higher ones. The last field has REST bits.
    hashes : tuple of Hash
        Applied in order.
    """

    fields: tuple[tuple[str, int], ...]
    hashes: tuple[Hash, ...] = ()

    def __str__(self) -> str:
        """Write the map as `address_map` reads it."""
        fields = " ".join(f"{level}:{bits}" if bits else level for level, bits in self.fields)
        hashes = " ".join(f"{h.level}^{h.source}[{h.start}]" for h in self.hashes)
        return f"{fields}; {hashes}" if hashes else fields

    @cached_property
    def field_table(self) -> NDArray[np.int64]:
        """Rows of level, first bit of the address, bits, first bit of the level."""
        rows, used, start = [], dict.fromkeys(LEVELS, 0), 0
        for level, bits in self.fields:
            rows.append((LEVELS.index(level), start, bits, used[level]))
            used[level] += bits
            start += bits
        return np.array(rows, np.int64).reshape(-1, 4)

    @cached_property
    def hash_table(self) -> NDArray[np.int64]:
        """Rows of level, source, first bit of the source, bits."""
        rows = [
            (LEVELS.index(h.level), LEVELS.index(h.source), h.start, h.bits) for h in self.hashes
        ]
        return np.array(rows, np.int64).reshape(-1, 4)


def _log2(count: float, what: str, memory: MemorySpec) -> int:
    bits = int(count).bit_length() - 1
    if count != 1 << bits:
        raise SimulationError(
            f"memory '{memory.name}' has {count:g} {what}: address maps need a power of two"
        )
    return bits


def level_bits(memory: MemorySpec, pseudo_channels: int) -> dict[str, int]:
    """Bits of every level of a channel but the row.

    Raises
    ------
    SimulationError
        If a count is no power of two.
    """
    return {
        "rank": _log2(pseudo_channels * memory.ranks, "pseudo-channels or ranks", memory),
        "stack": _log2(memory.stack_ids, "stack ids", memory),
        "group": _log2(memory.bank_groups, "bank groups", memory),
        "bank": _log2(memory.banks_per_group, "banks per group", memory),
        "column": _log2(memory.page_bytes / memory.access_bytes, "accesses per row", memory),
    }


def _fields_then_row(*fields: tuple[str, int]) -> tuple[tuple[str, int], ...]:
    """Drop fields without bits, and let the row take the rest."""
    return (*(field for field in fields if field[1]), ("row", REST))


def _robaracoch(bits: dict[str, int], memory: MemorySpec) -> AddressMap:
    order = ("column", "rank", "stack", "group", "bank")
    return AddressMap(_fields_then_row(*((level, bits[level]) for level in order)))


def _mop4clxor(bits: dict[str, int], memory: MemorySpec) -> AddressMap:
    places = ("rank", "stack", "group", "bank")
    low = min(2, bits["column"])
    fields = _fields_then_row(
        ("column", low),
        *((level, bits[level]) for level in places),
        ("column", bits["column"] - low),
    )
    hashes, start = [], 0
    for level in places:
        hashes.append(Hash(level, "column", start, bits[level]))
        start += bits[level]
    hashes.append(Hash("row", "column", start, max(bits["column"] - start, 0)))
    return AddressMap(fields, tuple(h for h in hashes if h.bits))


def _bgi(bits: dict[str, int], memory: MemorySpec) -> AddressMap:
    low = min(
        _log2(max(_ACCESS_BYTES / memory.access_bytes, 1), "per 64 B", memory), bits["column"]
    )
    shared = memory.ranks > 1
    fields = _fields_then_row(
        ("column", low), ("group", bits["group"]), ("rank", 0 if shared else bits["rank"]),
        ("column", bits["column"] - low), ("bank", bits["bank"]), ("stack", bits["stack"]),
        ("rank", bits["rank"] if shared else 0),
    )  # fmt: skip
    return AddressMap(fields)


def _bgix(bits: dict[str, int], memory: MemorySpec) -> AddressMap:
    hashes = (
        Hash("group", "row", 0, bits["group"]),
        Hash("bank", "row", bits["group"], bits["bank"]),
    )
    return AddressMap(_bgi(bits, memory).fields, tuple(h for h in hashes if h.bits))


def _hashed(bits: dict[str, int], memory: MemorySpec) -> AddressMap:
    hashes, start = list(_bgix(bits, memory).hashes), bits["group"] + bits["bank"]
    for level in ("stack", "rank"):
        hashes.append(Hash(level, "row", start, bits[level]))
        start += bits[level]
    return AddressMap(_bgi(bits, memory).fields, tuple(h for h in hashes if h.bits))


MAPS = {
    "robaracoch": _robaracoch, "mop4clxor": _mop4clxor, "bgi": _bgi, "bgix": _bgix,
    "bgixp": _hashed,
}  # fmt: skip
"""Maps by name. robaracoch: a whole row of one bank, then the next (pseudo-)channel. mop4clxor:
four transactions, then the next bank, hashed with the column. bgi: 64 B, then the next bank group,
then the next pseudo-channel. bgix: bgi with bank group and bank hashed with the row. bgixp: bgix
with stack id and pseudo-channel hashed too, so that power-of-two strides use all of a channel."""
_FIELD = re.compile(r"([a-z_]+)(?::(\d{1,2}))?")
_HASH = re.compile(r"([a-z_]+)\^([a-z_]+)\[(\d{1,2})\]")
_ALIASES = {"pseudo_channel": "rank", "bank_group": "group", "stack_id": "stack"}


def address_map(text: str, memory: MemorySpec, pseudo_channels: int) -> AddressMap:
    """Read an address map: a name of MAPS, or fields and hashes.

    Parameters
    ----------
    text : str
        For example ``"bgix"`` or ``"column:1 group:2 rank:1 column:4 bank:2 row; group^row[0]"``:
        fields from the lowest bit above one transaction up, ``row`` without bits taking the rest,
        then hashes: ``group^row[0]`` XORs the group with as many row bits from bit 0 on.
    memory : MemorySpec
    pseudo_channels : int

    Returns
    -------
    AddressMap

    Raises
    ------
    SimulationError
        If a name is unknown, or the bits of a level are not those that the memory has.
    """
    bits = level_bits(memory, pseudo_channels)
    if not isinstance(text, str):
        raise SimulationError(f"address map {text!r} is no text: {suggest('', MAPS)}")
    if text in MAPS:
        return MAPS[text](bits, memory)
    if ":" not in text:
        raise SimulationError(
            f"address map '{text}' is unknown: {suggest(text, MAPS)}, or give fields such as "
            f"'{MAPS['bgix'](bits, memory)}'"
        )
    fields_text, _, hashes_text = text.partition(";")
    fields = tuple(_fields(fields_text))
    _check_bits(fields, bits, memory)
    return AddressMap(fields, tuple(_hashes(hashes_text, bits)))


def _level(word: str) -> str:
    level = _ALIASES.get(word, word)
    if level not in LEVELS:
        raise SimulationError(f"address map: unknown field '{word}': {suggest(word, LEVELS)}")
    return level


def _fields(text: str) -> Iterator[tuple[str, int]]:
    words = text.replace(",", " ").split()
    for i, word in enumerate(words):
        match = _FIELD.fullmatch(word)
        if match is None:
            raise SimulationError(f"address map: '{word}' is no field such as 'bank:2'")
        level, last = _level(match[1]), i == len(words) - 1
        if (level == "row" and match[2] is None) != last:
            raise SimulationError(
                f"address map: '{word}': every field but the last has bits, and the last is 'row' "
                "without, for what is left"
            )
        if match[2] is not None and not 1 <= int(match[2]) <= _MAX_BITS:
            raise SimulationError(
                f"address map: '{word}': a field has 1 to {_MAX_BITS} bits; leave out those of none"
            )
        yield level, int(match[2] or REST)


def _hashes(text: str, bits: dict[str, int]) -> Iterator[Hash]:
    for word in text.replace(",", " ").split():
        match = _HASH.fullmatch(word)
        if match is None:
            raise SimulationError(f"address map: '{word}' is no hash such as 'group^row[0]'")
        level, source = _level(match[1]), _level(match[2])
        if level in (source, "row"):
            raise SimulationError(
                f"address map: '{word}': a field is hashed with another one, and rows with none"
            )
        width = bits[level] if source == "row" else min(bits[level], bits[source] - int(match[3]))
        if width < 1 or int(match[3]) > _MAX_BITS:
            raise SimulationError(f"address map: '{word}' hashes no bits of this memory")
        yield Hash(level, source, int(match[3]), width)


def _check_bits(
    fields: tuple[tuple[str, int], ...], bits: dict[str, int], memory: MemorySpec
) -> None:
    for level, expected in bits.items():
        got = sum(n for name, n in fields if name == level)
        if got != expected:
            raise SimulationError(
                f"address map: {got} bits of {level}, but '{memory.name}' has {1 << expected} "
                f"({expected} bits)"
            )
