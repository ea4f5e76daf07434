"""Bad space files: refused before anything runs, with file, line, path and what to try."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import SpecError
from accelsim.explore.space import load_space
from tests.unit.explore.small_sweep import SMALL, space_of

BANDWIDTH = "{values: [2 TB/s, 4 TB/s, 8 TB/s]}"
CORES = "{values: [66, 132]}"
BAD = {
    "unknown top-level key": (("parameters:", "parametres:"), ["unknown key", "'parameters'"]),
    "no objectives": (("objectives: [latency_s, energy_j]\n", ""), ["objectives", "missing"]),
    "unknown objective": (("energy_j", "energy"), [":6", "'energy_j'"]),
    "objective twice": (("energy_j", "latency_s"), [":6", "twice"]),
    "objective of another phase": (("energy_j", "ttft_s"), [":6", "decode has no ttft_s"]),
    "bad direction": (("energy_j", "{maximise: mfu}"), [":6", "maximize"]),
    "unknown option": (("phase:", "phse:"), [":2", "'phase'"]),
    "unknown phase": (("decode", "decod"), [":2", "'decode'"]),
    "batch as text": (("input_len: 512", "input_len: '512'"), [":2", "whole number"]),
    "batch as truth value": (("input_len: 512", "input_len: true"), [":2", "whole number"]),
    "zero tokens": (("input_len: 512", "input_len: 0"), [":2", "from 1 to"]),
    "unknown chip": (("h100_sxm", "h10_sxm"), [":2", "'h100_sxm'"]),
    "chip twice": (("{chip:", "{system: dgx_h100, chip:"), [":2", "not both"]),
    "no chip": (("chip: h100_sxm, ", ""), ["'chip'", "missing"]),
    "no model": (("model: gpt2, ", ""), ["'model'", "missing"]),
    "unknown model": (("gpt2", "gtp2"), [":2", "'gpt2'"]),
    "model is a number": (("gpt2", "2"), [":2", "not a name"]),
    "wrong unit": (("4 TB/s", "4 TiB"), [":4", "memory.bandwidth", "is a size"]),
    "no unit": (("4 TB/s", "4"), [":4", "no unit"]),
    "unknown spec path": (("memory.band", "memory.bnad"), [":4", "'bandwidth'"]),
    "unknown spec section": (("memory.band", "memry.band"), [":4", "'memory"]),
    "no such unit in the chip": (("cores:", "core.matrix.7.count:"), [":5", "index below"]),
    "negative cores": (("132]", "-132]"), [":5", "between 1"]),
    "not a number": (("132]", ".nan]"), [":5", "finite"]),
    "no values": ((CORES, "{values: []}"), [":5", "at least one"]),
    "no parameters": ((f"\n  memory.bandwidth: {BANDWIDTH}\n  cores: {CORES}", " {}"), [":3"]),
    "a bare list": ((CORES, "[66, 132]"), [":5", "values: [...]"]),
    "misspelt values": ((CORES, "{value: [66, 132]}"), [":5", "'values'"]),
    "values and range": ((CORES, "{values: [1], range: {}}"), [":5", "either"]),
    "value twice": (("132]", "66]"), [":5", "twice"]),
    "range without end": ((CORES, "{range: {start: 1, num: 4}}"), [":5", "stop", "missing"]),
    "range of one": ((CORES, "{range: {start: 1, stop: 4, num: 1}}"), [":5", "num"]),
    "unknown scale": ((CORES, "{range: {start: 1, stop: 4, num: 2, scale: ln}}"), [":5", "log"]),
    "mixed units": ((BANDWIDTH, "{range: {start: 1 TB/s, stop: 9 GB/s, num: 3}}"), [":4", "same"]),
    "key twice": (("  cores:", "  memory.bandwidth:"), [":5", "twice"]),
    "a tag": (("[latency_s, energy_j]", "!!python/name:os.system x"), [":6", "tag"]),
    "broken YAML": (("512}", "512"), ["not valid YAML"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_spaces(tmp_path: Path, name: str) -> None:
    (old, new), says = BAD[name]
    assert old in SMALL
    with pytest.raises(SpecError) as caught:
        space_of(tmp_path, SMALL.replace(old, new))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "space.yaml"))
    for words in says:
        assert words in message


def test_more_than_a_million_points(tmp_path: Path) -> None:
    axes = "".join(
        f"  {name}: {{range: {{start: 1, stop: 2000, num: 2000}}}}\n"
        for name in ("batch", "input_len")
    )
    text = SMALL[: SMALL.index("  memory")] + axes + "objectives: [latency_s]\n"
    with pytest.raises(SpecError, match="4,000,000 points, the limit is 1,000,000"):
        space_of(tmp_path, text)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n"])
def test_not_a_space_at_all(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match="expected a mapping"):
        space_of(tmp_path, text)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot read"):
        load_space(tmp_path / "nowhere.yaml")
