"""The probe: order, samples, limits on memory, and runs that do not match."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.layer_errors import ErrorProbe
from accelsim.functional.quality import sqnr_db

RNG = np.random.default_rng(2)
OUTPUTS = {name: RNG.normal(size=(2, 9, 4)).astype(np.float32) for name in ("q", "mlp", "attn")}


def test_errors_come_in_the_order_of_the_reference_run() -> None:
    probe = ErrorProbe()
    for name, array in OUTPUTS.items():
        probe(name, array)
    probe.measure()
    for name in ("attn", "mlp", "q"):
        probe(name, OUTPUTS[name] * np.float32(1.01))
    errors = probe.errors()
    assert [error.name for error in errors] == ["q", "mlp", "attn"]
    for error in errors:
        array = OUTPUTS[error.name]
        off = array * np.float32(1.01)
        assert error.sqnr_db == pytest.approx(sqnr_db(array, off))
        assert error.relative_rms == pytest.approx(0.01, rel=1e-4)
        assert error.max_abs == pytest.approx(np.abs(off - array).max())


def test_rows_are_spread_over_an_array_and_over_calls() -> None:
    probe = ErrorProbe(rows=5)
    array = np.arange(40, dtype=np.float32).reshape(10, 4) + 1
    for _ in range(2):
        probe("x", array[:3])
        probe("x", array)
        probe.measure() if not probe.errors() else None
    # Three rows of the first call; of the second the first and the last.
    off = array.copy()
    off[4:9] = 0
    probe.measure()
    probe("x", array[:3])
    probe("x", off)
    assert probe.errors()[0].sqnr_db == math.inf
    off[9, 0] += 1
    probe.measure()
    probe("x", array[:3])
    probe("x", off)
    assert probe.errors()[0].max_abs == 1


def test_what_is_kept_does_not_change_with_the_array() -> None:
    probe, array = ErrorProbe(), np.ones((2, 2), np.float32)
    probe("x", array)
    array[:] = 7
    probe.measure()
    probe("x", array)
    assert probe.errors()[0].max_abs == 6


def test_memory_is_bounded() -> None:
    probe = ErrorProbe(rows=8, limit_bytes=1000)
    probe("small", np.ones((100, 4), np.float32))
    probe("large", np.ones((100, 1000), np.float32))
    probe("large", np.ones((100, 1000), np.float32))
    probe("other", np.ones((8, 4), np.float32))
    probe.measure()
    for name, width in (("small", 4), ("large", 1000)):
        probe(name, np.zeros((100, width), np.float32))
    assert probe.skipped == ["large"]
    assert [error.name for error in probe.errors()] == ["small"]


def test_zero_and_broken_outputs() -> None:
    probe = ErrorProbe()
    zeros = np.zeros((1, 2), np.float32)
    for name in ("same", "noise", "nan"):
        probe(name, zeros)
    probe.measure()
    probe("same", zeros)
    probe("noise", zeros + np.float32(1))
    probe("nan", zeros * np.float32("nan"))
    same, noise, broken = probe.errors()
    assert (same.sqnr_db, same.relative_rms, same.max_abs) == (math.inf, 0, 0)
    assert (noise.sqnr_db, noise.relative_rms, noise.max_abs) == (-math.inf, math.inf, 1)
    assert math.isnan(broken.sqnr_db) and math.isnan(broken.relative_rms)
    assert math.isnan(broken.max_abs)


def test_runs_that_do_not_match_are_refused() -> None:
    probe = ErrorProbe()
    probe("x", np.ones((1, 2), np.float32))
    probe.measure()
    with pytest.raises(WorkloadError, match="shape"):
        probe("x", np.ones((2, 2), np.float32))
    probe("x", np.ones((1, 2), np.float32))
    with pytest.raises(WorkloadError, match="once more"):
        probe("x", np.ones((1, 2), np.float32))
    with pytest.raises(WorkloadError, match="ran 0 times"):
        probe("y", np.ones((1, 2), np.float32))


@pytest.mark.parametrize("rows", [0, -1, 1.5, True])
def test_bad_limits_are_refused(rows: int) -> None:
    with pytest.raises(WorkloadError, match="rows"):
        ErrorProbe(rows=rows)


def test_arrays_without_rows_are_refused() -> None:
    with pytest.raises(WorkloadError, match="no rows"):
        ErrorProbe()("x", np.float32(1))
