"""Does the importer read what is published, and refuse the rest by naming the field?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accelsim.errors import WorkloadError
from accelsim.workload.attention_config import WindowConfig
from accelsim.workload.hf_config import FAMILIES
from accelsim.workload.models import load_model
from accelsim.workload.phases import PhaseOptions, build_graph
from tests.unit.workload.hf_configs import PUBLISHED, TINY_DEEPSEEK, TINY_LLAMA, changed, write


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_models_have_their_size(name: str, tmp_path: Path) -> None:
    config, parameters = PUBLISHED[name]
    model = load_model(write(tmp_path, config))
    assert model.parameters == parameters
    assert build_graph(model, PhaseOptions(input_len=16)).parameters == parameters
    phase = "train" if model.is_encoder else "decode"
    assert build_graph(model, PhaseOptions(phase, input_len=16)).parameters == parameters


def test_every_family_of_the_issue_is_known() -> None:
    wanted = (
        "llama mistral mixtral qwen2 qwen3 qwen3_moe gpt2 gpt_neox gemma2 gemma3 phi3 opt bert "
        "deepseek_v3 gpt_oss"
    )
    assert set(FAMILIES) >= set(wanted.split())


def test_gemma3_text_inside_an_image_model(tmp_path: Path) -> None:
    text, _ = PUBLISHED["gemma-3-1b"]
    inner = {k: v for k, v in text.items() if k not in {"architectures", "torch_dtype"}}
    outer = {
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
        "text_config": inner, "vision_config": {"hidden_size": 1152, "model_type": "siglip"},
        "mm_tokens_per_image": 256, "image_token_index": 262144, "torch_dtype": "float16",
    }  # fmt: skip
    model = load_model(write(tmp_path, outer))
    assert model.parameters == 999_885_952
    assert model.dtype == "fp16"
    assert "image encoder" in model.notes[-1]


def test_gemma3_4b_leaves_the_defaults_out(tmp_path: Path) -> None:
    # google/gemma-3-4b: 4,300,079,472 parameters, of which the image encoder has 416,866,032
    # and the projection between them 1152 x 2560 and a norm of 1152.
    text = {
        "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
        "num_hidden_layers": 34, "sliding_window": 1024,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    }  # fmt: skip
    outer = {"model_type": "gemma3", "text_config": text, "vision_config": {}}
    model = load_model(write(tmp_path, outer))
    assert model.parameters == 4_300_079_472 - 416_866_032 - 1152 * 2560 - 1152


def test_windows_are_where_the_families_put_them(tmp_path: Path) -> None:
    gemma2 = load_model(write(tmp_path, PUBLISHED["gemma-2-2b"][0])).attention
    assert gemma2.window == WindowConfig(4096, tuple(range(0, 26, 2)))
    gemma3 = load_model(write(tmp_path, PUBLISHED["gemma-3-1b"][0])).attention
    assert gemma3.window is not None
    assert [i for i in range(26) if i not in gemma3.window.layers] == [5, 11, 17, 23]
    oss = load_model(write(tmp_path, PUBLISHED["gpt-oss-20b"][0])).attention
    assert oss.window == WindowConfig(128, tuple(range(0, 24, 2)))


def test_opt_position_table_has_two_rows_more(tmp_path: Path) -> None:
    assert load_model(write(tmp_path, PUBLISHED["opt-125m"][0])).position.table_rows == 2050


def test_a_part_of_each_head_is_rotated(tmp_path: Path) -> None:
    neox = load_model(write(tmp_path, PUBLISHED["gpt-neox-20b"][0]))
    assert neox.position.rotary_dim == 24  # 96 * 0.25
    assert neox.parallel_residual


def test_quantized_checkpoints(tmp_path: Path) -> None:
    deepseek = load_model(write(tmp_path, TINY_DEEPSEEK)).precision
    assert (deepseek.dtype, deepseek.quantized, deepseek.scope) == ("bf16", "fp8", "linear")
    oss = load_model(write(tmp_path, PUBLISHED["gpt-oss-20b"][0])).precision
    assert (oss.quantized, oss.scope) == ("mxfp4", "experts")


def test_qwen_window_only_when_switched_on(tmp_path: Path) -> None:
    config = changed(PUBLISHED["qwen2.5-7b"][0], use_sliding_window=True, max_window_layers=20)
    window = load_model(write(tmp_path, config)).attention.window
    assert window == WindowConfig(131072, tuple(range(20, 28)))


BAD_FIELDS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"hidden_size": -1024}, ("hidden_size", "-1024")),
    ({"hidden_size": 0}, ("hidden_size", "0")),
    ({"hidden_size": "1024"}, ("hidden_size", "'1024'")),
    ({"hidden_size": 1024.5}, ("hidden_size", "1024.5")),
    ({"hidden_size": True}, ("hidden_size", "True")),
    ({"hidden_size": ...}, ("hidden_size", "missing")),
    ({"num_hidden_layers": 10**5}, ("num_hidden_layers", "10000")),
    ({"intermediate_size": 10**8}, ("intermediate_size", "10000000")),
    ({"num_attention_heads": 15, "num_key_value_heads": 15}, ("head_dim", "1024", "15")),
    ({"num_key_value_heads": 5}, ("num_key_value_heads", "16", "5")),
    ({"vocab_size": [32000]}, ("vocab_size", "[32000]")),
    ({"hidden_act": "tanhshrink"}, ("hidden_act", "tanhshrink")),
    ({"tie_word_embeddings": "yes"}, ("tie_word_embeddings", "'yes'")),
    ({"torch_dtype": 16}, ("torch_dtype", "16")),
    ({"torch_dtype": "float17"}, ("float17",)),
    ({"num_experts": 8}, ("num_experts", "not understood")),
    ({"hiden_size": 1024}, ("hiden_size", "hidden_size")),
    ({"is_encoder_decoder": True}, ("is_encoder_decoder", "True")),
    ({"pruned_heads": {"1": [0, 2]}}, ("pruned_heads",)),
    ({"architectures": ["LlamaForSequenceClassification"]}, ("architectures", "Sequence")),
    ({"quantization_config": {"quant_method": "gptq"}}, ("quantization_config", "gptq")),
    ({"model_type": "quantum_llama"}, ("model_type", "quantum_llama", "llama", "gpt_oss")),
    ({"model_type": ...}, ("model_type", "missing")),
    ({"model_type": 7}, ("model_type", "7")),
]


@pytest.mark.parametrize(("changes", "says"), BAD_FIELDS)
def test_bad_fields_are_named(
    changes: dict[str, Any], says: tuple[str, ...], tmp_path: Path
) -> None:
    path = write(tmp_path, changed(TINY_LLAMA, **changes))
    with pytest.raises(WorkloadError) as caught:
        load_model(path)
    for text in (str(path), *says):
        assert text in str(caught.value)


BAD_FAMILIES: list[tuple[str, dict[str, Any], str]] = [
    ("gpt-oss-20b", {"layer_types": ["full_attention"] * 3}, "layer_types"),
    ("gpt-oss-20b", {"layer_types": ["linear_attention"] * 24}, "linear_attention"),
    ("gpt-oss-20b", {"hidden_act": "gelu"}, "hidden_act"),
    ("gpt-oss-20b", {"num_experts_per_tok": 33, "experts_per_token": 33}, "33"),
    ("gpt-neox-20b", {"rotary_pct": 1.5}, "rotary_pct"),
    ("opt-125m", {"word_embed_proj_dim": 512}, "word_embed_proj_dim"),
    ("gemma-2-2b", {"attention_bias": True}, "attention_bias"),
    ("gemma-2-2b", {"num_local_experts": 4}, "num_local_experts"),
    ("qwen2.5-7b", {"layer_types": ["sliding_attention"] * 28}, "layer_types"),
]


@pytest.mark.parametrize(("name", "changes", "field"), BAD_FAMILIES)
def test_families_refuse_what_they_do_not_know(
    name: str, changes: dict[str, Any], field: str, tmp_path: Path
) -> None:
    path = write(tmp_path, changed(PUBLISHED[name][0], **changes))
    with pytest.raises(WorkloadError, match=field) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"topk_method": "greedy"}, "topk_method"),
        ({"moe_layer_freq": 2}, "moe_layer_freq"),
        ({"kv_lora_rank": ...}, "kv_lora_rank"),
        ({"num_key_value_heads": 4}, "num_key_value_heads"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config"),
        ({"quantization_config": "fp9"}, "quantization_config"),
    ],
)
def test_latent_attention_configs_are_checked(
    changes: dict[str, Any], field: str, tmp_path: Path
) -> None:
    with pytest.raises(WorkloadError, match=field):
        load_model(write(tmp_path, changed(TINY_DEEPSEEK, **changes)))


def test_text_that_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{"model_type": "llama",\n "hidden_size": }')
    with pytest.raises(WorkloadError, match=r"broken\.json:2"):
        load_model(path)
    path.write_text('{"model_type": "llama", "hidden_size": NaN}')
    with pytest.raises(WorkloadError, match="NaN"):
        load_model(path)
    path.write_text("[1, 2]")
    with pytest.raises(WorkloadError, match="expected an object"):
        load_model(path)
