"""Do the pictures and tables of an execution say what it holds?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.report import style
from accelsim.report.event_figures import gain_words, path_figure, utilisation_figure
from accelsim.report.event_tables import (
    engines_table,
    execution_tables,
    path_table,
    waiting_table,
)
from tests.unit.results.executions import collective, folded, layered, prefetching

MAKERS = {
    "prefetching": prefetching, "collective": collective, "layered": lambda: layered(5, 2),
    "folded": lambda: folded(80, 4, 2),
}  # fmt: skip
GAINS = {"matrix": 400e-9, "network": 500e-9}


@pytest.fixture
def drawn(monkeypatch):
    """Figures drawn, laid out: what `style.save` was given."""
    seen = []

    def save(figure, path):
        style.settle(figure.axes[0])
        seen.append(figure)
        return path

    monkeypatch.setattr("accelsim.report.event_figures.style.save", save)
    return seen


def plain(text) -> str:
    return text.get_text().replace("\N{NO-BREAK SPACE}", " ").replace("\n", " ")


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("draw", [utilisation_figure, path_figure])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_same_execution_gives_the_same_bytes(make, draw, suffix: str, tmp_path) -> None:
    one, two = (draw(make(), tmp_path / f"{name}{suffix}") for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_panels_are_what_the_execution_has(drawn) -> None:
    utilisation_figure(prefetching(), "u.png")
    utilisation_figure(collective(), "u.png")
    titles = [[axes.get_title(loc="left") for axes in figure.axes] for figure in drawn]
    assert titles == [
        ["matrix units", "vector units", "main memory", "power"],
        ["matrix units", "links", "power of 4 chips"],
    ]
    notes = [axes.get_title(loc="right") for axes in drawn[1].axes]
    # Matrix: a chip 20 %, three chips 60 %. Power: 40 W idle, 18 uJ in 500 ns.
    assert notes == [
        "mean 50 %", "mean 32 %", "mean 76.0 W, highest 80.0 W, dashed: idle 40.0 W",
    ]  # fmt: skip
    assert plain(drawn[0].texts[0]) == (
        "Main memory is used most, 61 %; matrix units 50 %, vector units 7.1 %"
    )
    assert plain(drawn[1].texts[0]) == "Matrix units are used most, 50 %; links 32 %"


def test_copies_are_shaded_and_counted_once(drawn) -> None:
    utilisation_figure(folded(80, 4, 2), "u.png", detail="toy")
    small = plain(drawn[0].texts[1])
    assert small == "toy; shaded: 76 copies of one repeat, every 5.40 µs"


def test_power_axis_begins_at_zero_and_names_its_unit(drawn) -> None:
    utilisation_figure(replace(folded(80, 4), idle_w=2000.0), "u.png")
    axes = drawn[0].axes[-1]
    assert axes.get_ylim()[0] == 0
    assert all(label.get_text().endswith(" kW") for label in axes.get_yticklabels())


def test_an_execution_without_work_still_has_its_idle_power(drawn) -> None:
    idle = replace(prefetching(), tracks=prefetching().tracks[2:3], ops=prefetching().ops)
    nothing = idle.work.where(idle.work.track < 0)
    utilisation_figure(replace(idle, work=nothing), "u.png")
    assert plain(drawn[0].texts[0]) == "No engine works"
    assert len(drawn[0].axes) == 1


def test_path_has_a_bar_per_resource(drawn) -> None:
    path_figure(collective(), "p.png")
    (axes,) = drawn[0].axes
    assert plain(drawn[0].texts[0]) == "The critical path spends 60 % of the pass on matrix units"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["matrix units", "links"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([300, 200])
    assert [plain(text) for text in axes.texts] == ["300 ns  60 %", "200 ns  40 %"]


def test_path_says_what_would_help(drawn) -> None:
    path_figure(collective(), "p.png", gains=GAINS)
    texts = [plain(text) for text in drawn[0].axes[0].texts]
    assert texts[2:] == [
        "pass if it were infinitely fast", "400 ns  −20 %", "500 ns  no gain"
    ]  # fmt: skip
    frame = drawn[0].bbox
    renderer = drawn[0].canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in drawn[0].axes[0].texts]
    assert all(box.x1 <= frame.x1 for box in boxes)


def test_an_empty_path_is_said(drawn) -> None:
    path_figure(replace(collective(), path=()), "p.png")
    assert plain(drawn[0].texts[0]) == "The critical path is empty"


@pytest.mark.parametrize(
    ("new_s", "words"), [(0.5, "−50 %"), (0.9995, "no gain"), (1.0, "no gain"), (1.2, "no gain")]
)
def test_gain_in_words(new_s: float, words: str) -> None:
    assert gain_words(new_s, 1.0) == words


def test_engines_by_hand() -> None:
    table = engines_table(prefetching())
    assert table.title == "Engines in one pass of 1.40 µs"
    assert table.rows[1] == (
        "load", "hbm", "750 ns", "54 %", "750 kB", "54 %", "7.00 µJ", "2"
    )  # fmt: skip
    assert table.rows[0][4:7] == ("-", "-", "-")
    several = engines_table(collective())
    assert several.columns[0].title == "chip"
    assert [row[:2] for row in several.rows] == [
        ("0: toy", "matrix"), ("0: toy", "network"), ("1: slow toy (3 chips)", "matrix"),
        ("1: slow toy (3 chips)", "network"),
    ]  # fmt: skip
    assert several.breaks == (2,)


def test_engines_that_did_nothing_are_left_out() -> None:
    rows = prefetching().work.where(prefetching().work.track == 2)
    assert len(engines_table(replace(prefetching(), work=rows)).rows) == 1


def test_path_table_with_and_without_gains() -> None:
    assert path_table(collective()).rows[0] == ("matrix units", "300 ns", "60 %")
    with_gains = path_table(collective(), {"matrix": 400e-9})
    assert with_gains.rows == (
        ("matrix units", "300 ns", "60 %", "400 ns", "−20 %"),
        ("links", "200 ns", "40 %", "-", "-"),
    )


def test_waiting_ops_by_hand() -> None:
    (row,) = waiting_table(collective()).rows
    assert row == ("layers", "reduce", "1", "200 ns", "200 ns", "0 s", "200 ns")
    assert len(execution_tables(collective())) == 3
    assert len(execution_tables(prefetching())) == 2
