"""Mixtures of experts from files: the bits of the arrays, and only what tokens visit is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.functional.loading import load_weights, random_model
from accelsim.functional.rope_frequencies import RopeScaling, yarn_attention_factor
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.sources import FileWeights
from accelsim.workload.attention_config import AttentionConfig, LatentConfig
from accelsim.workload.layer_config import MlpConfig, MoeConfig, NormConfig
from accelsim.workload.routing_config import RoutingConfig
from tests.unit.functional.model_files import LLAMA_JSON, Held, held_of, write_folder, write_gguf
from tests.unit.functional.transformer.tiny_models import LLAMA, tiny

TOKENS = [3, 30, 0, 7, 12]
EXPERTS = MoeConfig(5, 2, MlpConfig(16))
MIXTRAL = replace(LLAMA, mlp=None, moe=EXPERTS)
QWEN = replace(MIXTRAL, norm=NormConfig(qk=True))
SOME_DENSE = replace(QWEN, mlp=MlpConfig(40), moe=replace(EXPERTS, dense_layers=(0,)))
MIXTRAL_JSON: dict[str, Any] = LLAMA_JSON | {
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "intermediate_size": 16,
    "num_local_experts": 5, "num_experts_per_tok": 2,
}  # fmt: skip
QWEN_JSON: dict[str, Any] = LLAMA_JSON | {
    "model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "num_experts": 5,
    "moe_intermediate_size": 16, "num_experts_per_tok": 2, "norm_topk_prob": True,
    "mlp_only_layers": [], "decoder_sparse_step": 1, "qkv_bias": False, "use_qk_norm": True,
}  # fmt: skip


def _gguf(path: Path, held: Held, family: str, **change: Any) -> DecoderModel:
    keys = {f"{family}__expert_count": ("u32", 5), f"{family}__expert_used_count": ("u32", 2),
            f"{family}__expert_feed_forward_length": ("u32", 16)}  # fmt: skip
    keys |= {f"{family}__{key}": value for key, value in change.items()}
    model = load_weights(write_gguf(path, held, family, **keys))
    assert isinstance(model, DecoderModel)
    return model


def _folder(path: Path, config: dict[str, Any], held: Held, without: str = "") -> DecoderModel:
    model = load_weights(write_folder(path, config, held, without))
    assert isinstance(model, DecoderModel)
    return model


@pytest.mark.parametrize("arithmetic", ["fp32", "h100_sxm"])
def test_a_gguf_file_a_folder_and_arrays_give_the_same_bits(
    tmp_path: Path, arithmetic: str
) -> None:
    wanted = tiny(QWEN).logits(TOKENS, arithmetic)
    apart = held_of(QWEN, apart=True)
    (tmp_path / "apart").mkdir()  # a file that is mapped is not rewritten
    for model in (
        _gguf(tmp_path, held_of(QWEN), "qwen3moe"), _gguf(tmp_path / "apart", apart, "qwen3moe"),
        _folder(tmp_path, QWEN_JSON, apart),
    ):  # fmt: skip
        assert np.array_equal(model.logits(TOKENS, arithmetic), wanted)


@pytest.mark.parametrize("apart", [False, True])
def test_mixtral_is_a_llama_with_experts(tmp_path: Path, apart: bool) -> None:
    # Its own keys say feed_forward_length alone.
    change = {"expert_feed_forward_length": None, "feed_forward_length": ("u32", 16)}
    model = _gguf(tmp_path, held_of(MIXTRAL, apart), "llama", **change)
    wanted = tiny(MIXTRAL, rope_style="interleaved").logits(TOKENS)
    assert np.array_equal(model.logits(TOKENS), wanted)
    folder = _folder(tmp_path, MIXTRAL_JSON, held_of(MIXTRAL, apart=True))
    assert np.array_equal(folder.logits(TOKENS), tiny(MIXTRAL).logits(TOKENS))


def test_layers_without_a_router_are_dense(tmp_path: Path) -> None:
    wanted, apart = tiny(SOME_DENSE).logits(TOKENS), held_of(SOME_DENSE, apart=True)
    assert np.array_equal(_gguf(tmp_path, apart, "qwen3moe").logits(TOKENS), wanted)
    folder = _folder(tmp_path, QWEN_JSON | {"mlp_only_layers": [0]}, apart)
    assert np.array_equal(folder.logits(TOKENS), wanted)


DEEPSEEK_JSON: dict[str, Any] = LLAMA_JSON | {
    "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"],
    "num_key_value_heads": 4, "kv_lora_rank": 8, "q_lora_rank": 10, "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4, "v_head_dim": 6, "n_routed_experts": 6, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16, "n_shared_experts": 1, "n_group": 3, "topk_group": 2,
    "first_k_dense_replace": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": True,
}  # fmt: skip
DEEPSEEK = replace(
    LLAMA,
    attention=AttentionConfig(4, 4, 8, 6, latent=LatentConfig(10, 8, 4, 4)),
    moe=MoeConfig(
        6, 2, MlpConfig(16), MlpConfig(16), (0,), router_bias=True,
        routing=RoutingConfig("sigmoid", True, 2.5, True, 3, 2),
    ),
)  # fmt: skip


def test_deepseek_comes_from_a_folder(tmp_path: Path) -> None:
    held = held_of(DEEPSEEK, apart=True)
    wanted = tiny(DEEPSEEK, rope_style="interleaved").logits(TOKENS)
    # Layers that predict several tokens at once follow the others, and are left out.
    extra = held | {"blk.2.attn_norm.weight": np.ones(24, np.float32)}
    json = DEEPSEEK_JSON | {"num_nextn_predict_layers": 1}
    (tmp_path / "more").mkdir()  # a file that is mapped is not rewritten
    for path, config, weights in (
        (tmp_path, DEEPSEEK_JSON, held), (tmp_path / "more", json, extra),
    ):  # fmt: skip
        assert np.array_equal(_folder(path, config, weights).logits(TOKENS), wanted)
    with pytest.raises(WorkloadError, match="num_hidden_layers is 2"):
        _folder(tmp_path / "more", DEEPSEEK_JSON, extra)


@pytest.mark.parametrize(
    ("weight", "squared"), [(None, 1.0), (0, 1.0), (1.0, 1.29648), (0.5, 1.14343)]
)
def test_deepseek_scores_grow_with_stretched_positions(
    tmp_path: Path, weight: float | None, squared: float
) -> None:
    stretched = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8,
                 "mscale": 1.0, "mscale_all_dim": weight}  # fmt: skip
    held = held_of(DEEPSEEK, apart=True)
    found = _folder(tmp_path, DEEPSEEK_JSON | {"rope_scaling": stretched}, held)
    assert found.spec.constants.attention_factor == pytest.approx(squared, abs=1e-5)


def _routing(model: DecoderModel) -> RoutingConfig:
    assert model.spec.config.moe is not None
    return model.spec.config.moe.routing


@pytest.mark.parametrize(
    ("change", "routing"),
    [
        ({}, RoutingConfig()),
        ({"expert_weights_norm": ("bool", 0)}, RoutingConfig(normalised=False)),
        ({"expert_weights_scale": ("f32", 2.5)}, RoutingConfig(scale=2.5)),
        ({"expert_weights_scale": ("f32", 0)}, RoutingConfig()),
        ({"expert_gating_func": ("u32", 1)}, RoutingConfig()),
        ({"expert_gating_func": ("u32", 2)}, RoutingConfig("sigmoid")),
        ({"expert_gating_func": ("u32", 3)}, RoutingConfig("softmax_topk")),
    ],
)
def test_routing_comes_from_the_file(
    tmp_path: Path, change: dict[str, Any], routing: RoutingConfig
) -> None:
    model = _gguf(tmp_path, held_of(QWEN), "qwen3moe", **change)
    assert _routing(model) == routing
    assert model.spec.config.moe is not None
    wanted = tiny(replace(QWEN, moe=replace(EXPERTS, routing=routing))).logits(TOKENS)
    assert np.array_equal(model.logits(TOKENS), wanted)


def test_gates_are_normalised_where_the_config_says_so(tmp_path: Path) -> None:
    held = held_of(QWEN, apart=True)
    plain = {key: value for key, value in QWEN_JSON.items() if key != "norm_topk_prob"}
    for config in (plain, QWEN_JSON | {"norm_topk_prob": False}):
        assert _routing(_folder(tmp_path, config, held)) == RoutingConfig(normalised=False)
    with pytest.raises(WorkloadError, match="norm_topk_prob: got 1, expected true or false"):
        _folder(tmp_path, QWEN_JSON | {"norm_topk_prob": 1}, held)


def test_the_number_of_experts_has_two_names(tmp_path: Path) -> None:
    held, renamed = held_of(QWEN, apart=True), QWEN_JSON | {"num_local_experts": 5}
    del renamed["num_experts"]
    wanted = tiny(QWEN).logits(TOKENS)
    assert np.array_equal(_folder(tmp_path, renamed, held).logits(TOKENS), wanted)
    with pytest.raises(WorkloadError, match="num_local_experts: 4 is not understood, only 5 is"):
        _folder(tmp_path, QWEN_JSON | {"num_local_experts": 4}, held)
    with pytest.raises(WorkloadError, match="num_experts"):
        _folder(tmp_path, renamed | {"num_local_experts": None}, held)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"expert_count": None}, "expert_count is 0, but 2 of 2 layers have a router"),
        ({"expert_count": ("u32", 6)}, r"'blk.0.ffn_gate_inp.weight' has shape \[5, 24\]"),
        ({"expert_count": ("u32", 2**32 - 1)}, "expected a whole number from 1 to"),
        ({"expert_count": ("u32", 9 * 10**6)}, r"has shape \[5, 24\].* says \[9000000, 24\]"),
        ({"expert_count": ("text", "5")}, "expert_count is '5', expected a number from 0"),
        ({"expert_count": ("array", ("u32", [5, 5]))}, "expert_count is array.*, expected"),
        ({"expert_used_count": None}, "expert_used_count is None"),
        ({"expert_used_count": ("u32", 6)}, "top 6 of only 5 experts"),
        ({"expert_used_count": ("u32", 0)}, "expert_used_count is 0, expected a positive"),
        ({"expert_feed_forward_length": ("u32", 17)}, "the model's configuration says"),
        ({"expert_gating_func": ("u32", 4)}, "expert_gating_func is 4, expected 1"),
        ({"expert_weights_scale": ("f32", -2)}, "expert_weights_scale is -2.0|scale is -2.0"),
        ({"expert_weights_scale": ("f32", float("nan"))}, "expert_weights_scale is nan"),
        ({"expert_weights_norm": ("u32", 1)}, "expert_weights_norm is 1, expected true or false"),
        ({"expert_group_count": ("u32", 2)}, "5 experts do not lie in 2 groups of equal size"),
        ({"expert_group_used_count": ("u32", 2)}, "top 2 of only 1 groups"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_files_whose_experts_do_not_add_up_are_refused(
    tmp_path: Path, change: dict[str, Any], told: str, apart: bool
) -> None:
    with pytest.raises(WorkloadError, match=rf"tiny\.gguf: .*({told})"):
        _gguf(tmp_path, held_of(QWEN, apart), "qwen3moe", **change)


def test_a_missing_expert_is_named_as_the_file_would(tmp_path: Path) -> None:
    missing = "blk.1.ffn_down.3.weight"
    held = held_of(QWEN, apart=True)
    with pytest.raises(WorkloadError, match=r"model\.layers\.1\.mlp\.experts\.3\.down_proj\.wei"):
        _folder(tmp_path, QWEN_JSON, held, missing)
    with pytest.raises(WorkloadError, match=r"layers\.1\.block_sparse_moe\.experts\.3\.w2\.weight"):
        _folder(tmp_path, MIXTRAL_JSON, held_of(MIXTRAL, apart=True), missing)
    with pytest.raises(WorkloadError, match=r"no tensor is named 'blk\.1\.ffn_down\.3\.weight'"):
        _gguf(tmp_path, {name: x for name, x in held.items() if name != missing}, "qwen3moe")


def test_an_expert_of_another_shape_or_too_many_are_refused(tmp_path: Path) -> None:
    held = held_of(QWEN, apart=True)
    odd = held | {"blk.0.ffn_up.4.weight": np.ones((15, 24), np.float32)}
    with pytest.raises(WorkloadError, match=r"ffn_up\.4\.weight' has shape \[15, 24\].*\[16, 24\]"):
        _gguf(tmp_path, odd, "qwen3moe")
    more = held | {"blk.0.ffn_up.5.weight": np.ones((16, 24), np.float32)}
    with pytest.raises(WorkloadError, match=r"1 tensors have no place .*blk\.0\.ffn_up\.5\.weight"):
        _gguf(tmp_path, more, "qwen3moe")
    shared = held | {"blk.0.ffn_up_shexp.weight": np.ones((16, 24), np.float32)}
    with pytest.raises(WorkloadError, match=r"blk\.0\.ffn_up_shexp\.weight"):
        _gguf(tmp_path, shared, "qwen3moe")


@pytest.mark.parametrize("apart", [False, True])
def test_nan_of_experts_is_counted_where_tokens_visit_them(tmp_path: Path, apart: bool) -> None:
    clean = held_of(QWEN, apart)
    for name in [n for n in clean if n.startswith("blk.1.ffn_up") and "inp" not in n]:
        clean[name] = clean[name].copy()
        clean[name][..., 3, :2] = np.nan
    model = _gguf(tmp_path, clean, "qwen3moe")
    assert isinstance(model.weights, FileWeights)
    assert model.weights.nonfinite == {}
    assert np.isnan(model.logits([3])).any()
    counted = model.weights.nonfinite
    assert len(counted) == EXPERTS.topk
    assert all(name.startswith("blk.1.ffn_up.") and x.nan == 2 for name, x in counted.items())


def test_random_models_route_as_their_configs_say() -> None:
    model = random_model("deepseek-v3", layers=4)
    assert model.spec.config.moe is not None
    routing = model.spec.config.moe.routing
    assert (routing.scores, routing.scale, routing.corrected) == ("sigmoid", 2.5, True)
    assert "blk.1.exp_probs_b.bias" in model.weights.shapes


def _flawed(held: Held, data: st.DataObject) -> Held:
    """Leave a weight of an expert or router out, or give it another shape or name."""
    name = data.draw(st.sampled_from([n for n, x in held.items() if "ffn_" in n and x.ndim > 1]))
    flaw = data.draw(st.sampled_from(("gone", "flat", "cut", "renamed")))
    values = held.pop(name)
    changed = {"flat": values.reshape(-1), "cut": values[:-1], "renamed": values}
    if flaw in changed:
        held[name.replace("ffn_", "ffn_x") if flaw == "renamed" else name] = changed[flaw]
    return held


GGUF_VALUES = st.one_of(
    st.tuples(st.just("i64"), st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40)),
    st.tuples(st.just("f64"), st.floats()),
    st.tuples(st.just("bool"), st.integers(0, 1)),
    st.tuples(st.just("array"), st.tuples(st.just("u8"), st.lists(st.integers(0, 9)))),
)
GGUF_NAMES = (
    "expert_count", "expert_used_count", "expert_feed_forward_length", "block_count",
    "expert_gating_func", "expert_weights_scale", "expert_weights_norm", "expert_group_count",
    "expert_group_used_count", "nextn_predict_layers", "context_length", "rope__freq_base",
    "rope__scaling__factor", "rope__scaling__attn_factor", "rope__scaling__yarn_beta_fast",
    "rope__scaling__yarn_beta_slow", "rope__scaling__original_context_length",
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_gguf_files_run_or_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    keys = data.draw(st.dictionaries(st.sampled_from(GGUF_NAMES), GGUF_VALUES, max_size=3))
    kind = {"rope__scaling__type": ("text", "yarn"), "rope__scaling__factor": ("f32", 4.0)}
    held, flawed = held_of(QWEN, apart=data.draw(st.booleans())), data.draw(st.booleans())
    held = _flawed(held, data) if flawed else held
    try:
        model = _gguf(tmp_path, held, "qwen3moe", **(kind | keys))
    except WorkloadError as problem:
        assert "tiny.gguf" in str(problem)
        return
    assert not flawed
    assert model.logits([3]).shape == (1, 37)


JSON_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.sampled_from((2**31, 10**300, -(2**63))),
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(("5", "yarn")),
    st.just([4.0]), st.just({"factor": 4}),
)  # fmt: skip
JSON_NAMES = ("num_experts", "num_local_experts", "num_experts_per_tok", "moe_intermediate_size",
              "norm_topk_prob", "rope_scaling", "rope_parameters", "rope_theta")  # fmt: skip
ROPE_NAMES = ("rope_type", "type", "factor", "beta_fast", "beta_slow", "attention_factor", "mscale",
              "mscale_all_dim", "truncate", "original_max_position_embeddings")  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    change=st.dictionaries(st.sampled_from(JSON_NAMES), JSON_VALUES, max_size=2),
    rope=st.dictionaries(st.sampled_from(ROPE_NAMES), JSON_VALUES, max_size=3),
)
def test_damaged_configs_run_or_are_refused(
    tmp_path: Path, change: dict[str, Any], rope: dict[str, Any]
) -> None:
    config = QWEN_JSON | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0} | rope} | change
    try:
        model = _folder(tmp_path, config, held_of(QWEN, apart=True))
    except WorkloadError as problem:
        assert "tiny" in str(problem)
        return
    assert model.logits([3]).shape == (1, 37)


def test_files_of_the_formats_own_writer_are_read(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "theirs.gguf", "qwen3moe", split_max_tensors=9)
    writer.add_block_count(2)
    writer.add_embedding_length(24)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_key_length(6)
    writer.add_context_length(32)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_expert_count(5)
    writer.add_expert_used_count(2)
    writer.add_expert_feed_forward_length(16)
    writer.add_expert_weights_scale(2.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(8)
    writer.add_rope_scaling_yarn_beta_fast(16.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([chr(97 + i) for i in range(26)] + ["ab"])
    writer.add_token_types([1] * 27)
    writer.add_token_merges(["a b"])
    for name, values in held_of(QWEN).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    files = sorted(tmp_path.glob("theirs-*.gguf"))
    model = load_weights(files[1])
    assert isinstance(model, DecoderModel)
    assert (model.name, len(files)) == ("theirs", 3)
    routed = replace(QWEN, moe=replace(EXPERTS, routing=RoutingConfig(scale=2.0)))
    yarn = RopeScaling("yarn", 4.0, 1.0, 16.0, 8, yarn_attention_factor(4.0))
    assert np.array_equal(model.logits(TOKENS), tiny(routed, rope_scaling=yarn).logits(TOKENS))
