"""What every test shares: a headless plotting backend, reproducible hypothesis, reference data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports matplotlib: tests draw without a display.
os.environ["MPLBACKEND"] = "Agg"
# Several test processes share the cores: threads that wait must not spin (before numba starts).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The specs under test are those of this checkout, whatever the shell points to.
os.environ.pop("ACCELSIM_PATH", None)

# The first call of a compiled kernel takes seconds, so examples have no deadline; the same
# examples in every run, so that a red build is red for everyone.
settings.register_profile("accelsim", deadline=None, derandomize=True)
settings.load_profile("accelsim")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of measured and golden data beside the checkout; skips where there is none."""
    folder = CHECKOUT.parent / "shared" / "reference"
    if not folder.is_dir():
        pytest.skip("no reference data: ../shared/reference does not lie beside this checkout")
    return folder
