"""Does `show` tell derived figures, calibration and the source of every value?"""

from __future__ import annotations

import json

import pytest

from accelsim.arch.loader import load_chip, load_memory
from accelsim.arch.raw import spec_files
from accelsim.arithmetic import Chain, FusedSum, IntegerSum, PairwiseSum, SumFamily, TwoStageSum
from accelsim.report.model_tables import model_data, model_tables
from accelsim.report.spec_tables import (
    chip_data,
    chip_tables,
    memory_data,
    memory_tables,
    sum_words,
)
from accelsim.report.words import percent
from accelsim.workload.models import load_model, model_files


def test_chip_data_are_json_with_derived_values():
    data = json.loads(json.dumps(chip_data(load_chip("h100_sxm")), allow_nan=False))
    assert data["derived"]["peak_flop_per_s"]["bf16"] == pytest.approx(989.4e12, rel=1e-3)
    assert data["derived"]["ridge_flop_per_byte"]["bf16"] == pytest.approx(295, rel=1e-2)
    assert {"path", "text", "status", "basis", "source", "note"} == set(data["values"][0])
    assert all(row["source"] in data["sources"] for row in data["values"])


@pytest.mark.parametrize("name", sorted(spec_files("chip")))
def test_every_chip_can_be_shown(name):
    tables = chip_tables(load_chip(name))
    assert len(tables) == 6
    assert all(table.rows for table in tables)


def test_a_chip_shows_what_reads_alone_sustain():
    chip = load_chip("h100_sxm")
    data = chip_data(chip)["derived"]
    reads = data["sustained_read_bytes_per_s"] / data["bandwidth_bytes_per_s"]
    assert chip.memory_efficiency < reads < 1
    calibration = next(t for t in chip_tables(chip) if t.title == "Calibration in force")
    assert ("  of reads alone", percent(reads)) in [row[:2] for row in calibration.rows]


def test_memory_can_be_shown():
    memory = load_memory("hbm3_5200")
    assert memory_data(memory)["derived"]["bandwidth_bytes_per_s"] == pytest.approx(665.6e9)
    assert ("one access", "32 B") in memory_tables(memory)[0].rows


@pytest.mark.parametrize("name", sorted(spec_files("memory")))
def test_every_memory_shows_its_timings_and_energies(name):
    memory = load_memory(name)
    overview, timing, sources = memory_tables(memory)
    assert {"activate and precharge a row", "rows of a bank"} <= dict(overview.rows).keys()
    assert {row[0] for row in timing.rows} >= {"tCL", "tRCDRD", "tFAW", "tREFI"}
    assert sources.rows
    data = json.loads(json.dumps(memory_data(memory), allow_nan=False))
    parameter = data["timing"]["parameters"]["tRC"]
    assert parameter["time_s"] == pytest.approx(
        parameter["cycles"] * data["timing"]["clock_period_s"]
    )


def test_a_memory_without_timing_can_be_shown():
    bare = load_memory("ddr3_2133").model_copy(
        update={"timing": None, "command_energy": None, "capacity_bytes": None}
    )
    overview, _ = memory_tables(bare)
    assert dict(overview.rows)["timing is"] == "not stated"
    assert dict(overview.rows)["rows of a bank"] == "varies"
    assert "timing" not in memory_data(bare)


def test_a_timing_reads_as_in_the_datasheet():
    timing = memory_tables(load_memory("hbm3_6400"))[1]
    rows = {row[0]: row for row in timing.rows}
    assert timing.title == "Timing at tCK = 0.625 ns, burst of 2 nCK"
    assert rows["tRCDRD"] == ("tRCDRD", "activate to read", "19.375 ns", "31", "19.38")
    assert rows["tRPab"][2] == "as tRP"
    assert rows["tREFIpb"][2:4] == ("tREFI / 32 banks", "195")
    assert "tCS" not in rows, "what is neither stated nor derived is left out"


@pytest.mark.parametrize("name", sorted(model_files()))
def test_every_model_can_be_shown(name):
    model = load_model(name)
    json.dumps(model_data(model), allow_nan=False)
    (table,) = model_tables(model)
    assert dict(table.rows)["layers"].startswith(str(model.n_layers))


def test_model_sizes_in_words():
    rows = dict(model_tables(load_model("llama3.1-8b"))[0].rows)
    assert rows["parameters"] == "8.030 B (8,030,261,248)"
    assert rows["attention"] == "GQA: 32 heads, 8 KV heads of 128"
    assert rows["KV cache per token"] == "131 kB (131,072 bytes)"


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (TwoStageSum(8), "8 aligned to 24 bits, then sum to 31 and accumulator to 24"),
        (TwoStageSum(16, 25, 30, 22, interleaved=True),
         "16 aligned to 25 bits, even and odd k apart, then sum to 30 and accumulator to 22"),
        (FusedSum(64, 35, group=16), "64 aligned to 35 bits, exact in groups of 16"),
        (FusedSum(32, 13, 13), "32 aligned to 13 bits, 13 bits kept"),
        (PairwiseSum(4, flush_subnormals=True), "trees of 4, subnormals flushed"),
        (IntegerSum(saturate=True), "exact, saturating"),
    ],
)  # fmt: skip
def test_sums_in_words(sums: SumFamily, words: str):
    assert sum_words(sums) == words


def test_sums_that_differ_are_told_apart():
    kinds = [
        Chain(), Chain(fused=False), Chain(fold=8), Chain(flush_subnormals=True), FusedSum(8, 24),
        FusedSum(4, 24), FusedSum(8, 25), FusedSum(8, 24, 13), FusedSum(8, 24, group=2),
        PairwiseSum(2), PairwiseSum(4), TwoStageSum(8), TwoStageSum(8, accumulator_bits=25),
        TwoStageSum(8, sum_bits=30), TwoStageSum(8, product_bits=23), IntegerSum(),
        TwoStageSum(8, interleaved=True), IntegerSum(saturate=True),
    ]  # fmt: skip
    assert len({sum_words(kind) for kind in kinds}) == len(kinds)
