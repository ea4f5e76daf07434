"""Do the tables of a numerics study say what its results say?"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from accelsim.arithmetic import FP32, Arithmetic, FusedSum, MatrixArithmetic
from accelsim.cli.console import fitting, plain_table
from accelsim.functional.layer_errors import LayerError
from accelsim.report.numerics_tables import (
    arithmetic_words,
    chip_names,
    chips_table,
    continuation,
    faults_table,
    length_words,
    numerics_pairs,
    op_place,
    ops_table,
    quality_table,
    worst_ops_table,
)
from accelsim.scenarios.numerics_result import ChipDifference
from tests.unit.report.numerics_results import made_result


def cells(table, row):
    return dict(zip((c.title for c in table.columns), table.rows[row], strict=True))


def test_the_quality_table_sets_variants_under_fp32(make) -> None:
    run = make("generate")
    table = quality_table([made_result("bf16", run), made_result("int8", run, weight_bits=8.25)])
    assert [row[0] for row in table.rows] == ["fp32", "bf16", "int8"]
    row = cells(table, 2)
    assert row["layer weights (bit)"] == "8.25"
    assert row["against fp32"] == "+10.00 %"
    assert row["same tokens"] == "2 of 4"
    assert row["J/token"].endswith("J")
    assert "1024 tokens in, 2 out" in table.title
    assert cells(table, 0)["perplexity"] == "10"
    assert (cells(table, 0)["tokens"], row["tokens"]) == ("4", "4")


def test_a_text_that_ended_earlier_is_told(make) -> None:
    long, short = make("generate"), replace(make("generate"), output_len=1)
    ended = made_result("int8", short, tokens=(9,), diverges_at=0)
    table = quality_table([made_result("bf16", long), ended])
    assert table.title.endswith("1024 tokens in, 1 to 2 out")
    assert [cells(table, row)["tokens"] for row in range(3)] == ["4", "4", "1"]


def test_without_tokens_there_are_dashes(make) -> None:
    given = {"tokens": (), "reference_tokens": (), "diverges_at": None}
    row = cells(quality_table([made_result("bf16", make("prefill"), **given)]), 1)
    assert {row[c] for c in ("same tokens", "tokens/s", "J/token")} == {"-"}


def test_a_prefill_has_no_rate_of_generated_tokens(make) -> None:
    row = cells(quality_table([made_result("bf16", make("prefill"))]), 1)
    assert (row["tokens/s"], row["J/token"]) == ("-", "-")
    assert row["time"] != "-"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("blk.12.attn_q", (12, "attn_q")),
        ("token_embd", (None, "token_embd")),
        ("blk.x.attn", (None, "blk.x.attn")),
    ],
)
def test_names_of_ops_are_split(name, place) -> None:
    assert op_place(name) == place


def test_ops_are_summed_up_over_layers() -> None:
    table = ops_table([made_result("bf16", None)])
    rows = dict(table.rows)
    assert rows["attn_v"] == "32.0 (31.0, 2)"
    assert rows["token_embd"] == "exact"
    assert rows["logits"] == "40.0"


def test_ops_of_several_variants_fit_a_terminal() -> None:
    results = [made_result(name, None) for name in ("bf16", "fp8", "int8", "smoothquant",
                                                    "int8-weight", "int4-g32")]  # fmt: skip
    table = ops_table(results)
    assert {row[0]: row[1] for row in table.rows}["attn_v"] == "32.0"
    assert max(map(len, plain_table(table).splitlines())) <= 80


def test_nan_is_counted_and_stands_first() -> None:
    bad = (
        LayerError("blk.0.attn", 30.0, 0.03, 1.0, 2.0),
        LayerError("blk.1.attn", *[math.nan] * 4),
    )
    result = made_result("int8", None, errors=bad)
    assert dict(ops_table([result]).rows)["attn"] == "NaN in 1 of 2"
    assert [row[1] for row in worst_ops_table([result]).rows] == ["blk.1.attn", "blk.0.attn"]


def test_the_worst_ops_come_per_variant() -> None:
    table = worst_ops_table([made_result("bf16", None), made_result("int8", None)], count=2)
    assert [row[:2] for row in table.rows] == [
        ("bf16", "blk.2.attn_v"), ("bf16", "blk.1.attn_v"),
        ("int8", "blk.2.attn_v"), ("int8", "blk.1.attn_v"),
    ]  # fmt: skip
    assert table.breaks == (2,)


@pytest.mark.parametrize(
    ("variants", "count", "shown"),
    [(1, None, 6), (2, None, 4), (3, None, 6), (1, 3, 3), (2, 3, 6), (2, 0, 0)],
)
def test_the_worst_ops_are_as_many_as_asked_for(variants, count, shown) -> None:
    results = [made_result(f"v{i}", None) for i in range(variants)]
    assert len(worst_ops_table(results, count).rows) == shown


def test_the_largest_error_has_a_scale() -> None:
    row = cells(worst_ops_table([made_result("bf16", None)]), 0)
    assert row["rms of error / rms"] == "0.0282"
    assert row["largest error / rms"] == "0.113"
    assert row["largest error"] == "0.5"


def test_a_narrow_terminal_shows_quality_and_energy(make) -> None:
    results = [made_result("h100_sxm bf16", make("generate"))]
    titles = [column.title for column in fitting(quality_table(results), 80).columns]
    assert {"variant", "KL (nat)", "top-1 kept", "perplexity", "J/token"} <= set(titles)
    assert max(map(len, plain_table(fitting(quality_table(results), 80)).splitlines()[1:])) <= 80


def test_what_is_no_number_is_said(make) -> None:
    whole = made_result("bf16", make("generate"))
    nothing = replace(whole.quality, kl_nats=math.nan, kl_max_nats=math.nan, rms=math.nan,
                      bad_tokens=7)  # fmt: skip
    some = replace(whole.quality, bad_tokens=2)
    results = [
        replace(whole, quality=nothing, perplexity=math.nan),
        replace(whole, quality=some, perplexity=math.nan),
        replace(whole, perplexity=math.inf),
    ]
    table = quality_table(results)
    none, few, large = (cells(table, row) for row in (1, 2, 3))
    assert (none["KL (nat)"], none["perplexity"]) == ("NaN in 7 of 7", "NaN in 7 of 7")
    assert few["KL (nat)"] == f"{some.kl_nats:.3g} ± {some.kl_error_nats:.1g}"
    assert few["perplexity"] == "NaN in 2 of 7"
    assert large["perplexity"] == "overflow"
    assert {row["against fp32"] for row in (none, few, large)} == {"-"}
    errors = (LayerError("blk.0.attn", *[math.nan] * 4), LayerError("blk.0.ffn_up", -math.inf,
                                                              math.inf, 1.0, math.inf))  # fmt: skip
    broken = [replace(whole, errors=errors)]
    text = "".join(map(plain_table, (table, ops_table(broken), worst_ops_table(broken))))
    assert not {"nan", "inf", "+nan", "-inf"} & set(text.split())


def test_several_chips_are_all_named(make) -> None:
    results = [replace(made_result(f"{chip} bf16", make("generate")), chip=chip)
               for chip in ("a", "b", "b")]  # fmt: skip
    assert chip_names(results) == "a, b"
    assert "time and energy on a, b: " in quality_table(results).title


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "a b || x d"),
        ({"diverges_at": None}, "the same"),
        ({"text": "a b"}, "a b ||"),
        ({"text": "a b c d e"}, "a b c d || e"),
        ({"text": "a\nbad \x1b[2J"}, "a || bad ?[2J"),
        ({"text": " \n"}, "(no words)"),
        ({"text": "", "tokens": (2,)}, "(ends at once)"),
        (
            {"text": "a b", "tokens": (1, 2), "stopped": "no next token after 2: all NaN"},
            "a b || (no next token after 2: all NaN)",
        ),
        (
            {
                "text": "",
                "tokens": (),
                "diverges_at": 0,
                "stopped": "no next token after 0: all NaN",
            },
            "(no next token after 0: all NaN)",
        ),
        (
            {"diverges_at": None, "stopped": "no next token after 4: all NaN"},
            "the same (no next token after 4: all NaN)",
        ),
    ],
)
def test_the_text_is_marked_where_it_leaves_fp32(changes, text) -> None:
    assert continuation(made_result("int8", None, **changes)) == text


def test_pairs_tell_prompt_texts_and_arithmetic() -> None:
    pairs = dict(numerics_pairs([made_result("bf16", None, sums="k ascending")], [FP32]))
    assert pairs["prompt"] == "Say something."
    assert pairs["fp32 continues"] == "a b c d"
    assert pairs["order of sums"] == "k ascending"


def test_an_arithmetic_in_words() -> None:
    fp8 = MatrixArithmetic("fp8_e4m3", FusedSum(32, 13, 13))
    bf16 = MatrixArithmetic("bf16", FusedSum(16, 25))
    words = arithmetic_words(Arithmetic("c", fp8, bf16, stored="bf16", kv="fp8_e4m3"), "by channel")
    assert words == (
        "fp8_e4m3, fused sum (32 aligned to 13 bits, 13 bits kept) in fp32; attention and head "
        "bf16; vector unit fp32, stored as bf16, KV cache fp8_e4m3; by channel"
    )


def test_faults_have_a_table_only_if_there_are_any() -> None:
    assert not faults_table([made_result("bf16", None)]).rows
    tally = dict.fromkeys(
        ("flips", "check_flips", "corrected", "detected", "miscorrected", "undetected",
         "values_changed"), 1234,
    )  # fmt: skip
    table = faults_table([made_result("bf16", None, faults={"kv": tally})])
    assert table.rows[0] == ("bf16", "kv", "1,234", "1,234")
    assert [c.title for c in table.columns[2:]] == ["flipped data bits", "changed values"]
    assert "weights are struck once" in table.title
    assert "SECDED" not in table.title
    guarded = faults_table([made_result("bf16", None, faults={"kv": tally}, ecc="secded")])
    assert [c.title for c in guarded.columns[2:]] == [
        "flipped data bits", "flipped check bits", "corrected words", "detected words",
        "miscorrected words", "undetected words", "changed values",
    ]  # fmt: skip
    assert "12.5 % of the data" in guarded.title


def test_chips_are_set_against_the_first() -> None:
    first = made_result("a bf16", None)
    assert chips_table([first]).rows == ()
    difference = ChipDifference("a bf16", 0.25, math.nan, 3)
    other = made_result("b bf16", None, against_first_chip=difference)
    same = replace(other, variant="c bf16", against_first_chip=replace(
        difference, equal_logits=1.0, rms=0.0, texts_part_at=None))  # fmt: skip
    assert chips_table([first, other, same]).rows == (
        ("b bf16", "a bf16", "25 %", "NaN", "after 3 of 4"),
        ("c bf16", "a bf16", "100 %", "0", "never"),
    )


def test_a_run_without_tokens_has_no_speed(make) -> None:
    run = make("generate")
    nothing = made_result("bf16", run, tokens=(), stopped="no next token after 0")
    row = quality_table([nothing]).rows[1]
    titles = [column.title for column in quality_table([nothing]).columns]
    cells = dict(zip(titles, row, strict=True))
    assert (cells["tokens/s"], cells["J/token"], cells["tokens"]) == ("-", "-", "0")
    assert length_words([nothing]).endswith(" tokens in, 0 out")


def test_divergence_has_its_standard_error_and_large_changes_are_factors(make) -> None:
    quality = replace(made_result("bf16", None).quality, kl_nats=0.0123, kl_error_nats=0.00045)
    found = made_result("bf16", make("generate"), quality=quality, perplexity=5000.0)
    row = quality_table([found]).rows[1]
    assert "0.0123 ± 0.0004" in row
    assert "x 500" in row
