"""Does the Gantt picture show what every engine did, readably and always the same?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.errors import SimulationError
from accelsim.report import gantt_rows as rows_module
from accelsim.report import style
from accelsim.report.gantt import gantt_figure
from accelsim.report.gantt_rows import gantt_rows
from accelsim.report.gantt_window import Window, default_window
from accelsim.results.execution import Execution, Track
from tests.unit.report.pictures import plain
from tests.unit.results.executions import collective, folded, layered, op, prefetching, work

PNG = b"\x89PNG\r\n\x1a\n"
MAKERS = {
    "prefetching": prefetching, "collective": collective, "layered": lambda: layered(5, 2),
    "folded": lambda: folded(80, 4), "many chips": lambda: folded(5, 4, 6),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_same_execution_gives_the_same_bytes(make, suffix: str, tmp_path) -> None:
    one, two = (gantt_figure(make(), tmp_path / f"{name}{suffix}") for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    assert suffix != ".png" or one.read_bytes().startswith(PNG)


def test_rows_by_hand() -> None:
    rows = gantt_rows(prefetching(), Window(0, 1_400_000))
    assert [row.name for row in rows] == [
        "ops", "launch", "load", "matrix", "vector", "store"
    ]  # fmt: skip
    load = rows[2]
    assert [(b.first_ps, b.last_ps, b.look.faint, b.texts) for b in load.bars] == [
        (50_000, 400_000, False, ("up",)), (500_000, 800_000, True, ("down",)),
        (800_000, 900_000, False, ("down",)),
    ]  # fmt: skip
    assert all(bar.look.colour == style.BLUE for bar in load.bars)


def test_bars_outside_of_the_window_are_left_out() -> None:
    rows = gantt_rows(prefetching(), Window(850_000, 1_000_000))
    assert [[bar.texts[0] for bar in row.bars] for row in rows] == [
        ["down"], [], ["down", "down"], ["down"], [], []
    ]  # fmt: skip


def test_transfers_at_the_same_time_lie_below_each_other() -> None:
    row = next(r for r in gantt_rows(collective(), Window(0, 500_000)) if r.name == "network")
    assert [(bar.slot, bar.slots) for bar in row.bars] == [(0, 2), (1, 2)]
    assert len(row.texts) == 1


def test_engines_of_several_units_say_which() -> None:
    tracks = (Track(0, "cores", "matrix"), Track(0, "helpers", "matrix"))
    rows = [(0, 0, 0, 100, 1, 1), (1, 1, 0, 100, 1, 1)]
    execution = replace(prefetching(), tracks=tracks, work=work(rows))
    names = [row.name for row in gantt_rows(execution, Window(0, 1_400_000))]
    assert names == ["ops cores", "ops helpers", "matrix cores", "matrix helpers"]


def test_pieces_too_short_to_see_become_bars_as_high_as_they_are_busy(monkeypatch) -> None:
    monkeypatch.setattr(rows_module, "_MOST_PIECES", 20)
    # 100 pieces of 4 ns, 10 ns apart, and then 100 of 10 ns without gaps.
    rows = [(0, 2, 10 * i, 10 * i + 4, 1.0, 0.0) for i in range(60)]
    execution = replace(prefetching(), work=work([*rows, (0, 2, 700, 1400, 1.0, 0.0)]))
    monkeypatch.setattr(rows_module, "_SLICES", 14)
    row = next(r for r in gantt_rows(execution, Window(0, 1_400_000)) if r.name == "matrix")
    found = [(bar.first_ps, bar.last_ps, bar.filled) for bar in row.bars]
    assert found == [(0, 600_000, 0.5), (700_000, 1_400_000, 1.0)]  # 0.4, in steps of 1/8


def test_default_window_is_the_folded_repeat_and_a_bit_around() -> None:
    execution = folded(80, 4)
    window = default_window(execution)
    assert window.words == "layers, repeat 4 of 80, copied 76 times"
    fold = execution.folds[0]
    own = execution.ops[fold.first_op : fold.last_op]
    assert window.first_ps < min(span.start_ps for span in own)
    assert window.last_ps > max(span.end_ps for span in own)
    assert window.last_ps - window.first_ps < 1.4 * fold.period_ps


def test_default_window_without_folds_is_in_the_middle() -> None:
    assert default_window(layered(9)).words == "layers, repeat 5 of 9"
    assert default_window(prefetching()) == Window(0, 1_400_000, "")


def test_default_window_of_a_long_block_is_around_its_longest_op() -> None:
    ops = tuple(op(f"op{i}", "conv", (10 * i, 10 * i, 10 * i + 9)) for i in range(50))
    rows = [(i, 2, 10 * i, 10 * i + 9, 1.0, 0.0) for i in range(50)]
    execution = replace(prefetching(), ops=ops, work=work(rows), end_ps=499_000)
    longer = (*ops[:30], ops[30]._replace(end_ps=309_500), *ops[31:])
    window = default_window(replace(execution, ops=longer))
    assert window.words == "16 ops around the longest"
    assert window.first_ps < 300_000 < window.last_ps


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(SimulationError, match="cannot be drawn"):
        default_window(replace(prefetching(), ops=(), work=work([]), end_ps=0))


def test_texts_say_what_is_seen(drawn) -> None:
    gantt_figure(folded(80, 4), "g.png", detail="toy")
    (figure,) = drawn
    assert plain(figure.texts[0]).startswith(
        "In this stretch matrix units are busy 52 % of the time, vector units 1.7 %; main memory "
        "reaches 84 % of peak, links 13 %"
    )
    assert "7.18 µs of a pass of 434 µs: layers, repeat 4 of 80, copied 76 times" in plain(
        figure.texts[1]
    )
    assert figure.axes[0].get_xlabel() == "time, from 15.35 µs into the pass [µs]"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:4] == ["matmul", "attention", "vector", "collective"]
    assert legend[-1] == "copied repeat"


def test_a_window_without_work_says_so(drawn) -> None:
    execution = replace(collective(), end_ps=900_000)
    gantt_figure(execution, "g.png", window=Window(600_000, 800_000))
    assert plain(drawn[0].texts[0]) == "Nothing works in this stretch of time"


def test_chips_beyond_the_fourth_are_named_as_left_out(drawn) -> None:
    gantt_figure(folded(5, 4, 6), "g.png")
    assert "the first 4 of 6 chips" in plain(drawn[0].texts[1])
    titles = [text.get_text() for text in drawn[0].axes[0].texts]
    assert sum(title.startswith("chip ") for title in titles) == 4


def boxes(figure) -> list:
    renderer = figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in figure.axes[0].texts]


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_texts_do_not_cover_each_other(make, drawn) -> None:
    gantt_figure(make(), "g.png")
    found = boxes(drawn[0])
    frame = drawn[0].axes[0].get_window_extent()
    assert found
    for i, box in enumerate(found):
        assert box.x0 > frame.x0 - 2
        assert box.x1 < frame.x1 + 2
        for other in found[:i]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width <= 0 or height <= 0


def branches(count: int) -> Execution:
    rows = [(i, 1, 0, 1000, 1e5, 0.0) for i in range(count)]
    ops = tuple(op(f"branch{i}", "matmul", (0, 0, 1000 + i)) for i in range(count))
    return replace(prefetching(), ops=ops, work=work(rows))


def test_ops_at_the_same_time_have_a_line_each(drawn) -> None:
    gantt_figure(branches(5), "g.png")
    found = boxes(drawn[0])
    assert len(found) == 5
    for i, one in enumerate(found):
        assert all(one.y0 >= other.y1 or other.y0 >= one.y1 for other in found[:i])


def named(*names: str) -> Execution:
    rows = [(i, 2, 100 * i, 100 * i + 90, 1.0, 0.0) for i in range(len(names))]
    ops = tuple(op(n, "matmul", (100 * i,) * 2 + (100 * i + 90,)) for i, n in enumerate(names))
    return replace(prefetching(), ops=ops, work=work(rows), end_ps=100_000 * len(names))


def test_an_op_has_one_name_in_all_rows() -> None:
    execution = named("attn.norm", "attn.o+attn.residual", "mlp.norm", "mlp.down+attn.add", "head")
    rows = gantt_rows(execution, Window(0, execution.end_ps))
    found = [[bar.texts for bar in row.bars] for row in rows if row.name in ("ops", "matrix")]
    assert found[0] == found[1]
    # Without the name of the group where that is enough to tell the ops apart.
    assert [texts for (texts,) in found[0]] == [
        "attn.norm", "o+residual", "mlp.norm", "down+attn.add", "head"
    ]  # fmt: skip


def test_low_bars_have_a_low_swatch(drawn, monkeypatch) -> None:
    monkeypatch.setattr(rows_module, "_MOST_PIECES", 20)
    rows = [(0, 2, 10 * i, 10 * i + 4, 1.0, 0.0) for i in range(60)]
    execution = replace(prefetching(), work=work([*rows, (0, 2, 700, 1400, 1.0, 0.0)]))
    gantt_figure(execution, "g.png", window=Window(0, 1_400_000))
    (legend,) = drawn[0].legends
    heights = [patch.get_height() for patch in legend.get_patches()]
    assert legend.get_texts()[-1].get_text().startswith("low bars")
    assert heights[-1] < 0.5 * max(heights)


def test_transfers_of_several_ops_at_once_carry_no_name() -> None:
    row = next(r for r in gantt_rows(branches(2), Window(0, 1_000_000)) if r.name == "load")
    assert len(row.bars) == 2
    assert row.texts == ()
