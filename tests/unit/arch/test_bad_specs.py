"""Every way to write a spec wrongly ends in one SpecError with file, line and dotted path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelsim.arch.loader import load_chip, load_memory, load_system
from accelsim.errors import SpecError
from tests.unit.arch.small_chip import SMALL_CHIP, line_of, spoiled, write_chip

# (what stands there, what replaces it, dotted path of the complaint, what it says)
WRONG_VALUES = [
    ("bandwidth: 16 GB/s", "bandwidth: 3.35 TiB", "memory.bandwidth", "is a size"),
    ("bandwidth: 16 GB/s", "bandwidth: 16", "memory.bandwidth", "16 has no unit"),
    ("bandwidth: 16 GB/s", "bandwidth: '16'", "memory.bandwidth", "'16' has no unit"),
    ("bandwidth: 16 GB/s", "bandwidth: -16 GB/s", "memory.bandwidth", "must be positive"),
    ("bandwidth: 16 GB/s", "bandwidth: 0 GB/s", "memory.bandwidth", "must be positive"),
    ("bandwidth: 16 GB/s", "bandwidth: nan GB/s", "memory.bandwidth", "not finite"),
    ("bandwidth: 16 GB/s", "bandwidth: inf GB/s", "memory.bandwidth", "not finite"),
    ("bandwidth: 16 GB/s", "bandwidth: .nan", "memory.bandwidth", "has no unit"),
    ("bandwidth: 16 GB/s", "bandwidth: [16 GB/s]", "memory.bandwidth", "has no unit"),
    ("bandwidth: 16 GB/s", "bandwidth: {value: 16 GB/s, sauce: sheet}", "memory.bandwidth",
     "unknown key 'sauce' beside 'value': did you mean 'source'"),
    ("bandwidth: 16 GB/s", "bandwidth: {source: sheet}", "memory.bandwidth", "the key 'value'"),
    ("bandwidth: 16 GB/s", "bandwidth: {value: 16 GB/s, status: gessed}", "memory.bandwidth",
     "status"),
    ("bandwidth: 16 GB/s", "bandwidth: {value: 16 GB/s, basis: sideways}", "memory.bandwidth",
     "basis"),
    ("clock: 1 GHz", "clock: 1 GB", "clock", "is a size, expected a frequency"),
    ("cores: 2", "cores: 0", "cores", "not between"),
    ("cores: 2", "cores: -2", "cores", "not between"),
    ("cores: 2", "cores: 2.5", "cores", "not a whole number"),
    ("cores: 2", "cores: two", "cores", "'two' is not a number"),
    ("cores: 2", "cores: true", "cores", "True is not a number"),
    ("cores: 2", "cores: .nan", "cores", "nan|NaN"),
    ("cores: 2", "cores: .inf", "cores", "number|between|finite"),
    ("cores: 2", "cores: 1e400", "cores", "number|between|finite"),
    ("cores: 2", "cores: 99999999999999999999", "cores", "not between"),
    ("cores: 2", "cores:", "cores", "None is not a number"),
    ("kind: asic", "kind: toaster", "kind", "expected 'gpu', .*toaster"),
    ("special_per_cycle: 2", "special_per_cycle: -1",
     "core.vector.special_per_cycle", "not between"),
    ("special_per_cycle: 2", "special_per_cycle: .nan",
     "core.vector.special_per_cycle", "not finite"),
    ("style: systolic", "style: quantum", "core.matrix.0", "systolic"),
    ("macs_per_pe: {int8: 2, bf16: 1}", "macs_per_pe: {int9: 2}", "core.matrix.0.macs_per_pe",
     "unknown dtype 'int9': did you mean 'int8'"),
    ("macs_per_pe: {int8: 2, bf16: 1}", "macs_per_pe: {}", "core.matrix.0.macs_per_pe", "mapping"),
    ("macs_per_pe: {int8: 2, bf16: 1}", "macs_per_pe: {note: later}", "core.matrix.0.macs_per_pe",
     "mapping|dtype"),
    ("macs_per_pe: {int8: 2, bf16: 1}", "macs_per_pe: 1", "core.matrix.0.macs_per_pe", "mapping"),
    ("macs_per_pe: {int8: 2, bf16: 1}", "macs_per_pe: {int8: fast}", "core.matrix.0.macs_per_pe",
     "int8: 'fast' is not a number"),
    ("macs_per_pe: {int8: 2, bf16: 1}", "macs_per_pe: {int8: 0}", "core.matrix.0.macs_per_pe",
     "int8: 0 is not between|positive"),
    ("{value: 3 GB/s, basis: per_direction}", "3 GB/s", "links.1.bandwidth", "needs a basis"),
    ("basis: per_direction", "basis: both", "links.1.bandwidth", "unknown basis 'both'"),
    ("memory_efficiency: 0.5", "memory_efficiency: 1.5",
     "calibration.memory_efficiency", "not between"),
    ("memory_efficiency: 0.5", "memory_efficiency: 0",
     "calibration.memory_efficiency", "not between"),
    ("name: small", "name: Small Chip!", "name", "expected text of the pattern .*'Small Chip!'"),
    ("name: small", "name: 5", "name", r"expected text \(got 5\)"),
    ("name: small", "name:", "name", r"expected text \(got nothing\)"),
    ("name: small", "name: [small]", "name", "expected text$"),
    ("name: small", f"name: {'a' * 70}", "name", "expected at most 64 characters .*aaa[.][.][.]"),
    ("shared: {capacity: 1 MiB, bandwidth: 100 GB/s}", "shared: 5", "shared",
     r"expected a mapping \(got 5\)"),
    ("process: {node: 7 nm}", "process:", "process", r"expected a mapping \(got nothing\)"),
    ("source: sheet", "source: you", "source", "source 'you' is not in 'sources', known: sheet"),
    ("{node: 7 nm}", "{node: {value: 7 nm, source: you}}", "process.node.source",
     "source 'you' is not in 'sources'"),
    ("cols: 4,", "cols: 4, whole_tiles: maybe,", "core.matrix.0.whole_tiles",
     r"expected true or false \(got 'maybe'\)"),
    ("cols: 4,", "cols: 4, dataflow: up,", "core.matrix.0.dataflow",
     r"expected 'weight_stationary', .* \(got 'up'\)"),
    ("inherits: nvidia_gpu", "inherits: nvidia_gpus", "calibration.inherits",
     "unknown family 'nvidia_gpus', did you mean 'nvidia_gpu'"),
    ("type: sram", "type: hbm3_5201", "memory.type", "unknown memory 'hbm3_5201', did you mean"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "says"), WRONG_VALUES, ids=lambda v: str(v)[:40])
def test_a_wrong_value_is_placed(old: str, new: str, path: str, says: str, tmp_path: Path) -> None:
    text = spoiled(old, new)
    name = write_chip(tmp_path, text)
    with pytest.raises(SpecError, match=says) as caught:
        load_chip(name)
    line = line_of(text, new)
    assert str(caught.value).startswith(f"{name}:{line} {path}"), str(caught.value)
    assert "\n" not in str(caught.value)


UNKNOWN_KEYS = [
    ("cores: 2", "cores: 2\ncoers: 2", "coers", "cores"),
    ("capacity: 2 GB", "capacity: 2 GB, bandwith: 1 GB/s", "memory.bandwith", "bandwidth"),
    ("rows: 4", "rows: 4, row: 4", "core.matrix.0.row", "rows"),
    ("special_per_cycle: 2", "special_per_cycle: 2\n    special_per_cycles: 2",
     "core.vector.special_per_cycles", "special_per_cycle"),
    ("memory_efficiency: 0.5", "matrix_eficiency: 0.5",
     "calibration.matrix_eficiency", "matrix_efficiency"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "nearest"), UNKNOWN_KEYS, ids=lambda v: str(v)[:30])
def test_an_unknown_key_names_the_nearest(
    old: str, new: str, path: str, nearest: str, tmp_path: Path
) -> None:
    name = write_chip(tmp_path, spoiled(old, new))
    with pytest.raises(SpecError, match=f"{re.escape(path)}: unknown key .*'{nearest}'"):
        load_chip(name)


MISSING_KEYS = [
    ("cores: 2\n", "cores"),
    ("clock: 1 GHz\n", "clock"),
    ("type: sram, ", "memory.type"),
    ("bandwidth: 32 B/cycle", "core.scratchpad.bandwidth"),
    ("rows: 4, ", "core.matrix.0.rows"),
    ("inherits: nvidia_gpu, ", "calibration.inherits"),
]


@pytest.mark.parametrize(("fragment", "path"), MISSING_KEYS)
def test_a_missing_key_is_named(fragment: str, path: str, tmp_path: Path) -> None:
    name = write_chip(tmp_path, spoiled(fragment, ""))
    key = path.rpartition(".")[2]
    with pytest.raises(SpecError, match=f"{re.escape(path)}: the required key '{key}' is missing"):
        load_chip(name)


def test_a_wrong_value_is_told_before_what_is_missing(tmp_path: Path) -> None:
    name = write_chip(tmp_path, "name: x\nmemory:\n  bandwidth: 3.35 TiB\n")
    with pytest.raises(
        SpecError, match=r"small\.yaml:3 memory\.bandwidth: '3.35 TiB' is a size.*missing: title, "
    ):
        load_chip(name)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = spoiled("cores: 2", "cores: -2").replace("clock:", "clok:")
    with pytest.raises(
        SpecError, match=r"cores: -2 is not .*; line \d+ clok: unknown .*'clock' is missing"
    ):
        load_chip(write_chip(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("!!python/object/apply:os.system ['touch pwned']\n", "tag"),
        (spoiled("cores: 2", "cores: 2\ncores: 3"), "the key 'cores' stands twice"),
        ("- a\n- b\n", "expected a mapping"),
        ("just text", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: &a [*a]", "without bound"),
        (spoiled('sheet: "Datasheet', 'sheeet: "Datasheet'), "source 'sheet' is not in 'sources'"),
        (spoiled('  sheet: "Datasheet of a chip that does not exist"', "  - sheet"), "sources"),
        (spoiled(', note: "a fifth"', ""), r"power\.idle: an estimated value needs a note"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_wrong_document_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=says):
        load_chip(write_chip(tmp_path, text))
    assert not Path("pwned").exists()


def test_a_peak_is_dense(tmp_path: Path) -> None:
    text = SMALL_CHIP + "published_peaks: {bf16: {value: 128 GFLOP/s, basis: sparse}}\n"
    with pytest.raises(SpecError, match=r"published_peaks: bf16: .*(dense|sparse)"):
        load_chip(write_chip(tmp_path, text))


def test_a_chip_that_multiplies_nothing_is_refused(tmp_path: Path) -> None:
    unit = "    - {style: systolic, rows: 4, cols: 4, macs_per_pe: {int8: 2, bf16: 1}}\n"
    text = spoiled("  matrix:\n" + unit, "  matrix: []\n")
    with pytest.raises(SpecError, match=r"matmul|matrix"):
        load_chip(write_chip(tmp_path, text))


@pytest.mark.parametrize(
    ("kind", "load"),
    [("chip", load_chip), ("memory", load_memory), ("chip or system", load_system)],
)
def test_an_unknown_name_suggests_the_nearest(kind, load) -> None:
    wrong = {"memory": ("hbm3_520", "hbm3_5200")}.get(kind, ("h10_sxm", "h100_sxm"))
    with pytest.raises(
        SpecError, match=f"unknown {kind} '{wrong[0]}': did you mean .*'{wrong[1]}'"
    ):
        load(wrong[0])


@pytest.mark.parametrize("load", [load_chip, load_memory, load_system])
def test_a_missing_file_is_named(load, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read .*nope\.yaml"):
        load(str(tmp_path / "nope.yaml"))


def test_the_small_chip_itself_is_right(tmp_path: Path) -> None:
    assert load_chip(write_chip(tmp_path, SMALL_CHIP)).name == "small"


@pytest.mark.parametrize("key", ["chain", "integer", "tensor_core", "systolic", "by_name", "sums"])
def test_an_unknown_key_with_the_name_of_a_style_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(SpecError, match=rf" {key}: unknown key '{key}'"):
        load_chip(write_chip(tmp_path, f"{SMALL_CHIP}\n{key}: 3\n"))
    for there in ("cores: 2", "{style: systolic,"):
        inside = there.startswith("{")
        text = spoiled(there, f"{there} {key}: 3," if inside else f"{there}\ndie: {{{key}: 3}}")
        place = r"core\.matrix\.0" if inside else "die"
        with pytest.raises(SpecError, match=rf"{place}\.{key}: unknown key '{key}', (did|known)"):
            load_chip(write_chip(tmp_path, text))
