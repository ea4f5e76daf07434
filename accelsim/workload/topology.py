"""SCALE-Sim topologies: the layers of a network as convolutions or matrix multiplications.

Columns are read by position, as SCALE-Sim reads them; the header must agree with that. What may
stand in a file: docs/scalesim.md.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelsim.documents import printable, read_text, require_printable
from accelsim.errors import WorkloadError, suggest
from accelsim.workload.conv import ConvShape, Gemm

_MAX_LAYERS = 20_000
_LARGEST = 2**40
_LONGEST_NAME = 80
_QUOTED = 40


@dataclass(frozen=True)
class TopologyLayer:
    """One layer: a matrix multiplication, and the convolution that it comes from.

    Attributes
    ----------
    name : str
        Need not be unique.
    gemm : Gemm
        m, n, k and how often.
    conv : ConvShape or None
        None if the layer is given as m, n, k.
    sparsity : (int, int) or None
        Of M weights that follow each other along k at most N are not 0: ``(N, M)``.
    where : str
        File and line, for messages.
    """

    name: str
    gemm: Gemm
    conv: ConvShape | None = None
    sparsity: tuple[int, int] | None = None
    where: str = ""

    def __post_init__(self) -> None:
        for name, size in zip(Gemm._fields, self.gemm, strict=True):
            if type(size) is not int or not 1 <= size <= _LARGEST:
                raise WorkloadError(
                    f"{name} is {size!r}, expected a whole number from 1 to {_LARGEST}"
                )
        if self.conv is not None and self.conv.gemm != self.gemm:
            raise WorkloadError(
                f"the sizes {tuple(self.gemm)} are not those of the convolution, "
                f"{tuple(self.conv.gemm)}: give conv.gemm"
            )
        if self.sparsity is not None and not 1 <= self.sparsity[0] <= self.sparsity[1]:
            n, m = self.sparsity
            raise WorkloadError(
                f"sparsity {n}:{m} keeps {n} of {m} weights: expected 1 <= N <= M, for example 2:4"
            )


@dataclass(frozen=True)
class Topology:
    """Layers that run one after the other.

    Attributes
    ----------
    name : str
        For tables.
    layers : tuple of TopologyLayer
        At least one.
    warnings : tuple of str
        Where another reading of the file is possible.
    """

    name: str
    layers: tuple[TopologyLayer, ...]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise WorkloadError(f"the topology {self.name} has no layers")


@dataclass(frozen=True)
class _Form:
    """One of the two ways to write a layer: its columns and those that may follow them."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


_CONV = _Form(
    ("Layer name", "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels",
     "Num Filter", "Strides"),
    ("Stride Width", "Batch Size", "Sparsity"),
)  # fmt: skip
_GEMM = _Form(("Layer name", "M", "N", "K"), ("Sparsity",))
_BOTH_FORMS = (
    f"give a table of convolutions ({', '.join(_CONV.required)}) or of matrix multiplications "
    f"({', '.join(_GEMM.required)}), columns separated by commas"
)
_ALSO = {
    "layer": "layername", "numfilters": "numfilter", "stride": "strides",
    "strideheight": "strides", "batch": "batchsize",
}  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """The cells of a line: no blanks around them, none behind the last, no comment."""

    where: str
    cells: tuple[str, ...]

    @property
    def is_header(self) -> bool:
        """Whether no size stands in the row."""
        return not any(re.fullmatch(r"[+-]?[0-9.]+", cell) for cell in self.cells[1:])


def load_topology(path: str | Path) -> Topology:
    """Read a SCALE-Sim topology CSV.

    Parameters
    ----------
    path : str or Path
        Convolutions (layer name, IFMAP height and width, filter height and width, channels,
        number of filters, stride; then, if the header says so, stride width, batch size, sparsity)
        or matrix multiplications (layer name, M, N, K; then sparsity). Blank lines and what follows
        a ``#`` are skipped.

    Returns
    -------
    Topology

    Raises
    ------
    WorkloadError
        If the file is unreadable, its form is unclear, or a row lacks a column or has a size that
        is not a positive whole number; the message names file, line and column.

    Notes
    -----
    Sizes include padding. A last filter position that hangs over the edge counts:
    ``out = ceil((in - filter + stride) / stride)``, as if zeros stood there.
    """
    rows = _rows(read_text(path, WorkloadError), str(path))
    if not rows:
        raise WorkloadError(f"{path}: no rows; expected a header and one layer per row")
    header = rows[0] if rows[0].is_header else None
    body = rows[1:] if header else rows
    if not body:
        raise WorkloadError(f"{rows[0].where}: a header without layers below it")
    columns = _columns(header, body)
    layers = tuple(_layer(row, columns) for row in body)
    warnings = () if header else (
        f"{rows[0].where}: no header; this row is read as a layer, which SCALE-Sim would skip",
    )  # fmt: skip
    return Topology(printable(Path(path).stem)[:_LONGEST_NAME], layers, warnings)


def _rows(text: str, path: str) -> list[_Row]:
    """Split the text to rows that are not blank."""
    reader = csv.reader(text.split("\n"), skipinitialspace=True)
    rows: list[_Row] = []
    try:
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            kept = [cell.replace("\t", " ").strip() for cell in cells]
            comment = next((i for i, cell in enumerate(kept) if cell.startswith("#")), len(kept))
            while comment and not kept[comment - 1]:
                comment -= 1
            if comment:
                require_printable("".join(kept[:comment]), where, WorkloadError)
                rows.append(_Row(where, tuple(kept[:comment])))
            if len(rows) > _MAX_LAYERS:
                raise WorkloadError(f"{where}: more than {_MAX_LAYERS} layers; split the file")
    except csv.Error as error:
        raise WorkloadError(f"{path}:{reader.line_num}: not readable as CSV: {error}") from None
    return rows


def _key(title: str) -> str:
    """Return a column's title without case, blanks and signs."""
    letters = re.sub(r"[^a-z0-9]", "", title.lower())
    return _ALSO.get(letters, letters)


def _columns(header: _Row | None, body: Sequence[_Row]) -> tuple[str, ...]:
    """Return the titles of the columns, required ones first."""
    form = _form(header, body[0])
    extra = header.cells[len(form.required) :] if header else ()
    optional = {_key(title): title for title in form.optional}
    for title in extra:
        if _key(title) not in optional:
            assert header is not None
            raise WorkloadError(
                f"{header.where}: unknown column '{title[:_QUOTED]}' after {form.required[-1]}: "
                f"{suggest(title[:_QUOTED], form.optional)}"
            )
    found = [optional[_key(title)] for title in extra]
    longest = max(body, key=lambda row: len(row.cells))
    rest = longest.cells[len(form.required) + len(found) :]
    if rest and not header:
        found = ["Sparsity" if ":" in cell else "Stride Width" for cell in rest]
    if len(found) != len(set(found)) or len(longest.cells) > len(form.required) + len(found):
        raise WorkloadError(
            f"{longest.where}: {len(longest.cells)} cells, but the columns are "
            f"{', '.join((*form.required, *found))}; name further ones in the header "
            f"({', '.join(form.optional)})"
        )
    return (*form.required, *found)


def _form(header: _Row | None, first: _Row) -> _Form:
    """Tell convolutions from matrix multiplications: by two titles at least, or by the cells."""
    if header is None:
        return _form_of_cells(first)
    titles = [_key(cell) for cell in header.cells]
    for form in (_CONV, _GEMM):
        wanted = [_key(title) for title in form.required]
        if len(set(wanted[1:]) & set(titles)) < 2:
            continue
        for place, key in enumerate(wanted):
            if place and titles[place : place + 1] != [key]:
                got = f"'{header.cells[place][:_QUOTED]}'" if place < len(titles) else "missing"
                raise WorkloadError(
                    f"{header.where}: column {place + 1} is {got}, expected "
                    f"'{form.required[place]}': columns count by position: "
                    f"{', '.join(form.required)}"
                )
        return form
    raise WorkloadError(
        f"{header.where}: the first row, '{', '.join(header.cells)[:_QUOTED]}', has neither sizes "
        f"nor titles of columns: {_BOTH_FORMS}"
    )


def _form_of_cells(first: _Row) -> _Form:
    """Tell the form by the number of sizes in a row."""
    sizes = sum(":" not in cell for cell in first.cells) - 1
    if sizes == 3:
        return _GEMM
    if sizes in (7, 8):
        return _CONV
    raise WorkloadError(f"{first.where}: {sizes} sizes are of neither form: {_BOTH_FORMS}")


def _layer(row: _Row, columns: tuple[str, ...]) -> TopologyLayer:
    """Make a layer of a row."""
    is_gemm = "M" in columns
    required = _GEMM.required if is_gemm else _CONV.required
    for title, cell in zip(required, (*row.cells, *("",) * len(required)), strict=False):
        if not cell:
            raise WorkloadError(f"{row.where}: no '{title}'; the columns are {', '.join(required)}")
    cells = dict(zip(columns, row.cells, strict=False))
    sparsity = _sparsity(row, cells.pop("Sparsity", ""))
    sizes = {title: _size(row, title, cell) for title, cell in list(cells.items())[1:] if cell}
    name = row.cells[0][:_LONGEST_NAME]
    try:
        if is_gemm:
            gemm = Gemm(sizes["M"], sizes["N"], sizes["K"], 1)
            return TopologyLayer(name, gemm, None, sparsity, row.where)
        conv = _conv(sizes)
        return TopologyLayer(name, conv.gemm, conv, sparsity, row.where)
    except WorkloadError as error:
        raise WorkloadError(f"{row.where}: {name[:_QUOTED]}: {error}") from None


def _conv(sizes: dict[str, int]) -> ConvShape:
    """Make the shape of a convolution, padded so that its last filter position fits whole."""
    strides = (sizes["Strides"], sizes.get("Stride Width", sizes["Strides"]))
    hangs_over = []
    for axis, stride in zip(("Height", "Width"), strides, strict=True):
        room = sizes[f"IFMAP {axis}"] - sizes[f"Filter {axis}"]
        if room < 0:
            raise WorkloadError(
                f"Filter {axis} {sizes[f'Filter {axis}']} is larger than IFMAP {axis} "
                f"{sizes[f'IFMAP {axis}']}, which includes padding"
            )
        hangs_over.append(-room % stride)
    return ConvShape(
        batch=sizes.get("Batch Size", 1),
        in_channels=sizes["Channels"],
        out_channels=sizes["Num Filter"],
        height=sizes["IFMAP Height"],
        width=sizes["IFMAP Width"],
        filter_height=sizes["Filter Height"],
        filter_width=sizes["Filter Width"],
        stride=strides,
        padding=(0, hangs_over[0], 0, hangs_over[1]),
    )


def _size(row: _Row, title: str, cell: str) -> int:
    if re.fullmatch(r"\+?[0-9]{1,13}", cell) and 1 <= int(cell) <= _LARGEST:
        return int(cell)
    raise WorkloadError(
        f"{row.where}: {title} is '{cell[:_QUOTED]}', expected a whole number from 1 to {_LARGEST}"
    )


def _sparsity(row: _Row, cell: str) -> tuple[int, int] | None:
    """Read ``2:4``; dense layers have a blank cell or equal numbers."""
    if not cell:
        return None
    found = re.fullmatch(r"([0-9]{1,6})\s*:\s*([0-9]{1,6})", cell)
    if found is None:
        raise WorkloadError(
            f"{row.where}: Sparsity is '{cell[:_QUOTED]}', expected N:M, for example 2:4 (1:1 is "
            "dense)"
        )
    n, m = int(found[1]), int(found[2])
    return None if n == m >= 1 else (n, m)
