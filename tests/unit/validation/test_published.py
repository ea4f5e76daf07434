"""Are packaged figures complete, cited, and turned to the times that their sources mean?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.arch.raw import spec_files
from accelsim.errors import SpecError
from accelsim.validation.measured import MeasuredSum
from accelsim.validation.published import published_figures

HEAD = 'suite: s\ntitle: "t"\nsource: "a paper"\nbasis: "b"\nlaunch: graph\n'
BLOCK = "figures:\n  - place: p\n    of: {chip: a40, op: add, dtype: fp32, cols: 8}\n    rows:\n"
SUM = "sums:\n  - of: {chip: a40, name: n, system: a40, dtype: fp16}\n    rows:\n"


def test_every_figure_has_a_source_a_place_and_a_chip() -> None:
    found = published_figures()
    assert len(found.frame) >= 30
    assert len(found.runs) == 8
    assert set(found.frame["chip"]) <= set(spec_files("chip"))
    assert found.frame["source"].str.len().min() > 40
    assert (found.frame["measured_s"] > 0).all()
    assert all(run.labels["place"] for run in found.runs)


def test_rates_count_what_the_source_counts() -> None:
    frame = published_figures().frame
    full = frame[(frame["causal"] == False) & (frame["batch"] == 1)].iloc[0]  # noqa: E712
    # 4 x heads x q x kv x head_dim FLOP at 648 TFLOP/s
    assert full["measured_s"] == pytest.approx(4 * 16 * 16384**2 * 128 / 648e12)
    masked = frame[(frame["causal"] == True) & (frame["head_dim"] == 128)]  # noqa: E712
    assert masked.iloc[-1]["measured_s"] == pytest.approx(2 * 16 * 16384**2 * 128 / 616e12)
    triad = frame[(frame["op"] == "add") & (frame["chip"] == "v100_pcie")].iloc[0]
    assert triad["measured_s"] == pytest.approx(3 * 2**30 / 814e9)


def test_ops_of_a_sum_say_how_each_was_launched() -> None:
    prefill, decode = (run for run in published_figures().runs if isinstance(run, MeasuredSum))
    assert (prefill.measured_s, decode.measured_s) == (66.75e-3, 1.111e-3)
    # Queries, keys and values are three products: 14 calls of nine kinds.
    assert prefill.ops["count"].sum() == decode.ops["count"].sum() == 14
    launches = decode.ops.groupby("op")["launch"].first().to_dict()
    assert launches == {
        "matmul": "eager", "softmax": "eager", "layernorm": "compiled", "gelu": "compiled",
        "all_reduce": "graph",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + BLOCK + "      - {rows: 8}\n", "a figure has a rate or a time"),
        (HEAD + BLOCK + "      - {rows: 8, rate: 1 GB/s, time: 1 s}\n", "a rate or a time"),
        (HEAD + BLOCK + "      - {rows: 8, rate: 1 TFLOP/s}\n", "expected a bandwidth"),
        (HEAD + BLOCK + "      - {row: 8, time: 1 s}\n", "unknown column 'row'"),
        (HEAD + BLOCK.replace("chip: a40, ", "") + "      - {time: 1 s}\n", "needs a chip"),
        (HEAD.replace("basis", "bases"), "unknown key 'bases', did you mean 'basis'"),
        (HEAD.replace('basis: "b"\n', ""), "'basis' is missing"),
        ("[]\n", "expected a mapping"),
        (HEAD + BLOCK + "      - {rows: 8, time: 1 s, launch: lazy}\n", "unknown launch 'lazy'"),
        (HEAD + SUM + "      - {time: 1 s}\n", "a sum needs .* 'ops' is missing"),
        (HEAD + SUM + "      - {time: 1 s, ops: [], opps: 1}\n", "unknown field 'opps'"),
        (HEAD + SUM + "      - {time: 1 s, ops: [{op: add, col: 1}]}\n", "unknown column 'col'"),
        (HEAD + SUM + "      - {time: 1 s, ops: [{launch: x}]}\n", "unknown launch 'x'"),
    ],
)
def test_a_malformed_file_names_its_line(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "workloads" / "measurements"
    folder.mkdir(parents=True)
    (folder / "aaa.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("ACCELSIM_PATH", str(tmp_path))
    with pytest.raises(SpecError, match=told):
        published_figures()
