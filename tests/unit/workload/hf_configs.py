"""Configs with the fields that published config.json files have, and the models' known sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_COMMON = {"transformers_version": "4.46.0", "use_cache": True, "initializer_range": 0.02,
           "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}  # fmt: skip
_ROPE = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None,
         "attention_dropout": 0.0}  # fmt: skip

TINY_LLAMA: dict[str, Any] = {
    **_COMMON, **_ROPE, "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 4,
    "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 32000,
    "max_position_embeddings": 4096, "hidden_act": "silu", "tie_word_embeddings": False,
}  # fmt: skip

TINY_DEEPSEEK: dict[str, Any] = {
    **_COMMON, **_ROPE, "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
    "hidden_size": 512, "intermediate_size": 1024, "moe_intermediate_size": 128,
    "num_hidden_layers": 5, "first_k_dense_replace": 2, "num_attention_heads": 8,
    "num_key_value_heads": 8, "q_lora_rank": 96, "kv_lora_rank": 64, "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 32, "v_head_dim": 32, "n_routed_experts": 16, "n_shared_experts": 1,
    "num_experts_per_tok": 4, "moe_layer_freq": 1, "n_group": 8, "topk_group": 4,
    "topk_method": "noaux_tc", "scoring_func": "sigmoid", "routed_scaling_factor": 2.5,
    "norm_topk_prob": True, "aux_loss_alpha": 0.001, "seq_aux": True, "ep_size": 1,
    "num_nextn_predict_layers": 1, "vocab_size": 1000, "max_position_embeddings": 4096,
    "hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}  # fmt: skip

# name: (config, parameters of the released checkpoint)
PUBLISHED: dict[str, tuple[dict[str, Any], int]] = {
    "mistral-7b-v0.1": ({
        **_COMMON, **_ROPE, "architectures": ["MistralForCausalLM"], "model_type": "mistral",
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "sliding_window": 4096,
        "vocab_size": 32000, "max_position_embeddings": 32768, "hidden_act": "silu",
        "tie_word_embeddings": False,
    }, 7_241_732_096),
    "qwen2.5-7b": ({
        **_COMMON, **_ROPE, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "sliding_window": 131072,
        "use_sliding_window": False, "max_window_layers": 28, "vocab_size": 152064,
        "max_position_embeddings": 131072, "hidden_act": "silu", "tie_word_embeddings": False,
        "use_mrope": False,
    }, 7_615_616_512),
    "gemma-2-2b": ({
        **_COMMON, **_ROPE, "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2",
        "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "sliding_window": 4096, "sliding_window_size": 4096, "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False, "attn_logit_softcapping": 50.0, "cache_implementation": "hybrid",
        "final_logit_softcapping": 30.0, "query_pre_attn_scalar": 256,
    }, 2_614_341_888),
    "gemma-3-1b": ({
        **_COMMON, **_ROPE, "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
        "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26,
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
        "sliding_window": 512, "sliding_window_pattern": 6, "vocab_size": 262144,
        "max_position_embeddings": 32768, "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False, "attn_logit_softcapping": None, "final_logit_softcapping": None,
        "query_pre_attn_scalar": 256, "rope_local_base_freq": 10000,
    }, 999_885_952),
    "phi-3-mini-4k": ({
        **_COMMON, **_ROPE, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
        "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}, "embd_pdrop": 0.0,
        "resid_pdrop": 0.0, "hidden_size": 3072, "intermediate_size": 8192,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096, "sliding_window": 2047, "vocab_size": 32064,
        "max_position_embeddings": 4096, "hidden_act": "silu", "tie_word_embeddings": False,
    }, 3_821_079_552),
    "opt-125m": ({
        **_COMMON, "architectures": ["OPTForCausalLM"], "model_type": "opt",
        "activation_dropout": 0.0, "activation_function": "relu", "attention_dropout": 0.0,
        "do_layer_norm_before": True, "dropout": 0.1, "ffn_dim": 3072, "hidden_size": 768,
        "init_std": 0.02, "layerdrop": 0.0, "max_position_embeddings": 2048,
        "num_attention_heads": 12, "num_hidden_layers": 12, "prefix": "</s>",
        "vocab_size": 50272, "word_embed_proj_dim": 768, "_remove_final_layer_norm": False,
    }, 125_239_296),
    "all-MiniLM-L6-v2": ({
        "architectures": ["BertModel"], "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "hidden_size": 384, "initializer_range": 0.02, "intermediate_size": 1536,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert",
        "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
        "position_embedding_type": "absolute", "transformers_version": "4.8.2",
        "type_vocab_size": 2, "use_cache": True, "vocab_size": 30522,
    }, 22_713_216),
    "gpt-neox-20b": ({
        **_COMMON, "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox",
        "hidden_act": "gelu_fast", "hidden_size": 6144, "intermediate_size": 24576,
        "layer_norm_eps": 1e-5, "max_position_embeddings": 2048, "num_attention_heads": 64,
        "num_hidden_layers": 44, "rotary_emb_base": 10000, "rotary_pct": 0.25,
        "tie_word_embeddings": False, "vocab_size": 50432, "use_parallel_residual": True,
    }, 20_554_567_680),
    "gpt-oss-20b": ({
        **_COMMON, **_ROPE, "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss",
        "attention_bias": True, "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu",
        "hidden_size": 2880, "initial_context_length": 4096, "intermediate_size": 2880,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
        "max_position_embeddings": 131072, "num_attention_heads": 64, "num_experts_per_tok": 4,
        "num_hidden_layers": 24, "num_key_value_heads": 8, "num_local_experts": 32,
        "output_router_logits": False, "router_aux_loss_coef": 0.9, "sliding_window": 128,
        "swiglu_limit": 7.0, "tie_word_embeddings": False, "vocab_size": 201088,
        "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
    }, 20_914_757_184),
}  # fmt: skip


def changed(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the config with fields replaced; a field set to ``...`` is left out."""
    merged = {**config, **changes}
    return {key: value for key, value in merged.items() if value is not ...}


def write(folder: Path, config: dict[str, Any], name: str = "tiny.json") -> Path:
    """Write a config file."""
    path = folder / name
    path.write_text(json.dumps(config))
    return path
