"""Every way to write an arithmetic wrongly ends in one SpecError with file, line and path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.arch.arithmetic import architectures
from accelsim.arch.loader import load_chip
from accelsim.arch.schema import ChipSpec
from accelsim.errors import SpecError
from accelsim.files import SEARCH_PATH_VARIABLE, find_data
from tests.unit.arch.small_chip import line_of, write_chip
from tests.unit.arch.test_arithmetic import with_arithmetic

AT = "core.matrix.0.arithmetic"
FUSED = "family: fused_sum, block: 8, alignment_bits: 24"
# (text of the key, path of the complaint, what it says)
WRONG = [
    ("hoper", AT, "unknown arithmetic 'hoper', did you mean 'hopper'"),
    ("5", AT, "5 is not a name"),
    ("[hopper]", AT, "is not a name"),
    ("{value: 5}", AT, "5 is not a name"),
    ("{value: hopper, sauce: x}", AT, "unknown key 'sauce' beside 'value'"),
    ("{sums: {}}", f"{AT}.sums", "expected at least 1, it holds 0"),
    ("{}", f"{AT}.sums", "required key 'sums' is missing"),
    ("{sum: {}}", f"{AT}.sum", "unknown key 'sum', did you mean 'sums'"),
    ("{sums: {bf17: {family: chain}}}", f"{AT}.sums.bf17", "unknown dtype 'bf17': did you mean"),
    ("{sums: {bf16: {family: fuzed_sum}}}", f"{AT}.sums.bf16",
     "unknown family 'fuzed_sum', did you mean 'fused_sum'"),
    ("{sums: {bf16: {block: 8}}}", f"{AT}.sums.bf16", "required key 'family' is missing"),
    ("{sums: {bf16: {family: fused_sum, block: 8}}}", f"{AT}.sums.bf16.alignment_bits",
     "required key 'alignment_bits' is missing"),
    ("{sums: {bf16: {family: fused_sum, block: -8, alignment_bits: 24}}}",
     f"{AT}.sums.bf16.block", "-8 is not between 1"),
    ("{sums: {bf16: {family: fused_sum, block: 8, alignment_bits: 60}}}",
     f"{AT}.sums.bf16.alignment_bits", "60 is not between 1 and 40"),
    (f"{{sums: {{bf16: {{{FUSED}, blok: 8}}}}}}", f"{AT}.sums.bf16.blok",
     "unknown key 'blok', did you mean 'block'"),
    (f"{{sums: {{bf16: {{{FUSED}, group: 3}}}}}}", f"{AT}.sums.bf16",
     "block 8 is not a multiple of group 3"),
    (f"{{sums: {{bf16: {{{FUSED}, output: bf16}}}}}}", f"{AT}.sums.bf16.output", "'fp16'"),
    (f"{{sums: {{bf16: {{{FUSED}, operand: bf17}}}}}}", f"{AT}.sums.bf16.operand",
     "unknown number format 'bf17': did you mean 'bf16'"),
    ("{sums: {bf16: {family: pairwise_sum, group: 3}}}", f"{AT}.sums.bf16", "no balanced tree"),
    ("{sums: {bf16: {family: two_stage_sum, group: 5, interleaved: true}}}",
     f"{AT}.sums.bf16", "as many even as odd"),
    ("{sums: {bf16: {family: chain, precision: fp8}}}", f"{AT}.sums.bf16.precision", "'fp32'"),
    ("{sums: {bf16: {family: chain, fused: maybe}}}", f"{AT}.sums.bf16.fused",
     "expected true or false (got 'maybe')"),
    ("{sums: {bf16: {family: chain, operand: 5}}}", f"{AT}.sums.bf16.operand",
     "expected text (got 5)"),
    ("{sums: {bf16: 3}}", f"{AT}.sums.bf16", "expected a mapping (got 3)"),
    ("{sums: {bf16: {family: chain, fold: 8}}}", AT, "follows from its rows and dataflow"),
    ("{sums: {bf16: {family: integer}}}", AT, "bf16 cannot be summed by the family 'integer'"),
    ("{sums: {int8: {family: chain}}}", AT, "int8 cannot be summed by the family 'chain'"),
    ("{sums: {bf16: {family: chain}}, source: nowhere}", f"{AT}.source",
     "source 'nowhere' is not in 'sources'"),
    ("{value: hopper, status: estimated}", AT, "an estimated value needs a note"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "says"), WRONG, ids=[w[0][:60] for w in WRONG])
def test_a_wrong_arithmetic_is_placed(text: str, path: str, says: str, tmp_path: Path) -> None:
    spec = with_arithmetic(text)
    name = write_chip(tmp_path, spec)
    with pytest.raises(SpecError) as caught:
        load_chip(name)
    message = str(caught.value)
    assert message.startswith(f"{name}:{line_of(spec, 'arithmetic:')} {path}"), message
    assert says in message
    assert "\n" not in message


SHARED = """\
sources: {me: "a test"}
source: me
architectures:
  one:
    title: "One"
    sums:
      bf16: {family: chain}
"""


def write_shared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, old: str = "", new: str = ""
) -> None:
    specs = folder / "arch_specs"
    specs.mkdir()
    assert old in SHARED
    (specs / "arithmetic.yaml").write_text(SHARED.replace(old, new) if old else SHARED, "utf-8")
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, str(folder))


def test_ones_own_file_hides_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shared(tmp_path, monkeypatch)
    assert find_data("arch_specs", ".yaml")["arithmetic"].parent.parent == tmp_path
    assert list(architectures()) == ["one"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{family: chain}", "{family: chains}",
         r":7 architectures\.one\.sums\.bf16: unknown family 'chains', did you mean 'chain'"),
        ("source: me", "source: you", "source 'you' is not in 'sources'"),
        ("source: me", "source: me\nstatus: estimated", "an estimated value needs a note"),
        ('    title: "One"\n', "", r"architectures\.one\.title: the required key 'title'"),
        ("architectures:", "architecture:", "unknown key 'architecture', did you mean"),
    ],
)  # fmt: skip
def test_a_wrong_shared_file_is_placed(
    old: str, new: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shared(tmp_path, monkeypatch, old, new)
    with pytest.raises(SpecError, match=says):
        architectures()


def test_the_json_schema_knows_the_families() -> None:
    tree = ChipSpec.model_json_schema()
    text = json.dumps(tree)
    for word in ("fused_sum", "two_stage_sum", "alignment_bits", "pairwise_sum", "integer"):
        assert word in text
    for section in ("TensorCoreUnit", "SystolicUnit", "VectorUnit"):
        assert "arithmetic" in tree["$defs"][section]["properties"]
