"""Do the pictures of an array show what was simulated, readably and always the same?"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.arch.array import DATAFLOWS, ArrayBuffers, SystolicArray
from accelsim.errors import SimulationError
from accelsim.report import style
from accelsim.report.array_cells import OPERAND_COLOURS
from accelsim.report.array_figures import array_figures, utilisation_figure
from accelsim.report.array_folds import fold_map_figure
from accelsim.report.array_plan import FLOWS, FoldPlan
from accelsim.report.array_scene import Scene
from accelsim.report.array_states import (
    PeState,
    arrivals,
    compact,
    pe_states,
)
from accelsim.report.array_wavefront import wavefront_figure
from accelsim.scenarios.array_problem import ArrayProblem
from accelsim.timing.systolic import array_cycles
from tests.unit.report.array_runs import FEATURES, PARTIAL, SIZES, cut, traced
from tests.unit.report.pictures import plain

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def drawn(monkeypatch):
    """Axes of the pictures drawn, laid out: what `style.save` was given."""
    seen = []

    def save(figure, path):
        style.settle(figure.axes[-1])
        seen.extend(figure.axes)
        return path

    monkeypatch.setattr(style, "save", save)
    return seen


def headline(axes):
    return plain(axes.figure.texts[0])


def detail(axes):
    return plain(axes.figure.texts[1])


def followed(dataflow):
    """Arrays of a dataflow whose trace holds everything."""
    for features in FEATURES:
        if not (dataflow == "is" and features.sparsity):
            yield SystolicArray(dataflow, 4, 4, features)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("features", [FEATURES[0], *PARTIAL])
def test_every_array_has_its_three_pictures(dataflow, features, tmp_path):
    array = SystolicArray(dataflow, 4, 3, features)
    run, _, _ = traced(array)
    written = array_figures(run, array, SIZES, tmp_path / "new")
    assert [path.name for path in written] == ["wavefront.png", "utilisation.png", "folds.png"]
    assert all(path.read_bytes().startswith(PNG) for path in written)
    assert len(list((tmp_path / "new").iterdir())) == 3


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_same_run_gives_the_same_bytes(suffix, tmp_path):
    array = SystolicArray("ws", 4, 4)
    run, _, _ = traced(array)
    twice = [
        [
            wavefront_figure(run, array, SIZES, 9, tmp_path / f"w{i}{suffix}").read_bytes(),
            utilisation_figure(run, array, SIZES, tmp_path / f"u{i}{suffix}").read_bytes(),
            fold_map_figure(array, SIZES, tmp_path / f"f{i}{suffix}").read_bytes(),
        ]
        for i in range(2)
    ]
    assert twice[0] == twice[1]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_states_agree_with_the_trace(dataflow):
    for array in followed(dataflow):
        run, _, _ = traced(array)
        states = pe_states(run.trace, array, FoldPlan.of(array, SIZES))
        assert ((states == PeState.MULTIPLYING) == run.trace.active).all()
        assert (states == PeState.MULTIPLYING).sum() == array_cycles(array, *SIZES.sizes).macs


@pytest.mark.parametrize("dataflow", ["ws", "is"])
@pytest.mark.parametrize("features", [FEATURES[0], FEATURES[2]])
def test_a_pe_holds_its_operand_once_it_has_loaded(dataflow, features):
    array = SystolicArray(dataflow, 4, 4, features)
    run, a, b = traced(array)
    plan = FoldPlan.of(array, SIZES)
    trace, states = run.trace, pe_states(run.trace, array, plan)
    register, stays = (trace.b, b) if dataflow == "ws" else (trace.a, a.T)
    for state, later in ((PeState.LOADING, 1), (PeState.HOLDING, 0), (PeState.MULTIPLYING, 0)):
        places = np.argwhere(states == state)
        assert len(places)
        for cycle, row, col in places:
            first_row, first_col = plan.origin(int(trace.fold[cycle]))
            assert register[cycle + later, row, col] == stays[first_row + row, first_col + col]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_arrivals_add_up_to_the_result(dataflow):
    for array in followed(dataflow):
        run, _, _ = traced(array)
        found = arrivals(run.trace, array, SIZES)
        filled = np.zeros_like(run.result)
        np.add.at(filled, (found.row, found.col), found.value)
        assert (filled == run.result).all(), array


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("inner", [None, "rows", "cols"])
def test_the_plan_runs_every_fold_once(dataflow, inner):
    array = SystolicArray(dataflow, 4, 3)
    plan, counts = FoldPlan.of(array, SIZES, inner), array_cycles(array, *SIZES.sizes)
    assert (plan.row_folds, plan.col_folds) == (counts.row_folds, counts.col_folds)
    rows, cols = np.arange(plan.row_folds)[:, None], np.arange(plan.col_folds)[None, :]
    order = plan.order(rows, cols)
    assert sorted(order.flat) == list(range(counts.folds))
    for row, col in np.ndindex(order.shape):
        assert plan.origin(int(order[row, col])) == (row * plan.high, col * plan.wide)


def test_wavefront_writes_what_the_simulator_computed(drawn):
    array, sizes = SystolicArray("os", 2, 2), ArrayProblem(2, 2, 2)
    run, a, b = traced(array, sizes)
    wavefront_figure(run, array, sizes, 2, "w.png")
    inside = {
        (int(text.get_position()[1]), int(text.get_position()[0]), text.get_text())
        for text in drawn[0].texts
        if text.get_color() == OPERAND_COLOURS["C"] and text.get_fontweight() == "bold"
    }
    before = {
        (int(text.get_position()[1]), int(text.get_position()[0]), text.get_text())
        for text in drawn[0].texts
        if text.get_color() == OPERAND_COLOURS["C"] and text.get_fontweight() == "normal"
    }
    # The wave is on the second anti-diagonal; PE (0, 0) has finished.
    assert inside == {
        (0, 0, str(a[0] @ b[:, 0])), (0, 1, str(a[0, 0] * b[0, 1])), (1, 0, str(a[1, 0] * b[0, 0])),
    }  # fmt: skip
    assert before == {(0, 0, str(a[0, 0] * b[0, 0])), (0, 1, "0"), (1, 0, "0")}
    assert headline(drawn[0]).startswith("Cycle 2 of 4: 3 of 4 PEs multiply")


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("scale", [1, 1234.567, -9.87e-9, 3.21e17])
def test_values_stay_inside_their_pe(dataflow, scale, drawn):
    array, sizes = SystolicArray(dataflow, 12, 12), ArrayProblem(14, 13, 12)
    run, _, _ = traced(array, sizes, scale)
    wavefront_figure(run, array, sizes, int(np.argmax(run.active_per_cycle)) + 1, "w.png")
    (axes,) = drawn
    renderer = axes.figure.canvas.get_renderer()
    to_cells = axes.transData.inverted()
    checked = 0
    for text in axes.texts:
        x, y = text.get_position()
        if not (0 < x < 12 and 0 < y < 12):
            continue
        box = to_cells.transform(text.get_window_extent(renderer))
        assert int(x) - 0.03 <= box[:, 0].min(), text
        assert box[:, 0].max() <= int(x) + 1.03, text
        checked += 1
    assert checked > 500


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("features", [*FEATURES[:4], *PARTIAL])
def test_pictures_of_a_cut_trace_say_so(dataflow, features, drawn):
    array = SystolicArray(dataflow, 4, 4, features)
    run = cut(traced(array)[0], 7)
    array_figures(run, array, SIZES, "new", note="1 of 4 groups")
    assert "Traced: the first 7 cycles" in detail(drawn[0])
    assert all("(1 of 4 groups)" in detail(axes) for axes in drawn)


def test_a_picture_says_that_weights_arrive_ahead_of_the_wavefront(drawn):
    array = SystolicArray("ws", 4, 4)
    run, _, _ = traced(array)
    for cycle in (3, 9):
        wavefront_figure(run, array, SIZES, cycle, "w.png")
    assert "wavefront" not in detail(drawn[0])
    assert "Weights arrive skewed, just ahead of the wavefront" in detail(drawn[1])


def test_a_wavefront_needs_a_trace_and_a_cycle_of_the_run(tmp_path):
    array = SystolicArray("ws", 4, 4)
    run, _, _ = traced(array)
    for cycle in (0, run.cycles + 1):
        with pytest.raises(SimulationError, match=f"cycle {cycle} is not one"):
            wavefront_figure(run, array, SIZES, cycle, tmp_path / "w.png")
    with pytest.raises(SimulationError, match="trace=True"):
        wavefront_figure(replace(run, trace=None), array, SIZES, 1, tmp_path / "w.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("sizes", [SIZES, ArrayProblem(64, 90, 60)])
def test_utilisation_bars_have_the_mean_of_the_run(dataflow, sizes, drawn):
    array = SystolicArray(dataflow, 8, 8)
    run, _, _ = traced(array, sizes)
    utilisation_figure(run, array, sizes, "u.png")
    bars = drawn[-1].patches[-1].get_data()
    mean = np.average(bars.values, weights=np.diff(bars.edges))
    assert mean == pytest.approx(100 * array_cycles(array, *sizes.sizes).utilization)
    assert len(drawn) == (1 if sizes == SIZES else 2)


def test_fold_map_follows_the_buffers_and_marks_idle_pes(drawn):
    buffers = ArrayBuffers(64, 64, 64, Fraction(1), inner="cols")
    fold_map_figure(SystolicArray("ws", 4, 4, buffers=buffers), SIZES, "f.png")
    (axes,) = drawn
    assert axes.images[0].get_array().tolist() == [[0, 1], [2, 3]]
    assert axes.get_xlim() == (0, 8)
    assert {"0", "4", "7"} <= {tick.get_text() for tick in axes.get_xticklabels()}
    assert "65.6 % of the PEs" in headline(axes)
    (legend,) = axes.figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["runs first", "runs last", "array beyond the matrix: PEs without work, 34.4 %"]


@pytest.mark.parametrize(
    "sizes", [ArrayProblem(10, 400_000, 30_000), ArrayProblem(1, 1, 1), ArrayProblem(9, 12, 3000)]
)
def test_fold_maps_of_any_shape_are_drawn(sizes, tmp_path):
    for dataflow in DATAFLOWS:
        path = fold_map_figure(SystolicArray(dataflow, 8, 16), sizes, tmp_path / f"{dataflow}.png")
        assert path.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-9999, "-9999"), (10_000, "10k"), (12_345.6, "12.3k"), (-0.25, "-0.25"),
        (999_960, "1M"), (2**40, "1.1T"), (-3e-12, "-3e-12"), (1e300, "1e300"), (0.5, "0.5"),
        (float("nan"), "nan"), (float("-inf"), "-inf"),
    ],
)  # fmt: skip
def test_numbers_are_written_short(value, text):
    assert compact(value) == text


@given(st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1)))
def test_no_number_is_longer_than_seven_characters(value):
    assert len(compact(value)) <= 7


def test_flows_name_each_size_once():
    for flow in FLOWS.values():
        assert {flow.rows, flow.cols, flow.stream} == {"m", "n", "k"}


@pytest.mark.parametrize(
    ("m", "stages"),
    [
        (12, ["loading", "filling", "full", "draining"]),
        (2, ["loading", "filling", "passing", "draining"]),
    ],
)
def test_a_fold_goes_through_its_stages(m, stages):
    array, sizes = SystolicArray("ws", 4, 4), ArrayProblem(m, 4, 4)
    run, _, _ = traced(array, sizes)
    plan = FoldPlan.of(array, sizes)
    seen = [Scene.of(run.trace, array, plan, at).stage for at in range(run.cycles)]
    assert list(dict.fromkeys(seen)) == stages
    assert seen == sorted(seen, key=stages.index)
