"""Where in a model an error arises: outputs of layers against those of a reference run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.quality import ErrorSums, error_sums, ratio_db

DEFAULT_ROWS = 32
DEFAULT_LIMIT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class LayerError:
    """The output of one layer against that of the reference run.

    Attributes
    ----------
    name : str
    sqnr_db : float
        Signal to noise [dB], as `accelsim.functional.quality.sqnr_db`.
    relative_rms : float
        Root mean square of the difference over that of the reference; Inf of a zero reference.
    max_abs : float
        Largest difference.
    relative_max : float
        Largest difference over the root mean square of the reference; Inf of a zero reference.
    """

    name: str
    sqnr_db: float
    relative_rms: float
    max_abs: float
    relative_max: float

    @classmethod
    def of(cls, name: str, *parts: ErrorSums) -> LayerError:
        """Return the error of an output from its sums, part by part."""
        signal, noise = (sum(column) for column in list(zip(*parts, strict=True))[:2])
        largest = math.nan if math.isnan(noise) else max(part.largest for part in parts)
        mean = signal / sum(part.values for part in parts)
        return cls(
            name, ratio_db(signal, noise), _ratio(math.sqrt(noise), math.sqrt(signal)), largest,
            _ratio(largest, math.sqrt(mean)),
        )  # fmt: skip


class _Record:
    """What is kept of one name: samples of the reference, and sums over the measured run."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.samples: list[NDArray[np.float32]] = []
        self.sums: list[ErrorSums] = []

    @property
    def rows(self) -> int:
        return sum(len(sample) for sample in self.samples)


class ErrorProbe:
    """Is shown every layer's output in a reference run, then in a measured run.

    Parameters
    ----------
    rows : int, optional
        Rows (all axes but the last) that are kept of each name, float32; evenly spread over the
        rows of each array until there are so many.
    limit_bytes : int, optional
        Of all names together. What no longer fits is not measured: `skipped` names it.

    Examples
    --------
    >>> probe = ErrorProbe()
    >>> probe("mlp", np.float32([[1, 2, 2]]))
    >>> probe.measure()
    >>> probe("mlp", np.float32([[1, 2, 2.03]]))
    >>> round(probe.errors()[0].sqnr_db, 1)
    40.0
    """

    def __init__(self, rows: int = DEFAULT_ROWS, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        for name, value in (("rows", rows), ("limit_bytes", limit_bytes)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise WorkloadError(f"{name} is {value!r}, expected a whole number from 1")
        self.skipped: list[str] = []
        self._rows = rows
        self._left_bytes = limit_bytes
        self._records: dict[str, _Record] = {}
        self._measuring = False

    def __call__(self, name: str, array: NDArray[np.float32]) -> None:
        """Keep (reference run) or compare (measured run) one output.

        Raises
        ------
        WorkloadError
            If the measured run shows another name, another shape, or a name more often.
        """
        if self._measuring:
            self._compare(name, array)
        else:
            self._keep(name, array)

    def measure(self) -> None:
        """End the reference run; what follows is compared with it. May be called again."""
        self._measuring = True
        for record in self._records.values():
            record.sums.clear()

    def errors(self) -> list[LayerError]:
        """Return the errors of the measured run in the order of execution.

        Names without a measurement are left out.
        """
        return [
            LayerError.of(name, *record.sums)
            for name, record in self._records.items()
            if record.sums
        ]

    def _keep(self, name: str, array: NDArray[np.float32]) -> None:
        if name in self.skipped:
            return
        record = self._records.setdefault(name, _Record())
        record.shapes.append(array.shape)
        rows = _as_rows(array)
        chosen = _spread(len(rows), self._rows - record.rows)
        sample_bytes = 4 * len(chosen) * rows.shape[1]
        if sample_bytes > self._left_bytes:
            self.skipped.append(name)
            self._left_bytes += sum(sample.nbytes for sample in record.samples)
            del self._records[name]
            return
        self._left_bytes -= sample_bytes
        record.samples.append(rows[chosen].astype(np.float32))

    def _compare(self, name: str, array: NDArray[np.float32]) -> None:
        if name in self.skipped:
            return
        record = self._records.get(name)
        call = len(record.sums) if record else 0
        if record is None or call == len(record.shapes):
            raise WorkloadError(
                f"layer '{name}' ran {call} times in the reference run, now once more: show the "
                "probe two runs of the same model on the same tokens"
            )
        if array.shape != record.shapes[call]:
            raise WorkloadError(
                f"layer '{name}' has an output of shape {array.shape}, but {record.shapes[call]} "
                "in the reference run"
            )
        kept = sum(len(sample) for sample in record.samples[:call])
        rows = _as_rows(array)
        chosen = _spread(len(rows), self._rows - kept)
        record.sums.append(error_sums(record.samples[call], rows[chosen]))


def _as_rows(array: NDArray[np.float32]) -> NDArray[np.float32]:
    if array.ndim == 0 or array.size == 0:
        raise WorkloadError(f"an output of shape {array.shape} cannot be probed: it has no rows")
    return array.reshape(-1, array.shape[-1])


def _spread(rows: int, wanted: int) -> NDArray[np.intp]:
    """Return up to `wanted` row numbers from the first to the last."""
    count = min(rows, wanted)
    return np.arange(count) if count < 2 else np.arange(count) * (rows - 1) // (count - 1)


def _ratio(error: float, size: float) -> float:
    if size == 0.0:
        return math.inf if error > 0.0 else error
    return error / size
