"""Is a SCALE-Sim configuration read as its users mean it, and every mistake in it named?"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.arch.scalesim import load_scalesim_config
from accelsim.errors import SpecError

FULL = """\
# A remark.
[general]
run_name = toy

[architecture_presets]
ArrayHeight:    8
ArrayWidth:     4
IfmapSramSzkB:  64
FilterSramSzkB: 32
OfmapSramSzkB:  16
IfmapOffset:    0
FilterOffset:   10000000
Dataflow : os
Bandwidth : 10
MemoryBanks: 1

[sparsity]
SparsitySupport : false
BlockSize : 8

[run_presets]
InterfaceBandwidth: USER
"""


@pytest.fixture
def cfg(tmp_path: Path):
    def write(old: str = "", new: str = "", text: str = FULL) -> Path:
        assert old in text
        path = tmp_path / "array.cfg"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return write


def test_every_key_that_decides_something(cfg):
    config = load_scalesim_config(cfg())
    array, buffers = config.array, config.array.buffers
    assert (array.name, array.dataflow, array.rows, array.cols) == ("toy", "os", 8, 4)
    assert (buffers.a_words, buffers.b_words, buffers.c_words) == (65536, 32768, 16384)
    assert buffers.a_words_per_cycle == buffers.b_words_per_cycle == buffers.c_words_per_cycle == 10
    assert not config.sparse
    assert config.warnings == ()


def test_keys_without_effect_are_named_once(cfg):
    config = load_scalesim_config(cfg("BlockSize : 8", "BlockSize : 8\nMemoryBanks: 2"))
    assert config.unused == ("IfmapOffset", "FilterOffset", "MemoryBanks", "BlockSize")


def test_calc_mode_has_no_limit_and_needs_no_bandwidth(cfg):
    text = FULL.replace("Bandwidth : 10\n", "").replace("USER", "calc")
    buffers = load_scalesim_config(cfg(text=text)).array.buffers
    assert buffers.a_words_per_cycle is None
    assert buffers.c_words_per_cycle is None


def test_bandwidth_may_be_a_fraction(cfg):
    config = load_scalesim_config(cfg("Bandwidth : 10", "Bandwidth : 2.5"))
    assert config.array.buffers.b_words_per_cycle == Fraction(5, 2)


def test_of_several_bandwidths_the_first_counts_and_that_is_said(cfg):
    config = load_scalesim_config(cfg("Bandwidth : 10", "Bandwidth : 10, 20"))
    assert config.array.buffers.c_words_per_cycle == 10
    assert "array.cfg:14" in config.warnings[0]
    assert "first of the figures, 10" in config.warnings[0]
    assert load_scalesim_config(cfg("Bandwidth : 10", "Bandwidth : 10, 10,")).warnings == ()


def test_case_byte_order_mark_and_line_ends_do_not_matter(tmp_path):
    path = tmp_path / "array.cfg"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.upper().replace("\n", "\r\n").encode())
    assert load_scalesim_config(path).array.cols == 4


def test_a_run_without_a_name_has_that_of_its_file(cfg):
    assert load_scalesim_config(cfg("run_name = toy", "")).array.name == "array"


def test_what_is_switched_on_and_not_modelled_is_a_warning(cfg):
    path = cfg("USER", "USER\nUseRamulatorTrace: True\nIfmapCustomLayout: False")
    config = load_scalesim_config(path)
    assert len(config.warnings) == 1
    assert "array.cfg:23" in config.warnings[0]
    assert "UseRamulatorTrace" in config.warnings[0]


def test_sparsity_support(cfg):
    assert load_scalesim_config(cfg("SparsitySupport : false", "SparsitySupport : true")).sparse


MISTAKES = {
    "no section": (FULL, "", ("[run_presets] InterfaceBandwidth", "missing")),
    "no array section": ("[architecture_presets]", "[architecture]", ("belongs to",)),
    "missing key": ("ArrayWidth:     4\n", "", ("[architecture_presets] ArrayWidth", "missing")),
    "blank value": ("ArrayWidth:     4", "ArrayWidth:", ("array.cfg:7", "missing")),
    "misspelt key": ("ArrayWidth", "ArrayWidht", ("array.cfg:7", "did you mean 'ArrayWidth'?")),
    "key in the wrong section": ("run_name", "Dataflow: ws\nrun_name", ("array.cfg:3", "belongs")),
    "no number": ("ArrayHeight:    8", "ArrayHeight: many", ("array.cfg:6", "many", "from 1 to")),
    "zero": ("ArrayHeight:    8", "ArrayHeight: 0", ("array.cfg:6", "from 1 to 65536")),
    "negative": ("SramSzkB:  64", "SramSzkB: -64", ("array.cfg:8", "-64")),
    "fraction": ("SramSzkB:  64", "SramSzkB: 0.5", ("array.cfg:8", "whole number")),
    "too large": ("ArrayHeight:    8", "ArrayHeight: 65537", ("65537",)),
    "absurdly large": ("ArrayHeight:    8", "ArrayHeight: " + 5000 * "9", ("array.cfg:6",)),
    "unknown dataflow": ("Dataflow : os", "Dataflow : rs", ("array.cfg:13", "'rs'", "ws")),
    "unknown mode": ("USER", "AUTO", ("array.cfg:22", "CALC", "USER")),
    "no bandwidth in user mode": ("Bandwidth : 10\n", "", ("Bandwidth", "missing")),
    "zero bandwidth": ("Bandwidth : 10", "Bandwidth : 0", ("array.cfg:14", "positive")),
    "code for a bandwidth": ("Bandwidth : 10", "Bandwidth : 1/3", ("array.cfg:14", "'1/3'")),
    "no truth value": (": false", ": perhaps", ("array.cfg:18", "perhaps")),
    "stray line": ("Dataflow : os", "Dataflow os", ("array.cfg:13", "neither")),
    "key before a section": ("[general]\n", "", ("array.cfg:2", "before the first")),
    "key twice": ("ArrayWidth", "ArrayHeight", ("array.cfg:7", "twice")),
    "section twice": ("[sparsity]", "[GENERAL]", ("array.cfg:17", "twice")),
    "control character in a name": ("toy", "to\x1b[31my", ("array.cfg:3", "U+001B")),
    "control character in a key": ("MemoryBanks", "Memory\x07Banks", ("array.cfg:15", "U+0007")),
    "mark that turns text around": ("toy", "to\u202ey", ("array.cfg:3", "U+202E")),
    "too many keys": ("Dataflow", "\n".join(f"z{i}=1" for i in range(1001)), ("1000 keys",)),
    "random sparsity": (
        "Support : false", "Support : true\nOptimizedMapping: true", ("array.cfg:19", "at random"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_with_file_and_line(cfg, old, new, words):
    with pytest.raises(SpecError) as raised:
        load_scalesim_config(cfg(old, new))
    message = str(raised.value)
    assert "array.cfg" in message
    assert all(word in message for word in words), message
    assert len(message) < 300


def test_hostile_files_are_refused(tmp_path):
    path = tmp_path / "array.cfg"
    with pytest.raises(SpecError, match=r"cannot read .*array\.cfg"):
        load_scalesim_config(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_scalesim_config(path)
    path.write_bytes(b"#" * (9 * 2**20))
    with pytest.raises(SpecError, match="larger than"):
        load_scalesim_config(path)
    path.write_text(FULL.replace("toy", "%(run_name)s ${x}"), encoding="utf-8")
    assert load_scalesim_config(path).array.name == "%(run_name)s ${x}"


@pytest.mark.parametrize("line", ["[{}x", "[x{}", "a{}", "{}a", "a{}b", "={}", "[{}]x", "[{}["])
def test_blanks_without_end_are_read_in_linear_time(cfg, line):
    """Once 13 s for 3,000 of them; 200,000 never ended."""
    with pytest.raises(SpecError, match=r"array\.cfg:1: .*neither"):
        load_scalesim_config(cfg(text=line.format(" " * 200_000)))


def test_blanks_around_names_and_values_do_not_matter(cfg):
    blanks = " " * 200_000
    text = FULL.replace("[general]", f"[{blanks}general\t]")
    text = text.replace("run_name = ", f"run_name{blanks}=")
    assert load_scalesim_config(cfg(text=text)).array.name == "toy"
    assert load_scalesim_config(cfg("= toy", "= a:b=c")).array.name == "a:b=c"
    assert load_scalesim_config(cfg("toy", "t" * 200)).array.name == "t" * 80


@given(
    lines=st.lists(
        st.sampled_from(
            [*FULL.splitlines(), "[", "]", "[]", "=", ":", "a", "a=", "=b", "Bandwidth: 1e9", "%("]
        ),
        max_size=30,
    )
)
def test_any_lines_are_read_or_refused(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("cfg") / "array.cfg"
    path.write_text("\n".join(lines))
    try:
        assert load_scalesim_config(path).array.buffers is not None
    except SpecError as error:
        assert str(path) in str(error)
