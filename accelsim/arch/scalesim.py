"""SCALE-Sim configuration files: the array, its SRAMs and its bandwidth, read as they are.

What each key means here, and which have no effect: docs/scalesim.md.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from accelsim.arch.array import (
    MAX_SIDE,
    ArrayBuffers,
    ArrayDataflow,
    SystolicArray,
    known_dataflow,
)
from accelsim.documents import printable, read_text, require_printable
from accelsim.errors import SpecError, suggest

_ARRAY = "architecture_presets"
_RUN = "run_presets"
_MEANT = {
    "general": ("run_name",),
    _ARRAY: (
        "ArrayHeight", "ArrayWidth", "IfmapSramSzkB", "FilterSramSzkB", "OfmapSramSzkB",
        "Dataflow", "Bandwidth",
    ),
    "sparsity": ("SparsitySupport", "OptimizedMapping"),
    _RUN: ("InterfaceBandwidth",),
}  # fmt: skip
"""The keys that decide something here, by section; any other key has no effect."""
_UNMODELLED = ("useramulatortrace", "ifmapcustomlayout", "filtercustomlayout")
_WORDS_PER_KB = 1024
_MOST_KB = 2**30
_MOST_LINES = 1000
_LONGEST_NAME = 80
_QUOTED = 40


@dataclass(frozen=True)
class ScaleSimConfig:
    """What a SCALE-Sim configuration says about an array.

    Attributes
    ----------
    array : SystolicArray
        Named after the run; its buffers have no bandwidth limit in CALC mode.
    sparse : bool
        Whether the N:M sparsity of layers is exploited.
    unused : tuple of str
        Keys of the file that have no effect here.
    warnings : tuple of str
        What the file asks for and does not get.
    """

    array: SystolicArray
    sparse: bool = False
    unused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load_scalesim_config(path: str | Path) -> ScaleSimConfig:
    """Read a SCALE-Sim 2 or 3 ``.cfg`` file.

    Parameters
    ----------
    path : str or Path
        An INI file with the sections general, architecture_presets, run_presets and, in version 3,
        sparsity. Keys may be spelt in any case.

    Returns
    -------
    ScaleSimConfig

    Raises
    ------
    SpecError
        If the file is unreadable, misses a key, has one that looks misspelt, or a value out of
        range; the message names file and line.

    Notes
    -----
    1 word is 1 byte and 1 kB is 1024 words. `Bandwidth` [word/cycle] is that of the port of each
    operand, and counts in USER mode only.
    """
    settings = _parse(read_text(path, SpecError), str(path))
    unused = settings.unused()
    limit, caution = settings.bandwidth()
    array = SystolicArray(
        dataflow=settings.dataflow(),
        rows=settings.count(_ARRAY, "ArrayHeight", MAX_SIDE),
        cols=settings.count(_ARRAY, "ArrayWidth", MAX_SIDE),
        buffers=ArrayBuffers(
            a_words=settings.sram_words("IfmapSramSzkB"),
            b_words=settings.sram_words("FilterSramSzkB"),
            c_words=settings.sram_words("OfmapSramSzkB"),
            a_words_per_cycle=limit,
            b_words_per_cycle=limit,
            c_words_per_cycle=limit,
        ),
        name=(settings.text("general", "run_name") or printable(Path(path).stem))[:_LONGEST_NAME],
    )
    sparse = settings.switch("sparsity", "SparsitySupport")
    if sparse and settings.switch("sparsity", "OptimizedMapping"):
        raise settings.wrong(
            "sparsity", "OptimizedMapping", "draws the sparsity of each row at random, which is "
            "not modelled: set it to false and give layers their N:M in the topology"
        )  # fmt: skip
    return ScaleSimConfig(array, sparse, unused, (*caution, *settings.unmodelled()))


class _Entry(NamedTuple):
    """A key as it is spelt, its value and its line."""

    key: str
    value: str
    line: int


def _parse(text: str, path: str) -> _Settings:
    """Split an INI file to sections and entries, by lower-case names."""
    sections: dict[str, dict[str, _Entry]] = {}
    entries: dict[str, _Entry] | None = None
    meant = 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line, where = raw.replace("\t", " ").strip(), f"{path}:{number}"
        if not line or line[0] in "#;":
            continue
        require_printable(line, where, SpecError)
        if (meant := meant + 1) > _MOST_LINES:
            raise SpecError(f"{where}: more than {_MOST_LINES} keys; a configuration has about 30")
        if (title := _section(line)) is not None:
            if title.lower() in sections:
                raise SpecError(f"{where}: the section [{title[:_QUOTED]}] stands twice")
            entries = sections[title.lower()] = {}
            continue
        entry = _entry(line, number, where)
        if entries is None:
            raise SpecError(f"{where}: '{line[:_QUOTED]}' stands before the first [section]")
        if entry.key.lower() in entries:
            raise SpecError(f"{where}: the key '{entry.key[:_QUOTED]}' stands twice in its section")
        entries[entry.key.lower()] = entry
    return _Settings(path, sections)


def _section(line: str) -> str | None:
    """Return the name in ``[name]``; None if the line is no heading of a section."""
    name = line[1:-1].strip()
    is_heading = line[0] == "[" and line[-1] == "]" and name and not set("[]") & set(name)
    return name if is_heading else None


def _entry(line: str, number: int, where: str) -> _Entry:
    """Split ``key = value`` or ``key: value`` at the first of both signs."""
    head = line.partition(":")[0].partition("=")[0]
    key = head.strip()
    if not key or head == line:
        raise SpecError(
            f"{where}: '{line[:_QUOTED]}' is neither a [section] nor a key with a value, for "
            "example 'ArrayHeight: 32'"
        )
    return _Entry(key, line[len(head) + 1 :].strip(), number)


@dataclass(frozen=True)
class _Settings:
    """The sections of a file, asked for typed values."""

    path: str
    sections: dict[str, dict[str, _Entry]]

    def text(self, section: str, key: str) -> str:
        """Return the text of a key, whatever its case; empty if it is absent."""
        entry = self.sections.get(section, {}).get(key.lower())
        return entry.value if entry else ""

    def where(self, section: str, key: str) -> str:
        """Return file, line if there is one, section and key."""
        entry = self.sections.get(section, {}).get(key.lower())
        line = f":{entry.line}" if entry else ""
        return f"{self.path}{line} [{section[:_QUOTED]}] {key[:_QUOTED]}"

    def wrong(self, section: str, key: str, problem: str) -> SpecError:
        """Make the error that a key's value calls for."""
        return SpecError(f"{self.where(section, key)}: {problem}")

    def needed(self, section: str, key: str, example: str) -> str:
        """Return the text of a key that must be there."""
        value = self.text(section, key)
        if not value:
            raise self.wrong(section, key, f"missing; write for example '{key}: {example}'")
        return value

    def count(self, section: str, key: str, limit: int) -> int:
        """Return a positive whole number."""
        text = self.needed(section, key, "32")
        if re.fullmatch(r"\+?[0-9]{1,12}", text) and 1 <= int(text) <= limit:
            return int(text)
        raise self.wrong(
            section,
            key,
            f"'{text[:_QUOTED]}' is not a whole number from 1 to {limit}, for example 32",
        )

    def sram_words(self, key: str) -> int:
        """Return the capacity of an SRAM [word]."""
        return self.count(_ARRAY, key, _MOST_KB) * _WORDS_PER_KB

    def dataflow(self) -> ArrayDataflow:
        """Return the dataflow."""
        text = self.needed(_ARRAY, "Dataflow", "ws")
        try:
            return known_dataflow(text[:_QUOTED])
        except SpecError as error:
            raise self.wrong(_ARRAY, "Dataflow", str(error)) from None

    def switch(self, section: str, key: str) -> bool:
        """Return a truth value; absent is false."""
        text = (self.text(section, key) or "false").lower()
        if text not in ("true", "false"):
            raise self.wrong(section, key, f"'{text[:_QUOTED]}' is neither True nor False")
        return text == "true"

    def bandwidth(self) -> tuple[Fraction | None, tuple[str, ...]]:
        """Return the limit of each port [word/cycle], None in CALC mode, and cautions."""
        mode = self.needed(_RUN, "InterfaceBandwidth", "CALC").upper()
        if mode not in ("CALC", "USER"):
            raise self.wrong(
                _RUN, "InterfaceBandwidth", f"'{mode[:_QUOTED]}' is neither CALC (no limit) nor "
                "USER (the Bandwidth of the file)"
            )  # fmt: skip
        if mode == "CALC":
            return None, ()
        listed = [part.strip() for part in self.needed(_ARRAY, "Bandwidth", "10").split(",")]
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", listed[0]) or not Fraction(listed[0]):
            raise self.wrong(
                _ARRAY, "Bandwidth", f"'{listed[0][:_QUOTED]}' is not a positive number of words "
                "per cycle, for example 10"
            )  # fmt: skip
        if len({part for part in listed if part}) == 1:
            return Fraction(listed[0]), ()
        return Fraction(listed[0]), (
            f"{self.where(_ARRAY, 'Bandwidth')}: the first of the figures, {listed[0]} "
            "words/cycle, serves every operand",
        )

    def unused(self) -> tuple[str, ...]:
        """Name the keys without effect, and refuse those that look like a misspelt one."""
        homes = {key.lower(): (key, section) for section, keys in _MEANT.items() for key in keys}
        unused = []
        for section, entries in self.sections.items():
            for lower, entry in entries.items():
                home = homes.get(lower, ("", ""))[1]
                if home and home != section:
                    raise self.wrong(section, entry.key, f"belongs to the section [{home}]")
                start = lower[:_LONGEST_NAME]  # nothing longer is like a known key
                if not home and difflib.get_close_matches(start, homes, n=1, cutoff=0.8):
                    near = suggest(entry.key, [name for name, _ in homes.values()], limit=1)
                    raise self.wrong(section, entry.key, f"unknown key, {near}")
                if not home:
                    unused.append(entry.key)
        return tuple(dict.fromkeys(unused))

    def unmodelled(self) -> tuple[str, ...]:
        """Name what is switched on and not modelled."""
        return tuple(
            f"{self.where(section, entry.key)} is not modelled: results are those without it"
            for section, entries in self.sections.items()
            for lower, entry in entries.items()
            if lower in _UNMODELLED and entry.value.lower() == "true"
        )
