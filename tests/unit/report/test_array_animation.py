"""Does the animation hold the simulated trace, and nothing that breaks out or needs a network?"""

from __future__ import annotations

import base64
import json
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from accelsim.arch.array import DATAFLOWS, SystolicArray
from accelsim.errors import CapacityError
from accelsim.report import array_animation
from accelsim.report.array_animation import VALUES_PE_CYCLES, pack, write_animation
from accelsim.report.array_plan import FoldPlan
from accelsim.report.array_states import fold_starts, pe_states
from accelsim.scenarios.array_problem import ArrayProblem
from tests.unit.report.array_runs import FEATURES, PARTIAL, SIZES, cut, traced

VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """Elements, text by element id, and whether all that opened was closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id", tag)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1][1]] = self.text.get(self.open[-1][1], "") + data


def unpacked(packed):
    """Undo `pack`."""
    plain = zlib.decompress(base64.b64decode(packed["data"]))
    return np.frombuffer(plain, dtype=f"<{packed['type']}")


def written(array, tmp_path, sizes=SIZES, scale=1):
    """Return a run, its page, and the page's document with arrays unpacked."""
    run, _, _ = traced(array, sizes, scale)
    page = Page(write_animation(run, array, sizes, tmp_path / "a.html").read_text("utf-8"))
    document = json.loads(page.text["data"])
    document["packed"] = {name: unpacked(packed) for name, packed in document["packed"].items()}
    return run, page, document


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("features", [*FEATURES[:4], *PARTIAL])
def test_the_page_holds_the_trace(dataflow, features, tmp_path):
    array = SystolicArray(dataflow, 4, 3, features)
    run, _, document = written(array, tmp_path)
    for name in ("a", "b", "sums", "fold", "phase"):
        wanted = getattr(run.trace, name)
        assert (document["packed"][name].reshape(wanted.shape) == wanted).all(), name
    states = document["packed"]["states"].reshape(run.trace.active.shape)
    assert (states == pe_states(run.trace, array, FoldPlan.of(array, SIZES))).all()
    assert (document["packed"]["active"] == run.active_per_cycle).all()
    assert document["cycles"] == run.cycles


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_the_result_fills_in_order_of_cycles(dataflow, tmp_path):
    run, _, document = written(SystolicArray(dataflow, 4, 4), tmp_path)
    found = document["packed"]
    assert (np.diff(found["atCycle"]) >= 0).all()
    assert found["atCycle"][-1] < run.cycles
    filled = np.zeros_like(run.result)
    np.add.at(filled, (found["atRow"], found["atCol"]), found["atValue"])
    assert (filled == run.result).all()
    arrived = np.zeros(run.result.shape, int)
    np.add.at(arrived, (found["atRow"], found["atCol"]), 1)
    assert (arrived == document["parts"]).all()


def test_the_page_is_whole_and_asks_for_nothing_from_outside(tmp_path):
    _, page, _ = written(SystolicArray("ws", 4, 4), tmp_path)
    text = (tmp_path / "a.html").read_text("utf-8")
    assert not page.open
    assert {"noscript", "canvas", "script", "style"} <= set(page.tags)
    assert not {"link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href", "srcset")]
    for fragment in ("http://", "https://", "src=", "@import", "url(", "fetch(", "{{"):
        assert fragment not in text, fragment
    assert "JavaScript" in page.text["noscript"]


def test_names_from_a_spec_stay_text(tmp_path):
    name = "</script><script>alert(1)</script>{{data}}\u2028&amp;"
    array = SystolicArray("os", 2, 2, name=name)
    _, page, _ = written(array, tmp_path)
    assert page.tags.count("script") == 2
    assert page.text["h1"].startswith(name)
    assert page.text["title"] == page.text["h1"]


def test_a_long_run_shows_its_first_whole_folds(tmp_path, monkeypatch):
    array = SystolicArray("ws", 4, 4)
    run, _, _ = traced(array)
    starts = fold_starts(run.trace.fold)
    monkeypatch.setattr(array_animation, "VALUES_PE_CYCLES", int(starts[3]) * array.pes - 1)
    _, page, document = written(array, tmp_path)
    assert document["cycles"] == starts[2]
    assert document["packed"]["sums"].size == starts[2] * array.pes
    assert document["packed"]["atCycle"].max() < starts[2]
    assert f"first {starts[2]} of {run.cycles} cycles" in page.text["note"]


def test_a_large_array_is_shown_in_colours(tmp_path):
    array, sizes = SystolicArray("os", 40, 40), ArrayProblem(40, 40, 3)
    run, page, document = written(array, tmp_path, sizes)
    assert document["values"] is False
    assert "sums" not in document["packed"]
    assert document["packed"]["states"].size == run.cycles * array.pes
    assert "note" not in page.text


def test_a_fold_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(array_animation, "STATES_PE_CYCLES", 10_000)
    array, sizes = SystolicArray("os", 40, 40), ArrayProblem(40, 40, 3)
    run, _, _ = traced(array, sizes)
    with pytest.raises(CapacityError, match=r"129,600 PE-cycles.*holds 10,000.*6 cycles per fold"):
        write_animation(run, array, sizes, tmp_path / "a.html")
    assert not list(tmp_path.iterdir())


def test_several_arrays_say_which_one_is_shown(tmp_path):
    _, page, document = written(SystolicArray("ws", 4, 4, PARTIAL[0]), tmp_path)
    assert "first of 3 arrays" in page.text["note"]
    assert document["result"] is False


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("features", [*FEATURES[:4], PARTIAL[0]])
def test_a_trace_may_end_before_the_run(dataflow, features, tmp_path):
    array = SystolicArray(dataflow, 4, 4, features)
    run = cut(traced(array)[0], 6)
    path = write_animation(run, array, SIZES, tmp_path / "a.html", note="1 of 4 groups")
    page = Page(path.read_text("utf-8"))
    assert f"the first 6 of {run.cycles} cycles, as far as they were traced" in page.text["note"]
    assert page.text["h1"].endswith("(1 of 4 groups)")
    document = json.loads(page.text["data"])
    assert document["cycles"] == 6
    assert max(document["filled"]) <= 6


def test_damaged_data_are_told():
    page = array_animation._TEMPLATE.read_text("utf-8")
    assert ".catch(" in page
    assert "damaged" in page


def test_floats_are_kept_to_single_precision(tmp_path):
    run, _, document = written(SystolicArray("ws", 4, 4), tmp_path, scale=0.123)
    assert np.allclose(document["packed"]["sums"], run.trace.sums.ravel(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([-128, 127], "i1"), ([0, 255], "u1"), ([-129, 0], "i2"), ([0, 2**31 - 1], "i4"),
        ([2**40, 1], "f4"), ([0.5], "f4"), ([1.0, -3.0], "i1"), ([np.nan], "f4"), ([1e300], "f4"),
        ([True, False], "i1"), ([], "i1"),
    ],
)  # fmt: skip
def test_arrays_take_the_shortest_exact_type(values, kind):
    array = np.array(values)
    packed = pack(array)
    assert packed["type"] == kind
    with np.errstate(over="ignore"):
        wanted = array.astype(f"<{kind}")
    assert np.array_equal(unpacked(packed), wanted, equal_nan=True)


def test_the_largest_page_stays_below_20_mb():
    rng = np.random.default_rng(0)
    part = VALUES_PE_CYCLES // 20
    noise = sum(len(pack(rng.normal(size=part))["data"]) for _ in range(3))
    assert 20 * (noise + len(pack(rng.integers(0, 6, part))["data"])) < 20e6


def test_same_run_gives_the_same_page(tmp_path):
    array = SystolicArray("is", 4, 4)
    run, _, _ = traced(array)
    pages = [write_animation(run, array, SIZES, tmp_path / f"{i}.html") for i in range(2)]
    assert pages[0].read_bytes() == pages[1].read_bytes()
