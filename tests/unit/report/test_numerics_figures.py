"""Do the pictures of a numerics study show what was measured, and always the same?"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from accelsim.errors import WorkloadError
from accelsim.report.numerics_figures import (
    layers_figure,
    logits_figure,
    numerics_figures,
    quality_energy_figure,
)
from tests.unit.report.numerics_results import OPS, made_result
from tests.unit.report.pictures import plain

PNG = b"\x89PNG\r\n\x1a\n"


def headline(figure):
    return plain(figure.texts[0])


def test_one_result_has_a_line_per_op(drawn, tmp_path) -> None:
    layers_figure([made_result("bf16", None)], tmp_path / "x.png")
    assert sum(len(axes.lines) for axes in drawn[0].axes) == len(OPS)
    values = next(line for line in drawn[0].axes[0].lines if line.get_label() == "v").get_ydata()
    assert list(values) == [33.0, 32.0, 31.0]
    assert "bf16 31.0 dB (v of layer 2)" in headline(drawn[0])
    assert drawn[0].axes[0].get_ylabel() == "SQNR [dB]"


def test_several_results_share_a_panel_per_op(drawn, tmp_path) -> None:
    layers_figure([made_result("bf16", None), made_result("int8", None)], tmp_path / "x.png")
    panels = [axes for axes in drawn[0].axes if axes.lines]
    assert len(panels) == len(OPS)
    assert {len(axes.lines) for axes in panels} == {2}
    assert len({axes.get_ylim() for axes in panels}) == 1


def test_logits_lie_around_the_diagonal(drawn, tmp_path) -> None:
    result = made_result("int8", None)
    logits_figure([result], tmp_path / "x.png")
    axes = drawn[0].axes[0]
    assert list(axes.lines[0].get_xdata()) == list(axes.lines[0].get_ydata())
    assert axes.get_xlim() == axes.get_ylim()
    assert f"KL {result.quality.kl_nats:.3g} nat" in axes.texts[0].get_text()


def test_logits_with_nan_are_drawn_all_the_same(tmp_path) -> None:
    logits = np.full((7, 40), np.nan, np.float32)
    made = logits_figure([made_result("int8", None, logits=logits)], tmp_path / "x.png")
    assert made.read_bytes().startswith(PNG)


def test_points_and_front_of_quality_against_energy(drawn, make, tmp_path) -> None:
    run = make("generate")
    results = [
        made_result("bf16", run),
        made_result("int8", replace(run, energy_j=run.energy_j / 2)),
        made_result("fp8", replace(run, energy_j=run.energy_j * 2)),
    ]
    quality_energy_figure(results, [True, True, False], tmp_path / "x.png")
    axes = drawn[0].axes[0]
    points = [each for each in axes.collections if isinstance(each, PathCollection)]
    assert [len(each.get_offsets()) for each in points] == [1, 2]
    assert len(axes.texts) == 3
    assert re.fullmatch(
        r"From int8 .* J to bf16 .* J a token; 1 of 3 beaten in both",
        headline(drawn[0]),
    )
    assert "[mJ]" in axes.get_xlabel()


def test_a_variant_that_equals_fp32_still_has_a_place(make, tmp_path) -> None:
    run = make("generate")
    exact = made_result("bf16", run)
    zero = replace(exact, quality=replace(exact.quality, kl_nats=0.0))
    results = [zero, made_result("int8", run), made_result("fp8", run)]
    made = quality_energy_figure(results, [True, False, False], tmp_path / "x.png")
    assert made.read_bytes().startswith(PNG)


def test_what_is_missing_is_said(make, tmp_path) -> None:
    without = made_result("bf16", make("generate"), logits=None)
    with pytest.raises(WorkloadError, match="carries no logits"):
        logits_figure([without], tmp_path / "x.png")


def test_the_same_data_give_the_same_bytes(make, tmp_path) -> None:
    results = [made_result("bf16", make("generate")), made_result("int8", make("generate"))]
    first = numerics_figures(results, [True, True], tmp_path / "a")
    second = numerics_figures(results, [True, True], tmp_path / "b")
    assert [path.name for path in first] == [
        "numerics-layers.png", "numerics-logits.png", "numerics-quality-energy.png",
    ]  # fmt: skip
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert len(numerics_figures(results[:1], None, tmp_path / "c")) == 2
