"""``accelsim systolic``: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli

SMALL = ("systolic", "--rows", 4, "--cols", 3, "--m", 5, "--n", 7, "--k", 6)


def test_counts_of_a_matmul(cli: Cli) -> None:
    data = cli(*SMALL, "--dataflow", "ws", "--json", "-").data
    assert data["cycles"] == 6 * (2 * 4 + 3 + 5 - 2)
    assert data["folds"] == data["row_folds"] * data["col_folds"] == 2 * 3
    assert (data["sram_reads_a_words"], data["sram_reads_b_words"]) == (90, 42)
    assert (data["sram_writes_c_words"], data["sram_reads_c_words"]) == (70, 35)
    assert data["mapping_efficiency"] == 42 / 72


@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
def test_a_check_simulates_and_agrees(cli: Cli, dataflow: str) -> None:
    outcome = cli(*SMALL, "--dataflow", dataflow, "--check")
    assert outcome.status == 0
    assert "all results equal A @ B" in outcome.out
    assert "PE by PE" in outcome.out


def test_features_of_real_arrays_hold_in_the_check(cli: Cli) -> None:
    options = ("--double-buffer", "--arrays", 2, "--mac-latency", 3, "--packing", 2, "--packed",
               "rows", "--sparsity", "2:4")  # fmt: skip
    data = cli(*SMALL, *options, "--check", "--json", "-").data
    assert data["check"]["holds"]
    assert data["array"]["sparsity"] == "2:4"
    assert data["metadata_bits"] == 2 * data["sram_reads_b_words"]


def test_a_depthwise_convolution_repeats_its_groups(cli: Cli) -> None:
    shape = ("--conv", "1,8,14,14,8,3,3", "--padding", 1, "--groups", 8)
    data = cli("systolic", "--rows", 8, "--cols", 8, *shape, "--check", "--json", "-").data
    assert data["problem"]["repeat"] == 8
    assert data["macs"] == 8 * 14 * 14 * 9
    assert data["cycles"] == 8 * data["check"]["cycles"]
    assert data["check"]["groups"] == [1, 8]
    assert data["check"]["holds"]


def test_buffers_show_stalls_by_operand(cli: Cli) -> None:
    outcome = cli(*SMALL, "--sram", "64,1Ki,64", "--bandwidth", "1,2/3,0.5")
    assert outcome.status == 0
    assert "stalls (cycles)" in outcome.out
    assert "behind buffers" in outcome.out
    assert "first fill" in outcome.out


def test_a_chip_brings_its_array_and_its_clock(cli: Cli) -> None:
    outcome = cli("systolic", "--on", "tpu_v4", "--m", 512, "--n", 3072, "--k", 768)
    # 144 folds on 4 arrays: 36 turns of 512 rows, then one fold's fill.
    assert f"{35 * 512 + 512 + 2 * 128 + 128 - 2:,} (" in outcome.out
    assert "µs" in outcome.out


def test_pictures_and_animation_are_written(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*SMALL, "--plots", "pictures", "--animate", "array.html", "--cycle", 9)
    assert outcome.status == 0, outcome.err
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 3
    assert "<html" in (tmp_path / "array.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rows", 0), "rows is 0, expected an integer from 1"),
        (("--cols", -3), "cols is -3"),
        (("--m", 0), "m is 0, expected an integer from 1"),
        (("--rows", 100_000), "rows is 100000"),
        (("--dataflow", "rs"), "unknown dataflow 'rs'"),
        (("--sparsity", "5:4"), "expected 1 <= N <= M"),
        (("--sparsity", "two"), "not of the form N:M"),
        (("--dataflow", "is", "--sparsity", "2:4"), "use ws or os with sparsity"),
        (("--sram", "6"), "buffer of A holds 6 words"),
        (("--sram", "64Ti"), "no number of words"),
        (("--sram", "64", "--bandwidth", "1e-999999999"), "no number of words per cycle"),
        (("--sram", "64", "--bandwidth", "1/0"), "no number of words per cycle"),
        (("--sram", "64", "--bandwidth", "1_0"), "no number of words per cycle"),
        (("--prefilled",), "--prefilled without --sram"),
        (("--dtype", "int8"), "--dtype without --on CHIP"),
        (("--packed", "rows"), "--packed without --packing"),
        (("--stride", 2, "--groups", 3), "--stride, --groups without --conv"),
        (("--cycle", 3), "--cycle without --plots"),
        (("--animate", "page.txt"), "a name like array.html"),
        (("--dataflow", "ws,os", "--plots", "p"), "pictures show one dataflow"),
        (("--dataflow", "ws,ws"), "different ones as ws,os,is"),
        (("--dataflow", "ws,"), "different ones as ws,os,is"),
        (("--seed", 3), "--seed without --check or pictures"),
        (("--on", "my.cfg"), "accelsim run NET.csv --on my.cfg"),
        (("--on", "tpu_v4", "--dtype", "fp4"), "it has one for bf16"),
        (("--n", 10**6, "--k", 10**6, "--sram", "64"), "too many to step"),
        (("--check", "--m", 3, "--n", 1, "--k", 10**9), "a check would take"),
        (("--sram", "1,2"), "expected one value, or three"),
        (("--sram", "64kB"), "no number of words"),
        (("--bandwidth", 3), "--bandwidth without --sram"),
        (("--sram", "64", "--bandwidth", "0"), "never delivers"),
        (("--sram", "64", "--bandwidth", "fast"), "no number of words per cycle"),
        (("--sram", "64", "--inner", "both"), "expected rows or cols"),
        (("--packing", 2, "--packed", "depth"), "packed along 'depth'"),
        (("--arrays", 0), "arrays is 0"),
        (("--check", "--m", 10**7, "--n", 10**4, "--k", 10**4), "a check would take"),
        (("--check", "--seed", -1), "seed is -1"),
        (("--on", "h100_sxm"), "has no systolic array"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    cli: Cli, arguments: tuple[object, ...], message: str
) -> None:
    outcome = cli(*SMALL, *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_sizes_that_are_missing_are_named(cli: Cli) -> None:
    assert "--rows missing" in cli("systolic", "--cols", 4, "--m", 1, "--n", 1, "--k", 1).err
    assert "give --m, --n and --k" in cli("systolic", "--rows", 4, "--cols", 4, "--m", 1).err
    both = cli(*SMALL, "--conv", "1,3,8,8,4,3,3")
    assert "give one or the other" in both.err


def test_a_convolution_needs_seven_sizes(cli: Cli) -> None:
    outcome = cli("systolic", "--rows", 4, "--cols", 4, "--conv", "1,2,3")
    assert (outcome.status, "has 3 numbers" in outcome.err) == (2, True)
    outcome = cli(
        "systolic", "--rows", 4, "--cols", 4, "--conv", "1,2,9,9,2,3,3", "--padding", "1,2,3"
    )
    assert "expected 1, 2 or 4 numbers" in outcome.err


def test_dataflows_are_compared(cli: Cli) -> None:
    outcome = cli(*SMALL, "--dataflow", "ws,os,is", "--sram", "64", "--bandwidth", 2, "--check")
    assert outcome.out.count("agrees") == 3
    assert outcome.status == 0
    rows = [line.split()[0] for line in outcome.out.splitlines()[2:5]]
    assert rows == ["ws", "os", "is"]
    data = cli(*SMALL, "--dataflow", "ws,os", "--json", "-").data
    assert [answer["array"]["dataflow"] for answer in data["compared"]] == ["ws", "os"]


def test_json_says_all_that_a_repetition_needs(cli: Cli) -> None:
    chip = ("systolic", "--on", "tpu_v4", "--rows", 64, "--m", 9, "--n", 9, "--k", 9)
    data = cli(*chip, "--sram", "4Ki", "--bandwidth", "1/3", "--prefilled", "--json", "-").data
    assert (data["chip"], data["dtype"], data["changed"]) == ("tpu_v4", "bf16", ["rows 64"])
    assert data["clock_hz"] == 1.05e9
    assert data["array"]["buffers"]["word_bits"] == 16
    assert data["array"]["buffers"]["a_words_per_cycle"] == pytest.approx(1 / 3)
    assert (data["prefilled"], data["seed"]) == (True, 0)
    title = cli(*chip).out.splitlines()[0]
    assert "(tpu_v4, bf16, 1,050 MHz; changed: rows 64)" in title


def test_what_is_too_long_to_trace_is_shown_in_part(cli: Cli) -> None:
    big = ("systolic", "--rows", 64, "--cols", 64, "--m", 3000, "--n", 500, "--k", 500)
    outcome = cli(*big, "--animate", "page.html")
    assert outcome.status == 0
    assert "a part that can be traced" in outcome.err
