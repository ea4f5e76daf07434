"""Do the pictures and tables of an execution say what it holds?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.report import style
from accelsim.report.event_figures import path_figure, utilisation_figure
from accelsim.report.event_tables import (
    engines_table,
    execution_tables,
    path_table,
    waiting_table,
)
from accelsim.report.words import RESOURCE_WORDS, gain_words, resource_word
from accelsim.results.execution import PathShare
from tests.unit.report.pictures import plain
from tests.unit.results.executions import collective, early, folded, layered, op, prefetching, work

MAKERS = {
    "prefetching": prefetching, "collective": collective, "layered": lambda: layered(5, 2),
    "folded": lambda: folded(80, 4, 2),
}  # fmt: skip
GAINS = {"matrix": 400e-9, "network": 500e-9}


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
        [
            "matrix units, share of time busy",
            "vector units, share of time busy",
            "main memory, share of peak bandwidth",
            "power",
        ],
        [
            "matrix units, share of time busy",
            "links, share of peak bandwidth",
            "power of 4 chips",
        ],
    ]
    notes = [axes.get_title(loc="right") for axes in drawn[1].axes]
    # Matrix: a chip 20 %, three chips 60 %. Power: 40 W idle, 18 uJ in 500 ns.
    assert notes == [
        "mean of the pass 50 %", "mean of the pass 32 %", "counted: mean 76.0 W, highest 80.0 W",
    ]  # fmt: skip
    assert plain(drawn[0].texts[0]) == (
        "Matrix units are busy 50 % of the time, vector units 7.1 %; main memory reaches 61 % of "
        "peak"
    )
    assert plain(drawn[1].texts[0]) == (
        "Matrix units are busy 50 % of the time; links reach 32 % of peak"
    )


def test_copies_are_shaded_and_counted_once(drawn) -> None:
    utilisation_figure(folded(80, 4, 2), "u.png", detail="toy")
    small = plain(drawn[0].texts[1])
    assert (
        small
        == "toy; every value: mean over 1.8 µs; shaded: 76 copies of one repeat, every 5.40 µs"
    )


def test_power_axis_begins_at_zero_and_names_its_unit(drawn) -> None:
    utilisation_figure(replace(folded(80, 4), idle_w=2000.0), "u.png")
    axes = drawn[0].axes[-1]
    assert axes.get_ylim()[0] == 0
    assert all(label.get_text().endswith(" kW") for label in axes.get_yticklabels())


def test_the_power_of_the_board_and_its_limit_are_told_apart(drawn) -> None:
    utilisation_figure(replace(collective(), board_over_counted=1.5, limit_w=30.0), "u.png")
    axes = drawn[0].axes[-1]
    assert axes.get_title(loc="right") == (
        "counted: mean 76.0 W, highest 80.0 W; board: mean 94.0 W, highest 100 W; limit 120 W"
    )
    assert [line.get_ydata()[0] for line in axes.lines] == [120.0]
    assert axes.get_ylim()[1] > 120
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "idle", "counted: matrix units", "counted: links", "board under this load",
        "stated limit of the board",
    ]  # fmt: skip
    utilisation_figure(collective(), "u.png")
    assert [text.get_text() for text in drawn[1].legends[0].get_texts()] == [
        "idle", "counted: matrix units", "counted: links",
    ]  # fmt: skip


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
    ("new_s", "words"),
    [
        (0.5, "−50 %"),
        (0.995, "−0.5 %"),
        (0.9995, "no gain"),
        (1.0, "no gain"),
        (1.0005, "no gain"),
        (1.004, "+0.4 %, slower"),
        (1.2, "+20 %, slower"),
    ],
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


def test_chips_that_do_the_same_are_listed_once() -> None:
    equal = engines_table(replace(layered(3, 4), chips=("toy",) * 4))
    assert {row[0] for row in equal.rows} == {"0 to 3 (x 4): toy"}
    assert len(equal.rows) == len(engines_table(layered(3)).rows)
    assert equal.breaks == ()
    mixed = replace(collective(), chips=("toy", "toy"))
    assert [row[0] for row in engines_table(mixed).rows] == ["0: toy"] * 2 + ["1: toy"] * 2


def test_the_engines_say_what_was_fetched_ahead() -> None:
    ahead = engines_table(early())
    assert ahead.title == (
        "Engines in one pass of 1.40 µs; fetched ahead: 400 kB, 53 % of the bytes read"
    )


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


def test_every_resource_of_a_path_has_words_and_a_colour() -> None:
    path = tuple(PathShare(name, 1000) for name in RESOURCE_WORDS)
    rows = path_table(replace(collective(), path=path)).rows
    assert [row[0] for row in rows] == list(RESOURCE_WORDS.values())
    assert resource_word("others") == "waiting for other chips"
    assert resource_word("power") == "work at the power limit"
    colours = [style.resource_colour(name) for name in RESOURCE_WORDS]
    assert len(set(colours)) == len(colours)


def test_ops_that_wait_for_the_host_are_in_the_table() -> None:
    rows = [
        (0, 0, 0, 100, 0, 0), (0, 0, 100, 110, 0, 0), (0, 2, 110, 200, 1, 1),
        (1, 0, 150, 260, 0, 0), (1, 0, 260, 270, 0, 0), (1, 2, 270, 300, 1, 1),
    ]  # fmt: skip
    ops = (op("a", "matmul", (100, 110, 200)), op("b", "matmul", (260, 270, 300)))
    table = waiting_table(replace(prefetching(), ops=ops, work=work(rows), end_ps=300_000))
    assert [column.title for column in table.columns][3:5] == ["waited each", "for the host"]
    assert table.rows == (
        ("layers", "a", "1", "100 ns", "100 ns", "100 ns", "0 s", "90.0 ns"),
        ("layers", "b", "1", "60.0 ns", "60.0 ns", "60.0 ns", "0 s", "30.0 ns"),
    )


def test_waiting_ops_by_hand() -> None:
    (row,) = waiting_table(collective()).rows
    assert row == ("layers", "reduce", "1", "200 ns", "200 ns", "0 s", "200 ns")
    assert len(execution_tables(collective())) == 3
    assert len(execution_tables(prefetching())) == 2
