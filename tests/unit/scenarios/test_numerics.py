"""Weights on a chip: what a variant gives, against fp32 and against the timing of the same run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

import accelsim
from accelsim.errors import AccelsimError, MappingError, SpecError, WorkloadError
from accelsim.functional.arithmetics import preferred_dtype, resolve_arithmetic
from accelsim.functional.chat import ChatFormat
from accelsim.functional.faults import FaultPlan, Place
from accelsim.functional.quality import LogitQuality, perplexity
from accelsim.functional.sampler import Sampler
from accelsim.functional.tokenizer import Tokenizer
from accelsim.functional.weights.packaged import locate
from accelsim.scenarios.numerics import NumericsOptions, NumericsStudy
from accelsim.scenarios.numerics_result import NumericsResult
from tests.unit.functional.transformer.tiny_models import CONFIGS
from tests.unit.scenarios.tiny_study import (
    CONFIG,
    TEXT,
    VOCABULARY,
    Letters,
    tiny_decoder,
    tiny_study,
    with_context,
)

VARIANTS = ("bf16", "int8", "int4-g128", "smoothquant", "mxfp4-weight")
LAYER_OPS = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn", "attn_output", "attn_add",
             "ffn_norm", "ffn_up", "ffn_gate", "ffn_act", "ffn_down", "ffn_add")  # fmt: skip


@pytest.fixture(scope="module")
def results() -> dict[str, NumericsResult]:
    """All variants of one study."""
    study = tiny_study()
    return {variant: study.measure(variant) for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fields_of_a_result_agree(results: dict[str, NumericsResult], variant: str) -> None:
    found = results[variant]
    assert (found.variant, found.chip, found.model) == (variant, "tpu_v5e", "tiny")
    assert (found.prompt, len(found.tokens), len(found.reference_tokens)) == ("hello", 4, 4)
    assert found.text == Letters().decode(found.tokens)
    assert found.reference_text == Letters().decode(found.reference_tokens)
    same = [a == b for a, b in zip(found.tokens, found.reference_tokens, strict=True)]
    assert found.diverges_at == (None if all(same) else same.index(False))
    assert found.logits is not None
    assert found.reference_logits is not None
    shape, text = (len(TEXT), VOCABULARY), Letters().encode(TEXT)  # so few logits are all kept
    assert found.perplexity == perplexity(found.logits.reshape(shape), text)
    assert found.reference_perplexity == perplexity(found.reference_logits.reshape(shape), text)
    difference = found.logits.astype(np.float64) - found.reference_logits
    assert found.quality.rms == pytest.approx(float(np.sqrt((difference**2).mean())))
    assert found.quality.max_abs == np.abs(difference).max() > 0
    assert found.quality.tokens == len(TEXT)
    names = [f"blk.{i}.{op}" for i in (0, 1) for op in LAYER_OPS]
    assert [error.name for error in found.errors] == ["token_embd", *names, "output_norm",
                                                     "logits"]  # fmt: skip
    assert (found.faults, found.nonfinite_weights) == ({}, {})


def test_fewer_bits_are_further_from_fp32(results: dict[str, NumericsResult]) -> None:
    rms = [results[variant].quality.rms for variant in ("bf16", "int8", "int4-g128")]
    assert rms == sorted(rms)
    bits = [results[variant].weight_bits for variant in VARIANTS]
    assert bits == [16, 8, 4 + 32 / 128, 8, 4.25]
    assert [bool(results[variant].scheme) for variant in VARIANTS] == [False] + 4 * [True]
    references = [found.reference_logits for found in results.values()]
    assert all(np.array_equal(reference, references[0]) for reference in references)


@pytest.mark.parametrize(
    ("variant", "timed"),
    [("bf16", {"dtype": "bf16"}), ("int8", {"dtype": "int8", "attention_dtype": "bf16"}),
     ("int4-g128", {"dtype": "bf16", "weight_dtype": "int4-g128"}),
     ("mxfp4-weight", {"dtype": "bf16", "weight_dtype": "mxfp4"})],
)  # fmt: skip
def test_the_timing_is_that_of_a_run_with_the_same_options(
    results: dict[str, NumericsResult], variant: str, timed: dict[str, Any]
) -> None:
    wanted = accelsim.run(
        CONFIG, "tpu_v5e", phase="generate", batch=1, input_len=5, output_len=4, **timed
    )
    found = results[variant]
    assert found.timing is not None
    assert found.timing.as_dict() == wanted.as_dict()
    assert (found.latency_s, found.energy_j) == (wanted.latency_s, wanted.energy_j)
    assert found.energy_per_token_j == wanted.energy_j / 4
    assert found.tokens_per_s == wanted.tokens_per_s
    assert set(wanted.warnings) <= set(found.warnings)


def test_without_new_tokens_the_prompt_is_timed_alone() -> None:
    found = tiny_study(tokens=0).measure()
    wanted = accelsim.run(CONFIG, "tpu_v5e", phase="prefill", batch=1, input_len=5, output_len=1,
                          dtype="bf16")  # fmt: skip
    assert (found.tokens, found.text, found.diverges_at) == ((), "", None)
    assert found.latency_s == wanted.latency_s


@pytest.mark.parametrize("variant", ["bf16", "int4-g128"])
def test_two_studies_give_the_same(results: dict[str, NumericsResult], variant: str) -> None:
    again = tiny_study().measure(variant)
    assert again.as_dict() == results[variant].as_dict()
    assert again.logits is not None
    assert again.logits.tobytes() == results[variant].logits.tobytes()  # type: ignore[union-attr]


@pytest.mark.parametrize("chip", ["epyc_9654", "h100_sxm", "mi300x"])
def test_fp32_of_a_plain_machine_is_the_reference(chip: str) -> None:
    found = tiny_study(chip, order="plain").measure("fp32")
    assert found.quality == LogitQuality(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, len(TEXT), 0, 0.0)
    assert (found.tokens, found.diverges_at) == (found.reference_tokens, None)
    assert found.perplexity == found.reference_perplexity
    assert {(e.sqnr_db, e.relative_rms, e.max_abs) for e in found.errors} == {(math.inf, 0.0, 0.0)}


def test_the_order_of_a_mapping_changes_bits() -> None:
    runs = [tiny_study("h100_sxm", order=order).measure("bf16") for order in ("mapped", "plain")]
    assert runs[0].logits is not None
    assert runs[1].logits is not None
    assert 0 < np.abs(runs[0].logits - runs[1].logits).max() < 1.0


@pytest.mark.parametrize("variant", VARIANTS)
def test_plain_values_are_json(results: dict[str, NumericsResult], variant: str) -> None:
    plain = results[variant].as_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again == plain
    assert "logits" not in plain
    assert again["quality"]["tokens"] == len(TEXT)
    assert again["errors"][0]["name"] == "token_embd"


@pytest.mark.parametrize(
    ("variant", "error", "told"),
    [
        ("fp32", MappingError, "no fp32 matmul"),
        ("fp64", MappingError, "no fp64 matmul"),
        ("fp8", MappingError, "no fp8 matmul"),
        ("mxfp4", MappingError, "no mxfp4 matmul"),
        (
            "int5",
            WorkloadError,
            "'int5' is no dtype and no .*: did you mean 'int8' or 'int4'",
        ),
        ("", WorkloadError, "'' is no dtype and no quantisation scheme"),
        ("bf17", WorkloadError, "'bf17' is no dtype .* did you mean 'bf16'"),
        ("int4-g0", WorkloadError, "g0|group"),
        ("int4-g", WorkloadError, "int4-g"),
    ],
)
def test_variants_that_a_chip_cannot_run_are_refused_before_the_run(
    variant: str, error: type[AccelsimError], told: str
) -> None:
    called: list[str] = []
    study = tiny_study(progress=lambda what, done, total: called.append(what))
    for refuse in (study.measure, lambda name: study.check([None, name])):
        with pytest.raises(error, match=told):
            refuse(variant)
    assert called == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"order": "random"}, "order is 'random', expected mapped or plain"),
        ({"order": ""}, "expected mapped or plain"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": " \n"}, "the prompt is empty"),
        ({"tokens": -1}, "tokens is -1, expected 0 or more"),
        ({"tokens": 1.5}, "tokens is 1.5, expected 0 or more, a whole number"),
        ({"tokens": "4"}, "tokens is '4'"),
        ({"tokens": True}, "tokens is True"),
        ({"tokens": float("nan")}, "tokens is nan"),
        ({"eval_tokens": 1}, "eval_tokens is 1, expected 2 or more"),
        ({"eval_tokens": -5}, "eval_tokens is -5"),
        ({"eval_tokens": 2.5}, "eval_tokens is 2.5"),
        ({"eval_tokens": None}, "eval_tokens is None"),
    ],
)
def test_options_are_checked_when_they_are_given(options: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkloadError, match=told):
        NumericsOptions(**options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dtype": "int9"}, "unknown dtype 'int9'"),
        ({"dtype": "fp32"}, "no fp32 matmul"),
        ({"kv_dtype": "int9"}, "unknown number format 'int9'"),
        ({"text": ""}, "fewer than two tokens"),
        ({"text": "a"}, "fewer than two tokens"),
        ({"prompt": "a" * 601, "tokens": 0}, "601 tokens and 0 new ones exceed the context of 600"),
        ({"tokens": 10**9}, "exceed the context of 600 of tiny"),
    ],
)
def test_options_that_do_not_fit_model_and_chip_are_refused(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(AccelsimError, match=told):
        tiny_study(**options).measure()
    with pytest.raises(AccelsimError, match=told):
        tiny_study(**options).check([None])


def test_the_evaluated_text_ends_with_the_context() -> None:
    model = tiny_decoder(with_context(CONFIG, 12))
    found = tiny_study(model=model, eval_tokens=10**12).measure()
    assert found.quality.tokens == 12
    assert tiny_study(text=None, eval_tokens=300).measure().quality.tokens == 300


@pytest.mark.parametrize(
    ("chip", "dtype"), [("h100_sxm", "bf16"), ("v100_sxm", "fp16"), ("tpu_v1", "int8")]
)
def test_the_default_dtype_is_one_choice_for_all(chip: str, dtype: str) -> None:
    assert preferred_dtype(accelsim.load_chip(chip)) == dtype
    assert tiny_study(chip).check([None]) == [resolve_arithmetic(chip)]


def test_defaults_are_what_the_chip_has() -> None:
    default, named = tiny_study().measure(), tiny_study(dtype="bf16").measure("bf16")
    assert default.as_dict() == named.as_dict()
    assert [a.name for a in tiny_study().check([None, "int8"])] == ["tpu_v5e bf16", "tpu_v5e int8"]
    emulated = tiny_study(dtype="fp8", emulate_dtype=True).measure()
    assert emulated.logits is not None
    assert np.array_equal(emulated.logits, default.logits)  # type: ignore[arg-type]


def test_a_narrow_cache_is_executed_and_timed() -> None:
    found, wide = tiny_study(kv_dtype="fp8").measure(), tiny_study().measure()
    assert found.quality.rms > wide.quality.rms
    assert found.timing is not None
    assert found.timing.as_dict() == accelsim.run(
        CONFIG, "tpu_v5e", phase="generate", batch=1, input_len=5, output_len=4, dtype="bf16",
        kv_dtype="fp8",
    ).as_dict()  # fmt: skip


def test_chat_wraps_the_prompt() -> None:
    study = tiny_study(chat=True)
    assert study.prompt_tokens() == Letters().encode("<user>hello")


@pytest.mark.parametrize(
    ("form", "told", "wanted"),
    [("chatml", None, "<user>hello"), ("plain", None, "hello"), ("chatml", False, "hello")],
)
def test_the_tokenizer_says_whether_a_prompt_is_wrapped(
    form: str, told: bool | None, wanted: str
) -> None:
    study = tiny_study(chat=told)
    study.model.tokenizer = cast("Tokenizer", Letters(chat_format=ChatFormat(form)))
    assert study.prompt_tokens() == Letters().encode(wanted)


def test_generation_ends_where_the_model_says_so() -> None:
    first = tiny_study().measure().tokens
    found = tiny_study(model=tiny_decoder(eos_ids=(first[1],))).measure()
    assert found.tokens == first[: first.index(first[1]) + 1]
    made = len(found.tokens)
    wanted = accelsim.run(CONFIG, "tpu_v5e", phase="generate", batch=1, input_len=5,
                          output_len=made, dtype="bf16")  # fmt: skip
    assert made < 4
    assert found.timing.as_dict() == wanted.as_dict()
    assert found.energy_per_token_j == wanted.energy_j / made


def test_the_sampler_is_asked() -> None:
    runs = [
        tiny_study(sampler=Sampler(temperature=20.0, seed=seed), tokens=12).measure().tokens
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_progress_never_exceeds_its_total() -> None:
    seen: list[tuple[str, int, int]] = []
    study = tiny_study(progress=lambda *told: seen.append(told))
    for variant in ("bf16", "int8"):
        study.measure(variant)
    assert all(0 < done <= total for _, done, total in seen)
    reached = {what: (done, total) for what, done, total in seen}
    phases = ("preparing weights", "evaluating", "reading the prompt", "generating")
    assert list(reached) == [f"{n}: {p}" for n in ("fp32", "bf16", "int8") for p in phases]
    tensors = len(tiny_decoder().weights.shapes)
    for name in ("fp32", "bf16", "int8"):
        assert reached[f"{name}: preparing weights"] == (tensors, tensors)
        assert reached[f"{name}: generating"] == (6, 6)
    for what in reached:
        done = [step[1] for step in seen if step[0] == what]
        assert done == sorted(done)


def test_faults_that_leave_no_numbers_end_generation_alone() -> None:
    # Half of all exponents are struck: every logit is NaN in the measured run, none in fp32.
    faults = FaultPlan(0.5, targets=("weights",), bits="exponent", seed=1)
    found = tiny_study(faults=faults).measure()
    assert (found.tokens, found.diverges_at, len(found.reference_tokens)) == ((), 0, 4)
    assert (found.timing.phase, found.timing.output_len) == ("generate", 1)
    assert found.quality.bad_tokens == len(TEXT)
    assert math.isnan(found.perplexity)
    assert np.isfinite(found.reference_perplexity)
    assert found.faults["weights"]["values_changed"] > 1000


def test_faults_are_those_of_their_seed() -> None:
    runs = [
        tiny_study(faults=FaultPlan(1e-4, seed=seed, bits="fraction")).measure().as_dict()
        for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1]
    assert runs[0]["quality"] != runs[2]["quality"]
    assert set(runs[0]["faults"]) == {"weights", "kv", "accumulators"}
    assert runs[0]["reference_tokens"] == tiny_study().measure().as_dict()["reference_tokens"]


def test_error_correction_keeps_the_faultless_result() -> None:
    place = (Place("weights", "blk.0.ffn_up", 7, 14),)
    clean = tiny_study().measure()
    struck, mended = (
        tiny_study(faults=FaultPlan(places=place, ecc=ecc)).measure()  # type: ignore[arg-type]
        for ecc in ("none", "secded")
    )
    assert struck.quality != clean.quality
    assert mended.quality == clean.quality
    assert mended.tokens == clean.tokens
    assert (struck.faults["weights"]["corrected"], mended.faults["weights"]["corrected"]) == (0, 1)


@pytest.mark.parametrize(
    ("variant", "options", "told"),
    [
        ("int8", {"faults": FaultPlan(1e-9, bits="exponent")}, "int8 has no exponent bits"),
        ("int4-g32", {"faults": FaultPlan(1e-9, bits=(9,))}, "bit 9 .* is not in int4"),
        (None, {"faults": FaultPlan(1e-9, bits=(20,))}, "bit 20 .* is not in bf16"),
        (None, {"faults": FaultPlan(1e-9, targets=("kv",), bits="exponent"), "kv_dtype": "int8"},
         "int8 has no exponent bits"),
        ("int8-weight", {"dtype": "int8"}, "weight-only int8 is dequantised to a float"),
        ("smoothquant", {"model": tiny_decoder(replace(CONFIGS["experts"],
                                                       embedding=CONFIG.embedding))},
         "SmoothQuant is calibrated on decoders"),
    ],
)  # fmt: skip
def test_what_a_variant_cannot_be_is_said_before_the_reference_runs(
    variant: str | None, options: dict[str, Any], told: str
) -> None:
    called: list[str] = []
    study = tiny_study(progress=lambda what, *_: called.append(what), **options)
    for refuse in (study.measure, lambda name: study.check([None, name])):
        with pytest.raises(WorkloadError, match=told):
            refuse(variant)
    assert called == []


def test_bits_that_only_sums_have_may_be_struck_there() -> None:
    faults = FaultPlan(1e-9, targets=("accumulators",), bits=(31,))
    assert len(tiny_study(faults=faults).check([None, "int8", "smoothquant", "int4-g32"])) == 4


def test_a_second_measurement_does_not_remember_the_first() -> None:
    study = tiny_study(faults=FaultPlan(1e-4, seed=3, bits="fraction"))
    assert study.measure().as_dict() == study.measure().as_dict()


@pytest.mark.parametrize("name", ["experts", "like gpt-oss", "like deepseek"])
def test_models_whose_tokens_visit_other_experts_are_measured(name: str) -> None:
    config = replace(CONFIGS[name], embedding=CONFIG.embedding)
    found = tiny_study(model=tiny_decoder(config)).measure("int4-g32")
    assert len(found.tokens) == 4
    names = [error.name for error in found.errors]
    assert "blk.1.ffn_experts" in names
    assert not any("plain order" in warning for warning in found.warnings)
    assert not any(name.endswith("_exps") for name in names)


def test_what_generates_no_text_is_refused() -> None:
    study = tiny_study(model=tiny_decoder(tokenizer=False))
    with pytest.raises(WorkloadError, match="tiny has no tokenizer, so it takes no prompt"):
        study.measure()
    with pytest.raises(WorkloadError, match="no weights 'smollm3'"):
        NumericsStudy.load("smollm3", "tpu_v5e")


def installed(name: str) -> str:
    try:
        locate(name)
    except WorkloadError as problem:
        pytest.skip(str(problem))
    return name


def test_an_encoder_is_refused() -> None:
    with pytest.raises(WorkloadError, match="all-minilm-l6-v2 is an encoder: it generates no text"):
        NumericsStudy.load(installed("all-minilm-l6-v2"), "tpu_v5e")


def test_an_unknown_chip_is_refused() -> None:
    with pytest.raises(SpecError, match="tpu_v5e"):
        NumericsStudy.load(installed("smollm2-135m-instruct"), "tpu_v5f")


def test_real_weights_on_a_chip() -> None:
    options = NumericsOptions(
        prompt="The capital of France is", chat=False, tokens=4, eval_tokens=16
    )
    study = NumericsStudy.load(installed("smollm2-135m-instruct"), "tpu_v5e", options)
    bf16, int4 = study.measure("bf16"), study.measure("int4-g128")
    assert " Paris" in bf16.reference_text
    assert bf16.text == bf16.reference_text
    for found in (bf16, int4):
        assert found.quality.tokens == 16
        assert len(found.errors) == 3 + 30 * len(LAYER_OPS)
        assert len(json.dumps(found.as_dict(), allow_nan=False)) > 1000
    assert bf16.quality.kl_nats < 0.05 < int4.quality.kl_nats
    assert int4.weight_bits < bf16.weight_bits
    assert int4.latency_s is not None
    assert bf16.latency_s is not None
    # Weights come in while other ops run, so fewer bytes of them may save nothing: what limits this
    # small model is loading the array. 1 % is what the pieces of the event engine may cost.
    assert int4.latency_s < 1.01 * bf16.latency_s
