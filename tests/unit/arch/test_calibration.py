"""The scalars that tie the model to a device: which there are, and no more than eight."""

from __future__ import annotations

import pytest

from accelsim.arch.fields import Section
from accelsim.arch.loader import load_chip, spec_files
from accelsim.arch.schema import Calibration, Core
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


@pytest.mark.parametrize("name", spec_files("chip"))
def test_no_more_than_eight_values_of_a_chip_come_from_its_kernels(name: str) -> None:
    """The scalars, and what only measured kernels told of libraries and hashes."""
    spec = load_chip(name).spec
    told = spec.core.batched_side != Core.model_fields["batched_side"].default
    told += spec.shared is not None and spec.shared.spread_stride_bytes is not None
    assert told + len(SCALARS) <= _MOST
