"""Space files: what is read from good ones."""

from __future__ import annotations

import json
from pathlib import Path

from accelsim.explore.grid import Objective
from accelsim.explore.space import SpaceSpec, load_space
from tests.unit.explore.small_sweep import SMALL, space_of

CHIP = """\
extends: h100_sxm
name: mine
title: A variant
memory: {bandwidth: 5 TB/s}
"""


def test_a_good_file(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    assert space.size == 6
    assert space.text == SMALL
    assert space.objectives == (Objective("latency_s"), Objective("energy_j"))
    assert space.point(3).overrides == {"chip.memory.bandwidth": "4 TB/s", "chip.cores": 132}


def test_objectives_know_their_natural_direction_and_can_be_told(tmp_path: Path) -> None:
    text = SMALL.replace(
        "[latency_s, energy_j]", "[tokens_per_s, {maximize: energy_j}, {minimize: mfu}, tpot_s]"
    )
    assert space_of(tmp_path, text).objectives == (
        Objective("tokens_per_s", maximize=True),
        Objective("energy_j", maximize=True),
        Objective("mfu"),
        Objective("tpot_s"),
    )


def test_chips_models_and_systems_can_vary(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(CHIP, encoding="utf-8")
    space = space_of(
        tmp_path,
        "base: {model: gpt2, tp: 1}\n"
        "parameters:\n"
        "  on: {values: [h100_sxm, dgx_h100, mine.yaml]}\n"
        "  memory.bandwidth: {values: [3 TB/s]}\n"
        "  dtype: {values: [bf16, null]}\n"
        "objectives: [latency_s]\n",
    )
    assert [space.point(i).on for i in (0, 2, 4)] == [
        "h100_sxm", "dgx_h100", str(tmp_path / "mine.yaml")
    ]  # fmt: skip


def test_a_value_that_only_some_chips_accept_is_legal(tmp_path: Path) -> None:
    text = SMALL.replace(
        "  cores: {values: [66, 132]}\n",
        "  chip: {values: [h100_sxm, tpu_v4]}\n  core.matrix.0.rows: {values: [64, 256]}\n",
    )
    assert space_of(tmp_path, text).size == 12


def test_the_fingerprint_follows_what_decides_the_rows(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(CHIP, encoding="utf-8")
    mine = SMALL.replace("h100_sxm", "mine.yaml")
    first = space_of(tmp_path, mine).fingerprint
    assert space_of(tmp_path, "# another comment\n" + mine).fingerprint == first
    assert space_of(tmp_path, mine.replace("energy_j", "mfu")).fingerprint == first
    assert space_of(tmp_path, mine.replace("512", "513")).fingerprint != first
    (tmp_path / "mine.yaml").write_text(CHIP.replace("5 TB/s", "6 TB/s"), encoding="utf-8")
    assert load_space(tmp_path / "space.yaml").fingerprint != first


def test_the_json_schema_names_phases_and_metrics() -> None:
    schema = SpaceSpec.model_json_schema()
    text = json.dumps(schema)
    assert schema["required"] == ["base", "parameters", "objectives"]
    assert schema["properties"]["base"]["properties"]["phase"]["enum"][1] == "decode"
    assert '"maximize"' in text
    assert '"tokens_per_s"' in text
