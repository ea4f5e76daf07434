"""Does the example of docs/validate.md give back the scalars that its times were made with?"""

from __future__ import annotations

from accelsim.validation.calibrate import calibrate
from tests.validation.refresh_measured_example import CHIP, TABLE, TRUTH


def test_the_intervals_hold_the_truth() -> None:
    """If the model has changed: ``python -m tests.validation.refresh_measured_example``."""
    fits = {fit.name: fit for fit in calibrate(CHIP, TABLE).scalars}
    for name, truth in TRUTH.items():
        fit = fits[name]
        assert fit.determined, fit.reason
        assert fit.low is not None and fit.high is not None
        assert fit.low <= truth <= fit.high, name
