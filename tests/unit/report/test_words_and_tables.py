"""Do the sentences and tables say what the numbers say?"""

from __future__ import annotations

import pytest

from accelsim.report.tables import bounds_table, memory_table, ops_table, to_html, to_markdown
from accelsim.report.words import (
    answer,
    bottleneck_sentence,
    detail,
    memory_sentence,
    percent,
    rate,
    tokens,
)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0.0 %"), (0.0004, "<0.1 %"), (0.05, "5.0 %"), (0.714, "71 %"), (1.0, "100 %")],
)
def test_percent_keeps_two_digits(fraction, text):
    assert percent(fraction) == text


def test_integer_formats_do_operations_not_flop():
    assert rate(1.98e15, "int8") == "1.98 POP/s"
    assert rate(1.98e15, "fp8") == "1.98 PFLOP/s"


def test_bottleneck_sentence_names_resource_share_and_ops(result):
    memory_s = result.time_by_bound_s["memory"]
    share = round(100 * memory_s / sum(result.time_by_bound_s.values()))
    assert bottleneck_sentence(result) == (
        f"memory bandwidth limits {share} % of the time: up, down, qkv"
    )


def test_memory_sentence_says_how_much_is_missing(make):
    assert memory_sentence(make()) == "16.0 GB of 80.0 GB (20 %)"
    assert memory_sentence(make(capacity_bytes=12e9)) == (
        "16.0 GB of 12.0 GB: does not fit, 4.00 GB too much"
    )


def test_answer_has_units_and_energy_per_token(result):
    pairs = dict(answer(result))
    assert pairs["latency"].endswith("s")
    assert "per token" in pairs["energy"]
    assert "1.00 PFLOP/s bf16" in pairs["compute used (MFU)"]
    assert "time to first token" not in pairs
    assert tokens(result) == pytest.approx(16)


def test_detail_tells_cache_from_prompt(make):
    assert "1024 tokens in the cache" in detail(make("decode"))
    assert "1024 tokens in, 2 out" in detail(make("generate"))


def test_shares_of_the_ops_add_up(result):
    table = ops_table(result)
    share = [c.title for c in table.columns].index("share")
    total = sum(float(row[share].strip("<% ")) for row in table.rows)
    assert total == pytest.approx(100, abs=2)  # rounded to two digits each


def test_generate_groups_rows_by_stage(make):
    table = ops_table(make("generate"))
    assert table.breaks == (5,)
    assert table.rows[0][0] == "prefill: layer"
    assert table.rows[5][0] == "decode: layer"


def test_op_without_flop_shows_a_dash(result):
    row = dict(
        zip((c.title for c in ops_table(result).columns), ops_table(result).rows[0], strict=True)
    )
    assert (row["op"], row["FLOP"], row["FLOP/s"]) == ("norm", "-", "-")


def test_memory_table_leaves_out_empty_roles(result):
    names = [row[0] for row in memory_table(result).rows]
    assert names == ["weights", "KV cache", "total", "capacity"]


def test_narrower_table_keeps_the_essential_columns(result):
    titles = [c.title for c in ops_table(result).without_ranks_above(0).columns]
    assert titles == ["block", "op", "count", "total", "share", "bound"]


def test_renderers_escape_hostile_names(with_hostile_names):
    table = ops_table(with_hostile_names)
    assert "<b>" not in to_html(table)
    assert "\\|x" in to_markdown(table)


def test_markdown_has_one_line_per_row(result):
    lines = to_markdown(bounds_table(result)).splitlines()
    assert lines[2] == "| limited by | time | share |"
    assert len(lines) == 4 + len(result.time_by_bound_s)
