"""Do the packaged models have exactly the published sizes?

Exact counts are those of the released checkpoints (tensor elements, buffers excluded) where no
other source is named.
"""

from __future__ import annotations

import pytest

from accelsim.workload.models import load_model, model_files
from accelsim.workload.phases import PhaseOptions, build_graph

EXACT = {
    "gpt2": 124_439_808,
    "bert-base": 109_482_240,  # BertModel: encoder and pooler
    "bert-large": 335_141_888,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3.1-8b": 8_030_261_248,
    "llama3.1-70b": 70_553_706_496,
    "llama3.1-405b": 405_853_388_800,
    "qwen3-8b": 8_190_735_360,
    "qwen3-32b": 32_762_123_264,
    "qwen3-235b-a22b": 235_093_634_560,
    "mixtral-8x7b": 46_702_792_704,
    # Main model without the multi-token prediction layer; the routers' correction biases
    # (58 layers x 256 experts) are stored tensors and counted.
    "deepseek-v3": 671_026_419_200,
    "smollm2-135m": 134_515_008,
}

# name: (published, relative tolerance, source)
ROUNDED = {
    "gpt3-175b": (175.0e9, 0.003, "Brown et al. 2020, table 2.1; table D.1 gives 174,600 million"),
    "gpt-oss-120b": (116.83e9, 5e-5, "gpt-oss model card, table 1"),
}

ACTIVE = {
    "mixtral-8x7b": (12.9e9, 0.005, "Jiang et al. 2024, section 1: 13B, table 2"),
    "qwen3-235b-a22b": (22e9, 0.01, "Qwen3 technical report: A22B"),
    "deepseek-v3": (37e9, 0.02, "DeepSeek-V3 report: 37B"),
}


@pytest.mark.parametrize("name", sorted(EXACT))
def test_parameter_count_is_that_of_the_checkpoint(name: str) -> None:
    assert load_model(name).parameters == EXACT[name]


@pytest.mark.parametrize("name", sorted(ROUNDED))
def test_parameter_count_rounds_to_the_published_one(name: str) -> None:
    published, tolerance, source = ROUNDED[name]
    error = load_model(name).parameters / published - 1
    assert abs(error) <= tolerance, f"{error:+.3%} from {source}"


@pytest.mark.parametrize("name", sorted(ACTIVE))
def test_active_parameters(name: str) -> None:
    published, tolerance, source = ACTIVE[name]
    error = load_model(name).active_parameters / published - 1
    assert abs(error) <= tolerance, f"{error:+.3%} from {source}"


def test_gpt_oss_active_parameters_leave_the_token_table_out() -> None:
    # Model card, table 1: 5.13B active, "unembedding counted, embedding not".
    model = load_model("gpt-oss-120b")
    table = model.vocab_size * model.d_model
    assert round((model.active_parameters - table) / 1e9, 2) == 5.13


def test_deepseek_active_parameters_leave_the_token_table_out() -> None:
    # README_WEIGHTS of the release: 36.6B activated with the output head, without the embedding.
    model = load_model("deepseek-v3")
    table = model.vocab_size * model.d_model
    assert round((model.active_parameters - table) / 1e9, 1) == 36.6


def test_gpt3_forward_flop_per_token_of_the_paper() -> None:
    # Brown et al. 2020, table D.1: GPT-3 175B, 3.14e23 FLOP in 300e9 tokens at 3 x 2 N per token
    # ("6 FLOPs per parameter per token", attention not counted).
    model = load_model("gpt3-175b")
    assert abs(6 * model.parameters * 300e9 / 3.14e23 - 1) < 0.002


def test_llama2_70b_kv_cache_per_token() -> None:
    # 2 (K and V) x 8 heads x 128 x 80 layers x 2 bytes, Pope et al. 2022, section 3.3's count.
    assert load_model("llama2-70b").cache_bytes_per_token("bf16") == 327_680


def test_deepseek_latent_cache_per_token() -> None:
    # DeepSeek-V2 report, table 1: (d_c + d_h^R) l = (512 + 64) x 61 values.
    assert load_model("deepseek-v3").cache_bytes_per_token("bf16") == 70_272


def test_gpt_oss_checkpoint_size() -> None:
    # Model card, table 1: checkpoint of 60.8 GiB with MXFP4 expert weights; the index of the
    # released safetensors files gives a total_size of 65,248,815,744 bytes.
    graph = build_graph(load_model("gpt-oss-120b"), PhaseOptions())
    assert graph.footprint.weights == 65_248_815_744


@pytest.mark.parametrize("name", sorted(model_files()))
def test_ops_own_exactly_the_parameters(name: str) -> None:
    model = load_model(name)
    phases = ("prefill", "train") if model.is_encoder else ("prefill", "decode", "train")
    for phase in phases:
        graph = build_graph(model, PhaseOptions(phase=phase, input_len=64))
        assert graph.parameters == model.parameters, phase


def test_every_packaged_model_is_checked() -> None:
    assert set(model_files()) >= {*EXACT, *ROUNDED}
