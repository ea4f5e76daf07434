"""Are the pictures written, deterministic, and free of overlapping labels?"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import accelsim
from accelsim.errors import WorkloadError
from accelsim.report import style
from accelsim.report.comparison import Comparison, comparison_figure
from accelsim.report.figures import run_figures
from accelsim.report.footprint import footprint_figure
from accelsim.report.labels import Dot, place_labels
from accelsim.report.latency import latency_figure, time_unit
from accelsim.report.pareto import axis_title, pareto_figure, tick_text
from accelsim.report.roofline import roofline_figure
from accelsim.results.execution import StagePass
from tests.unit.results.executions import collective, prefetching

PNG = b"\x89PNG\r\n\x1a\n"
FRAME = pd.DataFrame(
    {"latency_s": [1e-3, 2e-3, 4e-3, np.nan], "energy_j": [3.0, 1.0, 2.0, 1.0], "mfu": [1, 2, 3, 4]}
)


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_every_phase_has_its_three_pictures(make, phase, tmp_path):
    written = run_figures(make(phase), tmp_path / "new" / "folder")
    assert [path.name for path in written] == ["roofline.png", "latency.png", "memory.png"]
    assert all(path.read_bytes().startswith(PNG) for path in written)
    assert sorted(p.name for p in written[0].parent.iterdir()) == sorted(p.name for p in written)


EXECUTION_PICTURES = ["gantt", "utilisation", "critical_path"]


def test_the_event_engine_adds_three_pictures(result, tmp_path):
    seen = replace(result, executions=(StagePass("decode", 1, prefetching()),))
    names = [path.name for path in run_figures(seen, tmp_path)]
    assert names[3:] == [f"{name}.png" for name in EXECUTION_PICTURES]


def test_several_stages_have_their_own_pictures(make, tmp_path):
    passes = (StagePass("prefill", 1, prefetching()), StagePass("decode", 9, collective()))
    written = run_figures(replace(make("generate"), executions=passes), tmp_path)
    assert [path.name for path in written[3:]] == [
        f"{name}-{stage}.png" for stage in ("prefill", "decode") for name in EXECUTION_PICTURES
    ]
    assert all(path.read_bytes().startswith(PNG) for path in written)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_same_data_give_the_same_bytes(result, suffix, tmp_path):
    draw = (roofline_figure, latency_figure, footprint_figure)
    first = [f(result, tmp_path / f"a{i}{suffix}").read_bytes() for i, f in enumerate(draw)]
    again = [f(result, tmp_path / f"b{i}{suffix}").read_bytes() for i, f in enumerate(draw)]
    assert first == again


def test_pyplot_is_never_imported(result, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    roofline_figure(result, tmp_path / "a.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_labels_overlap_neither_each_other_nor_the_frame():
    figure = style.new_figure()
    axes = figure.add_subplot()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    dots = [Dot(5 + 0.05 * i, 5, f"operation {i}", 6) for i in range(7)]
    place_labels(axes, dots, labelled=7)
    canvas = style.settle(axes)
    renderer = canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    boxes = [text.get_bbox_patch().get_window_extent(renderer) for text in axes.texts]
    # The tolerance is the padding of the box around a text.
    for i, box in enumerate(boxes):
        assert frame.x0 - 4 <= box.x0
        assert box.x1 <= frame.x1 + 4
        for other in boxes[:i]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width <= 6 or height <= 6


def test_a_shared_buffer_is_a_second_roof(result, tmp_path):
    with_l2 = replace(result, shared_name="L2", shared_bytes_per_s=9 * result.peak_bytes_per_s)
    one = roofline_figure(result, tmp_path / "one.svg").read_text("utf-8")
    two = roofline_figure(with_l2, tmp_path / "two.svg").read_text("utf-8")
    assert one.count("<path") < two.count("<path")


def test_the_roofline_takes_the_time_of_an_op_alone(monkeypatch):
    run = accelsim.run(
        "llama3.1-8b", "tpu_v5e", phase="decode", batch=64, input_len=512, weight_dtype="int8",
        kv_dtype="int8",
    )  # fmt: skip
    # An op that came ahead as a whole adds nothing, and still has a place below the roof.
    (head,) = (row for row in run.rows if row.name == "lm_head")
    rows = tuple(replace(row, latency_s=0.0) if row is head else row for row in run.rows)
    drawn = []
    monkeypatch.setattr(style, "save", lambda figure, path: drawn.append(figure) or path)
    roofline_figure(replace(run, rows=rows), "r.png")
    (axes,) = drawn[0].axes
    intensity, speed = axes.collections[0].get_offsets().T
    assert (speed <= np.minimum(intensity * run.peak_bytes_per_s, run.peak_flop_per_s)).all()
    assert any(speed == pytest.approx(head.flop / head.alone_s))
    assert axes.get_ylabel() == "speed of the op alone on one device [FLOP/s]"


def test_overfull_memory_is_drawn(make, tmp_path):
    path = footprint_figure(make(capacity_bytes=10e9), tmp_path / "over.png")
    assert path.read_bytes().startswith(PNG)


@pytest.mark.parametrize("top", [20.0, 2000.0])
def test_comparison_draws_linear_and_logarithmic_panels(top, tmp_path):
    values = {"one": {"a": 1.0, "b": top}, "two": {"a": 1.0}}
    comparison = Comparison("b is slower", "made up", "latency", "s", values)
    assert comparison_figure(comparison, tmp_path / "c.png").exists()


@pytest.mark.parametrize("objectives", [["latency_s"], ["latency_s", "energy_j"], list(FRAME)])
def test_pareto_takes_one_two_or_more_objectives(objectives, tmp_path):
    mask = [True, True, False, False]
    assert pareto_figure(FRAME, objectives, mask, tmp_path / "p.png").exists()


def test_pareto_refuses_what_it_cannot_draw(tmp_path):
    with pytest.raises(WorkloadError, match="no column"):
        pareto_figure(FRAME, ["speed"], [True] * 4, tmp_path / "p.png")
    with pytest.raises(WorkloadError, match="nothing to draw"):
        pareto_figure(FRAME.tail(1), ["latency_s"], [False], tmp_path / "p.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10_000, "10,000"), (1e6, "1,000,000"), (0, "0"), (4.0, "4"), (0.1 + 0.2, "0.3"),
        (1e-5, "0.00001"), (-2.5, "-2.5"), (12_345.678, "12,345.7"),
    ],
)  # fmt: skip
def test_ticks_are_written_in_full(value, text):
    assert tick_text(value) == text


@pytest.fixture
def drawn(monkeypatch):
    """Axes of the pictures drawn: what `style.save` was given."""
    seen = []

    def save(figure, path):
        style.settle(figure.axes[0])
        seen.append(figure.axes[0])
        return path

    monkeypatch.setattr(style, "save", save)
    return seen


def test_axes_of_the_front_agree_with_their_ticks(drawn):
    frame = pd.DataFrame({"latency_s": [3e-3, 5e-3, 19e-3], "tokens_per_s": [300.0, 4e3, 12e3]})
    pareto_figure(frame, list(frame), [True] * 3, "p.png", [False, True])
    (axes,) = drawn
    assert axes.get_xlabel() == "latency [ms]"
    assert axes.get_ylabel() == "throughput [tokens/s]"
    assert "10,000" in [tick.get_text() for tick in axes.get_yticklabels()]
    assert {"5", "10", "15"} & {tick.get_text() for tick in axes.get_xticklabels()}


def test_labels_of_the_front_are_few_and_in_order(drawn):
    frame = pd.DataFrame({"latency_s": np.arange(1.0, 41), "energy_j": np.arange(40.0, 0, -1)})
    mask = np.arange(40) % 2 == 0
    labels = [f"design {i}" for i in np.flatnonzero(mask)]
    pareto_figure(frame, list(frame), mask, "p.png", labels=labels)
    texts = [text.get_text() for text in drawn[0].texts]
    assert len(texts) == 8
    assert (texts[0], texts[-1]) == ("design 0", "design 38")
    assert all(text.xy[0] == int(text.get_text().split()[1]) + 1 for text in drawn[0].texts)


def test_equal_designs_get_one_label(drawn):
    frame = pd.DataFrame({"latency_s": [1.0, 1.0, 2.0], "energy_j": [2.0, 2.0, 1.0]})
    pareto_figure(frame, list(frame), [True] * 3, "p.png", labels=["a", "b", "c"])
    assert [text.get_text() for text in drawn[0].texts] == ["a", "c"]


@pytest.mark.parametrize(
    ("maximize", "second", "corner"), [(False, [3.0, 1.0], [2, 3]), (True, [1.0, 3.0], [1, 3])]
)
def test_the_border_bounds_what_the_front_dominates(drawn, maximize, second, corner):
    frame = pd.DataFrame({"mfu": [1.0, 2.0], "energy_j": second})
    pareto_figure(frame, list(frame), [True] * 2, "p.png", [maximize, False])
    assert drawn[0].lines[0].get_xydata()[1].tolist() == corner


def test_labels_are_as_many_as_the_front(tmp_path):
    with pytest.raises(WorkloadError, match="1 labels for the 2 points"):
        pareto_figure(FRAME, ["energy_j"], [True, True, False, False], "p.png", labels=["a"])


def test_memory_picture_says_of_what_a_share_is(make, drawn):
    footprint_figure(make(), "m.png")
    headline = drawn[0].figure.texts[0].get_text().replace("\n", " ")
    assert "weights take 88\N{NO-BREAK SPACE}% of what is needed" in headline


def test_axis_titles_have_units():
    assert axis_title("latency_s") == "latency [s]"
    assert axis_title("tokens_per_s") == "throughput [tokens/s]"
    assert axis_title("memory.bandwidth") == "memory bandwidth"


def test_time_unit_follows_the_longest_bar():
    assert [time_unit(t)[1] for t in (2.0, 3e-3, 4e-6, 5e-9, 1e-12)] == [
        "s",
        "ms",
        "µs",
        "ns",
        "ns",
    ]
