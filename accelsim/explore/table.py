"""The rows of a sweep as columns: filled in any order, written as Parquet in the grid's order."""

from __future__ import annotations

import json
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelsim import __version__
from accelsim.errors import SpecError
from accelsim.explore.evaluate import Outcome
from accelsim.explore.grid import METRICS, Parameter, Space
from accelsim.explore.values import si_values, text_of
from accelsim.files import atomic_path, write_text

if TYPE_CHECKING:
    import pyarrow as pa

PART = Path("results") / "part-0000.parquet"
SPACE_COPY = "space.yaml"
_MISSING, _OK, _ERROR = 0, 1, 2
_FINGERPRINT = b"accelsim.fingerprint"


class ResultTable:
    """What is known of every point of a space; about 100 bytes per point.

    Parameters
    ----------
    space : Space
        The grid; row i is its point i.

    Attributes
    ----------
    figures : ndarray of float64, shape [points, len(METRICS)]
        NaN where a point failed, is not run yet, or has no such figure.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.figures = np.full((space.size, len(METRICS)), np.nan)
        self._state = np.full(space.size, _MISSING, dtype=np.uint8)
        self._bottleneck = np.full(space.size, None, dtype=object)
        self._reason = np.full(space.size, None, dtype=object)

    @property
    def finished(self) -> int:
        """Points that ran or failed."""
        return int(np.count_nonzero(self._state))

    @property
    def succeeded(self) -> int:
        """Points that ran."""
        return int(np.count_nonzero(self._state == _OK))

    @property
    def missing(self) -> npt.NDArray[np.int64]:
        """Numbers of the points still to run, ascending."""
        return np.flatnonzero(self._state == _MISSING).astype(np.int64)

    @property
    def first_reason(self) -> str:
        """Why the first failed point failed; empty when none did."""
        failed = np.flatnonzero(self._state == _ERROR)
        return str(self._reason[failed[0]]) if len(failed) else ""

    def record(self, outcome: Outcome) -> None:
        """Store the outcome of one point."""
        index = outcome.index
        if outcome.reason:
            self._state[index] = _ERROR
            self._reason[index] = outcome.reason
            return
        self._state[index] = _OK
        self.figures[index] = outcome.figures  # None becomes NaN
        self._bottleneck[index] = sys.intern(outcome.bottleneck)

    def to_arrow(self) -> pa.Table:
        """Return the finished points, in the order of the grid, as typed columns.

        Returns
        -------
        pyarrow.Table
            ``point``, one column per parameter (and its SI value where it is a quantity),
            ``status`` (ok, error), ``reason``, the `METRICS`, ``bottleneck``; the metadata of
            its schema holds the space file, its fingerprint, the objectives and the version.
        """
        import pyarrow as pa

        rows = np.flatnonzero(self._state != _MISSING).astype(np.int64)
        columns: dict[str, Any] = {"point": pa.array(rows)}
        for axis, positions in zip(self._axes, self._positions(rows), strict=True):
            for name, values in axis.items():
                columns[name] = values.take(pa.array(positions))
        status = pa.array(["error", "ok"]).take(pa.array((self._state[rows] == _OK).astype("i8")))
        columns["status"] = status
        columns["reason"] = pa.array(self._reason[rows], pa.string())
        for position, name in enumerate(METRICS):
            figures = self.figures[rows, position]
            columns[name] = pa.array(figures, pa.float64(), mask=np.isnan(figures))
        columns["bottleneck"] = pa.array(self._bottleneck[rows], pa.string())
        return pa.table(columns).replace_schema_metadata(_metadata(self.space))

    @cached_property
    def _axes(self) -> list[dict[str, pa.Array]]:
        return [parameter_columns(parameter) for parameter in self.space.parameters]

    def _positions(self, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Which value each parameter has in each row: `Space.choice` for all rows at once."""
        found = []
        for parameter in reversed(self.space.parameters):
            rows, positions = np.divmod(rows, len(parameter.values))
            found.append(positions)
        return found[::-1]

    def restore(self, table: pa.Table) -> None:
        """Take over the rows of an earlier result of the same space."""
        rows = table["point"].to_numpy()
        ok = np.asarray(table["status"].to_pylist(), dtype=object) == "ok"
        self._state[rows] = np.where(ok, _OK, _ERROR)
        self._reason[rows] = table["reason"].to_pylist()
        self._bottleneck[rows] = [b and sys.intern(b) for b in table["bottleneck"].to_pylist()]
        for position, name in enumerate(METRICS):
            self.figures[rows, position] = table[name].to_numpy(zero_copy_only=False)


def parameter_columns(parameter: Parameter) -> dict[str, pa.Array]:
    """Return the columns of one parameter, one entry per value.

    Whole numbers, numbers and truth values keep their type; anything else is text, and a
    quantity has a second column with its SI value, named with the suffix of the unit.
    """
    import pyarrow as pa

    values = parameter.values
    kinds = {type(value) for value in values}
    if kinds <= {bool} or kinds <= {int}:
        return {parameter.path: pa.array(values)}
    if kinds <= {int, float}:
        return {parameter.path: pa.array([float(value) for value in values])}
    columns = {parameter.path: pa.array([text_of(value) for value in values], pa.string())}
    quantity = si_values(parameter.path, values) if parameter.role == "spec" else None
    if quantity is not None:
        columns[quantity[0]] = pa.array(quantity[1])
    return columns


def _metadata(space: Space) -> dict[bytes, bytes]:
    objectives = [{"name": o.name, "maximize": o.maximize} for o in space.objectives]
    return {
        b"accelsim.version": __version__.encode(),
        b"accelsim.space": space.text.encode(),
        b"accelsim.objectives": json.dumps(objectives).encode(),
        _FINGERPRINT: space.fingerprint.encode(),
    }


def save(table: ResultTable, out_dir: Path) -> None:
    """Write the finished points to ``results/`` and the space file beside it, atomically."""
    import pyarrow.parquet as pq

    with atomic_path(out_dir / PART) as temporary:
        pq.write_table(table.to_arrow(), temporary)
    write_text(out_dir / SPACE_COPY, table.space.text)


def restore(space: Space, out_dir: Path) -> ResultTable:
    """Return a table with the points that an earlier run of this space left in `out_dir`.

    Raises
    ------
    SpecError
        If the results there are unreadable or belong to another space.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = ResultTable(space)
    part = out_dir / PART
    if not part.exists():
        return table
    advice = "give another folder, or leave --resume out to start over"
    try:
        with pq.ParquetFile(part) as file:
            found = (file.schema_arrow.metadata or {}).get(_FINGERPRINT, b"")
            if found != space.fingerprint.encode():
                raise SpecError(
                    f"{part} holds another sweep than {space.path}: its values, a chip or model "
                    f"file or the version of accelsim changed since; {advice}"
                )
            table.restore(file.read())
    except (pa.ArrowException, OSError, KeyError, IndexError) as problem:
        raise SpecError(f"{part} is not a readable sweep result ({problem}); {advice}") from None
    return table
