"""Decoders: against a twin in fp64, token by token, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.arithmetics import resolve_arithmetic
from accelsim.functional.formats import round_to
from accelsim.functional.transformer.layers import Setting
from tests.unit.functional.transformer.tiny_models import (
    CONFIGS,
    CONTEXT,
    LLAMA,
    VOCAB,
    Table,
    Twin,
    tiny,
)

TOKENS = [3, 30, 0, 7, 7, 36, 12, 1, 19]
LATER = ("wide values", "sinks", "clamped gates", "latent", "like gpt-oss", "like deepseek",
         "like gemma 2", "like gemma 3")  # fmt: skip


@pytest.mark.parametrize("name", list(CONFIGS))
def test_every_part_is_that_of_the_twin(name: str) -> None:
    model = tiny(CONFIGS[name])
    found = model.logits(TOKENS)
    assert found.shape == (len(TOKENS), VOCAB)
    assert found.dtype == np.float32
    assert np.abs(found - Twin(model).logits(TOKENS)).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "constants"),
    [("llama", {"rope_style": "interleaved"}), ("llama", {"eps": 0.5}),
     ("half rotated", {"rope_style": "interleaved"}),
     ("llama", {"query_size": 2.0}), ("window", {"local_rope_theta": 7.0}),
     ("like gemma 2", {"score_cap": 0.6}), ("like gemma 2", {"logit_cap": 0.7}),
     ("like gemma 3", {"local_rope_theta": 9.0, "query_size": 10}),
     ("clamped gates", {"swiglu_limit": 0.5}), ("like gpt-oss", {"swiglu_alpha": 0.5})],
)  # fmt: skip
def test_constants_are_those_of_the_twin(name: str, constants: dict[str, Any]) -> None:
    model = tiny(CONFIGS[name], **constants)
    assert np.abs(model.logits(TOKENS) - Twin(model).logits(TOKENS)).max() < 1e-4
    assert np.abs(model.logits(TOKENS) - tiny(CONFIGS[name]).logits(TOKENS)).max() > 1e-3


@pytest.mark.parametrize("arithmetic", ["fp32", "bf16", "h100_sxm", "mi300x", "tpu_v5e"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "window", "experts", *LATER])
def test_a_prompt_at_once_and_token_by_token_give_the_same_bits(name: str, arithmetic: str) -> None:
    model = tiny(CONFIGS[name])
    whole = model.logits(TOKENS, arithmetic)
    session = model.session(arithmetic)
    steps = np.concatenate([session.logits([token]) for token in TOKENS])
    assert np.array_equal(whole, steps)
    session = model.session(arithmetic)
    parts = [session.logits(TOKENS[:4]), session.logits(TOKENS[4:])]
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("kv", ["int8", "mxfp8"])
@pytest.mark.parametrize("name", ["latent", "sinks and window"])
def test_a_quantised_cache_does_not_care_how_tokens_came(name: str, kv: str) -> None:
    model = tiny(CONFIGS[name])
    arithmetic = resolve_arithmetic("bf16", kv_dtype=kv)
    session = model.session(arithmetic)
    steps = np.concatenate([session.logits([token]) for token in TOKENS])
    assert np.array_equal(steps, model.logits(TOKENS, arithmetic))
    assert not np.array_equal(steps, model.logits(TOKENS, "bf16"))


@pytest.mark.parametrize("name", ["clamped gates", "like gpt-oss"])
def test_gates_are_clamped_where_they_are_large(name: str) -> None:
    model = tiny(CONFIGS[name])
    assert isinstance(model.weights, Table)
    for tensor in model.weights.held:
        if "ffn_up" in tensor or ("ffn_gate" in tensor and "inp" not in tensor):
            model.weights.held[tensor] *= 12
    seen: dict[str, NDArray[np.float32]] = {}
    setting = Setting(resolve_arithmetic("fp32"), observe=seen.__setitem__)
    wanted = Twin(model).logits(TOKENS)
    assert np.abs(model.logits(TOKENS, setting) - wanted).max() < 1e-3
    clamped = [np.abs(x).max() for name, x in seen.items() if "ffn_up" in name or "gate" in name]
    assert max(clamped) > 14


def test_a_large_sink_takes_all_attention() -> None:
    model = tiny(CONFIGS["sinks"])
    assert isinstance(model.weights, Table)
    seen: dict[str, NDArray[np.float32]] = {}
    model.weights.held["blk.1.attn_sinks.weight"][:] = [1e4, -1e4, 0, 1e4]
    model.logits(TOKENS, Setting(resolve_arithmetic("fp32"), observe=seen.__setitem__))
    heads = seen["blk.1.attn"].reshape(len(TOKENS), 4, 6)
    assert not heads[:, [0, 3]].any()
    assert (heads[:, [1, 2]] != 0).all()
    # A sink that nothing reaches: the first token sees itself alone, with all its weight.
    assert np.array_equal(heads[0, 1], seen["blk.1.attn_v"][0, :6])


def test_embeddings_are_scaled_by_a_factor_in_their_own_format() -> None:
    model, seen = tiny(CONFIGS["like gemma 3"]), {}
    model.logits([3], Setting(resolve_arithmetic("bf16"), observe=seen.__setitem__))
    held = round_to(model.weights.rows("token_embd.weight", np.array([3])), "bf16")
    wanted = round_to(held * round_to(np.float32(24**0.5), "bf16"), "bf16")
    assert np.array_equal(seen["token_embd"], wanted)
    assert not np.array_equal(wanted, round_to(held * np.float32(24**0.5), "bf16"))


def test_a_latent_cache_holds_one_vector_per_token() -> None:
    session = tiny(CONFIGS["latent"]).session()
    session.logits(TOKENS)
    assert session.cache.shape == (2, 1, 12, 0)


def test_the_last_row_alone_is_that_of_all() -> None:
    model = tiny()
    assert np.array_equal(model.session().logits(TOKENS, last=True)[0], model.logits(TOKENS)[-1])


def test_generation_takes_the_best_token_each_time() -> None:
    model, text = tiny(), [1, 2, 3]
    found = model.generate(text, 6)
    for token in found:
        assert token == int(model.logits(text)[-1].argmax())
        text.append(token)
    assert model.generate([1, 2, 3], 6) == found
    assert model.generate([1, 2, 3], 6, stop=(found[2],)) == found[: found.index(found[2]) + 1]
    assert model.generate([1, 2, 3], 0) == []


def test_streams_yield_tokens_with_their_logits() -> None:
    model = tiny()
    pairs = list(model.stream([5], 3))
    assert [token for token, _ in pairs] == model.generate([5], 3)
    assert np.array_equal(pairs[0][1], model.logits([5])[0])


def test_prepared_weights_are_kept_for_one_setting() -> None:
    model = tiny()
    setting = Setting(resolve_arithmetic("fp32"))
    first = model.ops(setting)
    assert model.ops(setting) is first
    assert model.ops(Setting(resolve_arithmetic("fp32"), observe=lambda name, x: None)) is first
    other = model.ops(Setting(resolve_arithmetic("bf16")))
    assert other is not first
    names: list[str] = []
    tiny().ops(setting, tell=names.append)
    assert "blk.1.ffn_down.weight" in names


def test_arithmetics_differ_in_bits_but_hardly_in_values() -> None:
    model = tiny()
    exact = model.logits(TOKENS)
    runs = [model.logits(TOKENS, name) for name in ("bf16", "h100_sxm", "mi300x", "tpu_v5e")]
    for run in runs:
        assert 0 < np.abs(run - exact).max() < 0.2


def test_sessions_of_one_model_do_not_meet() -> None:
    model = tiny()
    first, second = model.session(), model.session()
    first.logits([1, 2, 3])
    assert np.array_equal(second.logits(TOKENS), model.logits(TOKENS))


@pytest.mark.parametrize(
    ("tokens", "told"),
    [([VOCAB], "token 37 is not below the vocabulary of 37"), ([-1], "token -1"),
     ([], "at least one whole number"), ([1.5], "at least one whole number"),
     ([[1, 2]], r"shape \(1, 2\)"), (["a"], "at least one whole number"),
     ([1] * (CONTEXT + 1), "33 tokens and 0 new ones exceed the context of 32 of tiny-llama")],
    ids=["vocabulary", "negative", "none", "fraction", "matrix", "word", "context"],
)  # fmt: skip
def test_what_is_no_text_is_refused(tokens: Any, told: str) -> None:
    with pytest.raises(WorkloadError, match=told):
        tiny().logits(tokens)


def test_generation_beyond_the_context_is_refused_before_it_starts() -> None:
    with pytest.raises(WorkloadError, match="30 tokens and 3 new ones exceed the context of 32"):
        tiny().generate([1] * 30, 3)
    with pytest.raises(WorkloadError, match="max_new_tokens is -1"):
        tiny().generate([1], -1)
    assert len(tiny().generate([1] * 30, 2)) == 2


def test_a_session_ends_with_the_context() -> None:
    session = tiny().session()
    session.logits([1] * CONTEXT)
    with pytest.raises(WorkloadError, match="33 tokens do not fit the context of 32"):
        session.logits([1])


def test_an_unknown_arithmetic_is_refused() -> None:
    with pytest.raises(Exception, match="h100_sxm"):
        tiny().logits([1], "h100_sxn")
    assert tiny(LLAMA).context == CONTEXT
