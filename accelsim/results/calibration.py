"""What a fit of a chip's calibrated scalars to measurements found, and what it could not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

CONFIDENCE = 0.90
"""Share of the resamples that an interval holds."""


@dataclass(frozen=True)
class ScalarFit:
    """One calibrated scalar before and after a fit.

    Attributes
    ----------
    name : str
        Field of the chip's calibration; times in seconds.
    before, after : float
        Equal where the data do not determine it.
    low, high : float or None
        Interval of `CONFIDENCE` over resampled ops; None where the data do not determine it.
    felt_ops : int
        Different ops of the fit whose prediction moves by 0.05 % or more when the scalar moves by
        1 %; repetitions of one op count once.
    reason : str
        Why it was not fitted, or a remark; empty where there is nothing to say.
    determined : bool
        The data fix it.
    """

    name: str
    before: float
    after: float
    low: float | None
    high: float | None
    felt_ops: int
    reason: str
    determined: bool


@dataclass(frozen=True)
class CalibrationResult:
    """Outcome of `accelsim.calibrate`.

    Attributes
    ----------
    chip, chip_path : str
        Name and file of the chip whose scalars were fitted.
    scalars : tuple of ScalarFit
        All of them, in the order of the spec.
    errors : DataFrame
        Lines of ``split`` (fit | test), ``suite`` (``all`` too), ``rows`` and the errors
        ``mape``, ``median``, ``p90``, ``bias`` before and after, as ``before_mape`` and so on.
    left_out : DataFrame
        Rows that were not used: ``suite``, ``device``, ``reason``, ``rows``.
    sources : tuple of str
        What the rows came from.
    seed : int
        Of the split and the resampling.
    rows : int
        Rows of the fit and the test together.
    """

    chip: str
    chip_path: str
    scalars: tuple[ScalarFit, ...]
    errors: pd.DataFrame
    left_out: pd.DataFrame
    sources: tuple[str, ...]
    seed: int
    rows: int

    @property
    def values(self) -> Mapping[str, float]:
        """The scalars that the data determine, by name."""
        return {fit.name: fit.after for fit in self.scalars if fit.determined}

    @property
    def undetermined(self) -> Mapping[str, str]:
        """The others, with the reason."""
        return {fit.name: fit.reason for fit in self.scalars if not fit.determined}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "chip": self.chip,
            "rows": self.rows,
            "seed": self.seed,
            "sources": list(self.sources),
            "scalars": [asdict(fit) for fit in self.scalars],
            "errors": self.errors.to_dict("records"),
            "left_out": self.left_out.to_dict("records"),
        }
