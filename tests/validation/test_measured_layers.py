"""Single published measurements against predictions: the signed error is printed, its limit stated.

Ops of the same study took part in the fit of A100's scalars; the layer did not.
"""

from __future__ import annotations

import pytest

from accelsim.validation.compare import compare
from accelsim.validation.published import published_figures


# One layer of GPT-3 175B on four A100, its ops timed one by one: workloads/measurements.
@pytest.mark.parametrize(("phase", "limit"), [("prefill", 0.02), ("decode", 0.06)])
def test_gpt3_layer_on_four_a100(phase: str, limit: float, record_property) -> None:
    rows, refused = compare(published_figures().of_suites(["published_layers"]))
    assert not refused
    [row] = rows[rows["op"] == f"gpt3-175b {phase}"].to_dict("records")
    error = row["predicted_s"] / row["measured_s"] - 1
    record_property("signed_error", error)
    print(f"GPT-3 layer {phase}: {error:+.1%} against the measurement")
    assert abs(error) <= limit
    assert row["roofline_s"] < row["predicted_s"]
