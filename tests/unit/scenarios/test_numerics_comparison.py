"""Several chips and one fp32 run: who runs what, under which name, and what is refused together."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim import load_system
from accelsim.errors import AccelsimError, MappingError, SpecError, WorkloadError
from accelsim.scenarios.numerics import NumericsOptions
from accelsim.scenarios.numerics_comparison import NumericsComparison
from accelsim.scenarios.numerics_result import ChipDifference
from tests.unit.scenarios.tiny_study import TEXT, tiny_decoder, tiny_study

CHIPS = ("h100_sxm", "mi300x", "tpu_v5e")
TWO = ("h100_sxm", "tpu_v5e")


def compared(on=CHIPS, progress=None, **options):
    given = NumericsOptions(**{"prompt": "hello", "tokens": 4, "text": TEXT, **options})
    systems = [load_system(name) for name in on]
    return NumericsComparison(tiny_decoder(), systems, given, progress)


def test_every_chip_gives_what_it_gives_alone() -> None:
    for chip, found in zip(CHIPS, compared().measure(), strict=True):
        alone = tiny_study(chip).measure()
        assert (found.chip, found.variant, alone.variant) == (chip, f"{chip} bf16", "bf16")
        same = {**found.as_dict(), "variant": "bf16", "against_first_chip": None}
        assert same == alone.as_dict()
        assert np.array_equal(found.logits, alone.logits)


def test_fp32_runs_once_for_all() -> None:
    seen: list[str] = []
    comparison = compared(progress=lambda what, *_: seen.append(what))
    results = list(comparison.measure(["bf16", "int8-weight"]))
    names = [f"{chip} {variant}" for chip in CHIPS for variant in ("bf16", "int8-weight")]
    assert [result.variant for result in results] == names
    runs = list(dict.fromkeys(what.partition(":")[0] for what in seen))
    assert runs == ["fp32", *names]
    starts = [a for a, b in zip(seen, ["", *seen], strict=False) if a != b]
    assert starts.count("fp32: evaluating") == 1


def test_one_chip_keeps_plain_names() -> None:
    (found,) = compared(["tpu_v5e"]).measure(["bf16"])
    assert found.as_dict() == tiny_study().measure("bf16").as_dict()


def test_each_chip_runs_the_dtype_that_it_prefers() -> None:
    names = [a.name for a in compared(["h100_sxm", "v100_sxm", "tpu_v1"]).check()]
    assert names == ["h100_sxm bf16", "v100_sxm fp16", "tpu_v1 int8"]


def test_a_study_moves_to_another_chip_with_its_reference() -> None:
    seen: list[str] = []
    study = tiny_study(progress=lambda what, *_: seen.append(what))
    here, there = study.measure(), study.on("h100_sxm").measure()
    assert (here.variant, there.variant) == ("bf16", "h100_sxm bf16")
    assert here.reference_tokens == there.reference_tokens
    assert {what.partition(":")[0] for what in seen} == {"fp32", "bf16", "h100_sxm bf16"}
    with pytest.raises(SpecError, match="h100_sxn"):
        study.on("h100_sxn")


@pytest.mark.parametrize(
    ("variants", "kind", "told"),
    [
        (["bf16", "fp8"], MappingError, ["tpu_v5e has no fp8 matmul", "a dtype it has: bf16"]),
        (["int9", "fp8", "bf17"], WorkloadError,
         ["3 problems: (1) 'int9' is no dtype", "(2) 'bf17' is no dtype",
          "(3) tpu_v5e has no fp8 matmul"]),
        (["mxfp4"], MappingError, ["2 problems", "h100_sxm has no mxfp4", "tpu_v5e has no mxfp4"]),
        (["smoothquant:2", "int4-g32-weight-asym-x"], WorkloadError, ["(1) smooth is 2", "(2) "]),
    ],
)  # fmt: skip
def test_all_problems_are_told_at_once_and_first(variants, kind, told) -> None:
    seen: list[str] = []
    comparison = compared(TWO, progress=lambda what, *_: seen.append(what))
    for refuse in (comparison.check, comparison.measure):
        with pytest.raises(kind) as problem:
            refuse(variants)
        assert all(text in str(problem.value) for text in told), str(problem.value)
    assert seen == []


def test_problems_of_one_chip_are_told_at_once() -> None:
    with pytest.raises(AccelsimError, match=r"2 problems: \(1\) 'int9' .* \(2\) tpu_v5e has no"):
        tiny_study().check(["int9", "fp8", "bf16"])
    with pytest.raises(WorkloadError, match=r"2 problems: \(1\) 600 tokens .* \(2\) 'int9'"):
        tiny_study(prompt="a" * 600).check(["int9"])


def test_a_problem_of_one_chip_names_it() -> None:
    with pytest.raises(WorkloadError, match=r"tpu_v1: .*int8"):
        compared(["h100_sxm", "tpu_v1"]).check(["int4-weight"])


def test_unknown_chips_are_told_together() -> None:
    with pytest.raises(SpecError, match=r"2 problems: .*h100_sxn.*tpu_v5f"):
        NumericsComparison.load("smollm2-135m-instruct", ["h100_sxn", "mi300x", "tpu_v5f"])


@pytest.mark.parametrize(("on", "told"), [(["mi300x", "mi300x"], "mi300x, mi300x"), ([], "none")])
def test_chips_are_different_and_at_least_one(on, told) -> None:
    with pytest.raises(WorkloadError, match=f"chips are {told}: results are named after them"):
        compared(on)


def test_a_system_is_named_and_one_of_its_chips_runs() -> None:
    found = list(compared(["h100_sxm", "dgx_h100"]).measure())
    assert [one.variant for one in found] == ["h100_sxm bf16", "dgx_h100 bf16"]
    assert [one.chip for one in found] == ["h100_sxm", "h100_sxm"]
    assert not any("one h100_sxm is measured" in text for text in found[0].warnings)
    assert "dgx_h100 has 8 chips: one h100_sxm is measured" in found[1].warnings


def test_every_chip_is_set_against_the_first() -> None:
    first, twin, other = compared(("h100_sxm", "h200_sxm", "mi300x")).measure(["bf16"])
    assert first.against_first_chip is None
    assert twin.against_first_chip == ChipDifference("h100_sxm bf16", 1.0, 0.0, None)
    found = other.against_first_chip
    assert found is not None and found.equal_logits < 1 and 0 < found.rms < 1
    assert other.as_dict()["against_first_chip"]["variant"] == "h100_sxm bf16"
