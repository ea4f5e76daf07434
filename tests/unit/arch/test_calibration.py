"""The scalars that tie the model to a device: which there are, and no more than eight."""

from __future__ import annotations

from accelsim.arch.fields import Section
from accelsim.arch.schema import Calibration
from accelsim.validation.devices import SCALARS

_MOST = 8


def test_the_calibrated_scalars() -> None:
    names = set(Calibration.model_fields) - set(Section.model_fields) - {"inherits"}
    assert names == {
        "matrix_efficiency", "vector_efficiency", "memory_efficiency", "shared_efficiency",
        "kernel_overhead_s", "host_dispatch_s", "memory_latency_s",
    }  # fmt: skip
    assert names == set(SCALARS)
    assert len(names) <= _MOST
