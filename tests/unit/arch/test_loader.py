"""Specs that extend others, overrides by dotted path, systems, caching by content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from accelsim.arch.loader import load_chip, load_memory, load_system, spec_files
from accelsim.arch.raw import RawSpec, override, read_raw
from accelsim.documents import Document
from accelsim.errors import SpecError
from tests.unit.arch.small_chip import SMALL_CHIP, spoiled, write_chip

SMALL_SYSTEM = """\
name: cluster
title: "Eight of them"
chip: {chip}
sources: {{sheet: "Datasheet of a system that does not exist"}}
source: sheet
levels:
  - name: island
    topology: ring
    shape: [4]
    bandwidth: {{value: 20 GB/s, basis: bidirectional}}
    latency: 1 us
  - name: room
    topology: torus2d
    shape: [2, 3]
    bandwidth: {{value: 1 GB/s, basis: per_direction}}
    latency: 5 us
"""


# --- extends


def test_a_child_changes_only_what_it_says(tmp_path: Path) -> None:
    write_chip(tmp_path)
    child = write_chip(
        tmp_path, "extends: small.yaml\nname: child\nmemory: {capacity: 4 GB}\n", "child.yaml"
    )
    base, chip = load_chip(str(tmp_path / "small.yaml")), load_chip(child)
    assert chip.name == "child"
    assert chip.capacity_bytes == 4e9
    assert chip.bandwidth_bytes_per_s == base.bandwidth_bytes_per_s
    assert chip.spec.core == base.spec.core


def test_lists_and_annotated_values_are_replaced_whole(tmp_path: Path) -> None:
    write_chip(tmp_path)
    text = (
        "extends: small.yaml\nname: child\npower: {idle: 2 W}\n"
        "links: [{kind: only, bandwidth: {value: 1 GB/s, basis: per_direction}}]\n"
    )
    chip = load_chip(write_chip(tmp_path, text, "child.yaml"))
    assert [link.kind for link in chip.spec.links] == ["only"]
    assert chip.spec.power.idle_w == 2.0
    assert chip.spec.power.tdp_w == 5.0
    [idle] = [row for row in chip.provenance if row.path == "power.idle"]
    assert idle.status == "published"  # the parent's 'estimated' belonged to the parent's value


def test_grandparents_count(tmp_path: Path) -> None:
    write_chip(tmp_path)
    write_chip(tmp_path, "extends: small.yaml\nname: child\ncores: 3\n", "child.yaml")
    chip = load_chip(write_chip(tmp_path, "extends: child.yaml\nname: grandchild\n", "g.yaml"))
    assert (chip.name, chip.spec.cores) == ("grandchild", 3)


def test_a_packaged_chip_can_be_extended(tmp_path: Path) -> None:
    chip = load_chip(write_chip(tmp_path, "extends: h100_sxm\nname: h100_more\ncores: 144\n"))
    ratio = chip.peak_flop_per_s("bf16") / load_chip("h100_sxm").peak_flop_per_s("bf16")
    assert ratio == pytest.approx(144 / 132)


@pytest.mark.parametrize(
    "files",
    [
        {"a.yaml": "extends: a.yaml\n"},
        {"a.yaml": "extends: b.yaml\n", "b.yaml": "extends: a.yaml\n"},
        {"a.yaml": "extends: b.yaml\n", "b.yaml": "extends: ./a.yaml\n"},
        {"a.yaml": "extends: [b.yaml]\n"},
        {"a.yaml": "extends: 5\n"},
    ],
)
def test_a_cycle_ends_in_an_error(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        write_chip(tmp_path, text, name)
    with pytest.raises(SpecError, match="'extends' must name another chip"):
        load_chip(str(tmp_path / "a.yaml"))


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="unknown chip 'h101_sxm': did you mean 'h100_sxm'"):
        load_chip(write_chip(tmp_path, "extends: h101_sxm\n"))


# --- overrides


@pytest.mark.parametrize(
    ("path", "value", "seen"),
    [
        ("memory.bandwidth", "4 TB/s", lambda c: c.bandwidth_bytes_per_s == 4e12),
        ("cores", 4, lambda c: c.peak_flop_per_s("bf16") == 128e9),
        ("core.matrix.0.rows", 8, lambda c: c.peak_flop_per_s("bf16") == 128e9),
        ("core.matrix.0.macs_per_pe.bf16", 2, lambda c: c.peak_flop_per_s("bf16") == 128e9),
        ("calibration.vector_efficiency", 0.25, lambda c: c.calibration.vector_efficiency == 0.25),
        ("power.max_measured", "4 W", lambda c: c.spec.power.max_measured_w == 4.0),
    ],
)  # fmt: skip
def test_an_override_moves_the_answer(path: str, value: Any, seen: Any, tmp_path: Path) -> None:
    name = write_chip(tmp_path)
    before = load_chip(name)
    assert seen(load_chip(name, {path: value}))
    assert load_chip(name) is before, "the file's own chip stays as it was"
    assert not seen(before)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("memory.bandwith", "4 TB/s", "unknown key 'bandwith', did you mean 'bandwidth'"),
        ("memry.bandwidth", "4 TB/s", "no key 'memry', did you mean 'memory'"),
        ("core.matrix.1.rows", 8, "'1' is not an index below 1"),
        ("core.matrix.first.rows", 8, "'first' is not an index below 1"),
        ("core.matrix.-1.rows", 8, "'-1' is not an index below 1"),
        ("cores.x", 8, "'cores' is a plain value"),
        ("memory.bandwidth", "4 TB", "is a size"),
        ("memory.bandwidth", 4, "has no unit"),
        ("cores", 0, "not between"),
        ("", 1, "unknown key ''"),
    ],
)
def test_a_wrong_override_is_explained(path: str, value: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=says):
        load_chip(write_chip(tmp_path), {path: value})


@pytest.mark.parametrize("path", ["links.0.bandwidth", "links.0.bandwidth.value"])
def test_an_override_keeps_the_annotations(path: str, tmp_path: Path) -> None:
    changed = override(read_raw(write_chip(tmp_path), "chip"), {path: "20 GB/s"})
    annotated = changed.document.tree["links"][0]["bandwidth"]
    assert annotated["value"] == "20 GB/s"
    assert "basis" in annotated


def test_override_names_its_origin() -> None:
    with pytest.raises(SpecError, match=r"^override of x.yaml: 'a\.b\.c': no key 'b'"):
        override(RawSpec(Document({"a": {}}, "x.yaml"), (), ()), {"a.b.c": 1})


# --- systems


def small_system(folder: Path, text: str = SMALL_SYSTEM) -> str:
    chip = write_chip(folder)
    return write_chip(folder, text.format(chip=chip), "cluster.yaml")


def test_a_system_multiplies_its_levels(tmp_path: Path) -> None:
    system = load_system(small_system(tmp_path))
    assert system.chips == 4 * 2 * 3
    assert [level.size for level in system.levels] == [4, 6]
    assert [level.bandwidth_bytes_per_s for level in system.levels] == [10e9, 1e9]
    assert system.chip.name == "small"
    assert len(system.sources) == 2


def test_a_chip_is_a_system_of_one(tmp_path: Path) -> None:
    system = load_system(write_chip(tmp_path))
    assert (system.chips, system.levels, system.name) == (1, (), "small")


def test_overrides_reach_the_system_and_its_chip(tmp_path: Path) -> None:
    changes = {"levels.0.shape": [8], "chip.cores": 4}
    system = load_system(small_system(tmp_path), changes)
    assert system.chips == 8 * 6
    assert system.chip.spec.cores == 4


def test_overrides_of_a_bare_chip_need_no_prefix(tmp_path: Path) -> None:
    assert load_system(write_chip(tmp_path), {"cores": 4}).chip.spec.cores == 4
    assert load_system(write_chip(tmp_path), {"chip.cores": 4}).chip.spec.cores == 4


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("topology: ring", "topology: necklace", r"levels\.0\.topology"),
        ("shape: [4]", "shape: [0]", r"levels\.0\.shape\.0: 0 is not between"),
        ("shape: [4]", "shape: 4", r"levels\.0\.shape"),
        ("latency: 1 us", "latency: 1 GB", r"levels\.0\.latency: '1 GB' is a size"),
        ("basis: bidirectional", "basis: dense", r"levels\.0\.bandwidth: .*needs a basis"),
        (
            "source: sheet",
            "source: shet",
            "source 'shet' is not in 'sources', did you mean 'sheet'",
        ),
    ],
)
def test_a_wrong_system_is_placed(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=says):
        load_system(small_system(tmp_path, SMALL_SYSTEM.replace(old, new, 1)))


def test_a_system_of_an_unknown_chip(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(SMALL_SYSTEM.format(chip="h10_sxm"))
    with pytest.raises(SpecError, match="unknown chip 'h10_sxm': did you mean 'h100_sxm'"):
        load_system(str(path))


# --- memory and files


def test_memory_bandwidth_is_rate_times_width() -> None:
    assert load_memory("hbm3_5200").bandwidth_bytes_per_s == pytest.approx(5.2e9 * 1024 / 8)


def test_a_chip_knows_its_memory() -> None:
    memory = load_chip("h100_sxm").memory
    assert memory is not None
    assert memory.standard == "HBM3"


def test_sram_has_no_dram_standard(tmp_path: Path) -> None:
    assert load_chip(write_chip(tmp_path)).memory is None


def test_an_unedited_file_is_read_once(tmp_path: Path) -> None:
    name = write_chip(tmp_path)
    assert load_chip(name) is load_chip(name)


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    name = write_chip(tmp_path)
    assert load_chip(name).spec.cores == 2
    write_chip(tmp_path, spoiled("cores: 2", "cores: 3"))
    os.utime(name, ns=(0, 10**18))  # file systems with coarse time stamps
    assert load_chip(name).spec.cores == 3


def test_an_edited_parent_is_read_again(tmp_path: Path) -> None:
    parent = write_chip(tmp_path)
    child = write_chip(tmp_path, "extends: small.yaml\nname: child\n", "child.yaml")
    assert load_chip(child).spec.cores == 2
    write_chip(tmp_path, spoiled("cores: 2", "cores: 3"))
    os.utime(parent, ns=(0, 10**18))
    assert load_chip(child).spec.cores == 3


def test_a_users_folder_adds_chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "arch_specs" / "chips"
    folder.mkdir(parents=True)
    write_chip(folder, SMALL_CHIP)
    monkeypatch.setenv("ACCELSIM_PATH", str(tmp_path))
    assert "small" in spec_files("chip")
    assert load_chip("small").spec.vendor == "nobody"
