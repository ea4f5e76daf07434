"""Run by the python of an environment with torch, transformers, gguf and llama-cpp-python.

    peer/bin/python benchmarks/peer_models.py FOLDER

Makes tiny models with random weights, one of every architecture that accelsim reads from files,
and writes beside each the logits that the peer computes in fp32 for the tokens of `ids.npy`.
transformers writes folders of safetensors, llama.cpp reads the GGUF files that `gguf` writes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import torch
import transformers

VOCABULARY, WIDTH, D_FF, LAYERS, HEADS, KV_HEADS = 96, 64, 112, 3, 4, 2
TOKENS, CONTEXT, TRAINED_CONTEXT = 160, 512, 64
SPREAD = 0.3
_PLAIN = {
    "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": D_FF,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": CONTEXT, "initializer_range": SPREAD, "tie_word_embeddings": False,
}  # fmt: skip
_LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": TRAINED_CONTEXT,
}  # fmt: skip
_YARN = {
    "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": TRAINED_CONTEXT,
}  # fmt: skip
_QWEN_MOE = {
    "head_dim": 24, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 48,
}  # fmt: skip
_GPT2 = {
    "vocab_size": VOCABULARY, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS,
    "n_positions": CONTEXT, "initializer_range": SPREAD,
}  # fmt: skip
_UNKNOWN = {
    "GPTNeoX": ("num_key_value_heads",), "OPT": ("num_key_value_heads", "intermediate_size"),
}  # fmt: skip
_GEMMA = {
    "head_dim": 24, "query_pre_attn_scalar": 40, "sliding_window": 16,
    "attn_logit_softcapping": 8.0, "final_logit_softcapping": 12.0,
}  # fmt: skip
_TWO_KINDS = {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]}
_GPT_OSS = {
    "head_dim": 24, "num_local_experts": 6, "num_experts_per_tok": 3, "sliding_window": 16,
    "initializer_range": 0.2,
}  # fmt: skip
_DEEPSEEK = {
    "num_key_value_heads": HEADS, "moe_intermediate_size": 40, "n_shared_experts": 1,
    "n_routed_experts": 8, "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2,
    "first_k_dense_replace": 1, "kv_lora_rank": 32, "q_lora_rank": 24, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16, "v_head_dim": 12,
}  # fmt: skip
FOLDERS = {
    "llama": ("Llama", {}),
    "llama, llama3 positions": ("Llama", {"rope_scaling": _LLAMA3}),
    "llama, YaRN": ("Llama", {"rope_scaling": _YARN}),
    "mistral, window": ("Mistral", {"sliding_window": 16}),
    "mixtral": ("Mixtral", {"num_local_experts": 6, "num_experts_per_tok": 2}),
    "qwen2": ("Qwen2", {}),
    "qwen2, YaRN": ("Qwen2", {"rope_scaling": _YARN}),
    "qwen3": ("Qwen3", {"head_dim": 24}),
    "qwen3_moe": ("Qwen3Moe", _QWEN_MOE | {"norm_topk_prob": True}),
    "qwen3_moe, gates as they are": (
        "Qwen3Moe", _QWEN_MOE | {"norm_topk_prob": False, "mlp_only_layers": [1]},
    ),
    "deepseek_v3": ("DeepseekV3", _DEEPSEEK),
    "deepseek_v3, YaRN": (
        "DeepseekV3",
        _DEEPSEEK | {"q_lora_rank": None} | {
            "rope_scaling": _YARN | {"mscale": 1.0, "mscale_all_dim": 1.0},
        },
    ),
    "gemma2": ("Gemma2", _GEMMA),
    "gemma3": ("Gemma3Text", {"head_dim": 24, "sliding_window": 16} | _TWO_KINDS),
    "gemma3, capped logits, stretched positions": (
        "Gemma3Text",
        _GEMMA | _TWO_KINDS | {
            "attn_logit_softcapping": None,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
                "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
            },
        },
    ),
    "phi3": ("Phi3", {"pad_token_id": 0}),
    "phi3, window, half rotated": (
        "Phi3",
        {"pad_token_id": 0, "sliding_window": 16, "partial_rotary_factor": 0.5},
    ),
    "gpt2": ("GPT2", {"tie_word_embeddings": True}),
    "gpt2, erf, own head": ("GPT2", {"activation_function": "gelu", "n_inner": D_FF}),
    "gpt_neox, half rotated": ("GPTNeoX", {"rotary_pct": 0.5}),
    "gpt_neox, one after the other": (
        "GPTNeoX", {"use_parallel_residual": False, "attention_bias": False},
    ),
    "opt": ("OPT", {"ffn_dim": D_FF, "word_embed_proj_dim": WIDTH}),
    "opt, norms behind": (
        "OPT",
        {"ffn_dim": D_FF, "word_embed_proj_dim": WIDTH, "do_layer_norm_before": False},
    ),
    "gpt_oss": (
        "GptOss",
        _GPT_OSS | {"rope_scaling": _YARN | {"truncate": False, "beta_fast": 4.0}},
    ),
    "gpt_oss, plain positions": (
        "GptOss",
        _GPT_OSS | {"attention_bias": False, "swiglu_limit": 2.0} | _TWO_KINDS | {
            "rope_scaling": {"rope_type": "default"},
        },
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Gguf:
    """A GGUF file to write: its architecture and what it has beside the plain tensors."""

    family: str
    head_dim: int = 16
    experts: int = 0
    used: int = 2
    d_expert: int = D_FF
    bias: bool = False
    normed: bool = False
    table: bool = False
    yarn: bool = False
    layers: int = LAYERS
    sandwich: bool = False
    spread: float = SPREAD
    fused: bool = False
    keys: dict[str, float] = field(default_factory=dict)

    @property
    def kv_heads(self) -> int:
        """GPT-2 has as many as query heads."""
        return HEADS if self.layernorm else KV_HEADS

    @property
    def is_gpt_oss(self) -> bool:
        """Whether every matmul has a bias, and attention has sinks."""
        return self.family == "gpt-oss"

    @property
    def layernorm(self) -> bool:
        """Whether this is the layer of GPT-2: norms and matmuls with biases, no gate."""
        return self.family == "gpt2"


FILES = {
    "llama": Gguf("llama"),
    "llama, rope_freqs": Gguf("llama", table=True),
    "llama, YaRN": Gguf("llama", yarn=True),
    "llama with experts (Mixtral)": Gguf("llama", experts=6),
    "qwen2": Gguf("qwen2", bias=True),
    "qwen3": Gguf("qwen3", 24, normed=True),
    "qwen3moe": Gguf("qwen3moe", 24, experts=8, used=3, d_expert=48, normed=True),
    "gemma2": Gguf(
        "gemma2", 24, sandwich=True,
        keys={"attn_logit_softcapping": 8.0, "final_logit_softcapping": 12.0,
              "attention.sliding_window": 16},
    ),
    "gemma3": Gguf(
        "gemma3", 24, sandwich=True, normed=True, layers=7, keys={"attention.sliding_window": 16}
    ),
    "gemma3, stretched positions": Gguf(
        "gemma3", 24, sandwich=True, normed=True, layers=7,
        keys={"attention.sliding_window": 16, "rope.scaling.factor": 8.0,
              "final_logit_softcapping": 12.0},
    ),
    "gpt-oss": Gguf(
        "gpt-oss", 24, experts=6, used=3, d_expert=48, bias=True, yarn=True, spread=0.2,
        keys={"attention.sliding_window": 16},
    ),
    "phi3": Gguf("phi3", fused=True),
    "gpt2": Gguf("gpt2", fused=True),
}  # fmt: skip


def by_transformers(folder: Path, kind: str, changes: dict[str, object], ids: np.ndarray) -> None:
    """Write a folder of safetensors and its logits."""
    torch.manual_seed(0)
    plain = _GPT2 if kind == "GPT2" else _PLAIN
    unknown = _UNKNOWN.get(kind, ())
    plain = {name: value for name, value in plain.items() if name not in unknown}
    config = getattr(transformers, f"{kind}Config")(**plain | changes)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model = model.eval().float()
    for name, values in (*model.named_parameters(), *model.named_buffers()):
        small = values.ndim == 1 or name.endswith("bias")
        if small and "inv_freq" not in name:
            torch.nn.init.normal_(values, _centre(name), SPREAD)
    with torch.no_grad():
        logits = model(torch.from_numpy(ids)[None]).logits[0].numpy()
    model.save_pretrained(folder)
    np.save(folder.with_suffix(".npy"), logits)


def _centre(name: str) -> float:
    return (
        1.0
        if "norm" in name or name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))
        else 0.0
    )


def by_llama_cpp(path: Path, given: Gguf, ids: np.ndarray) -> None:
    """Write a GGUF file and its logits."""
    writer = gguf.GGUFWriter(path, given.family)
    _write_keys(writer, given)
    _write_tensors(writer, given)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fp32 = llama_cpp.GGML_TYPE_F32
    model = llama_cpp.Llama(
        str(path), n_ctx=CONTEXT, n_batch=CONTEXT, logits_all=True, verbose=False,
        type_k=fp32, type_v=fp32, flash_attn=False,
    )  # fmt: skip
    model.eval(ids.tolist())
    np.save(path.with_suffix(".npy"), np.array(model.scores[: len(ids)], np.float32))


def _write_keys(writer: gguf.GGUFWriter, given: Gguf) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(given.layers)
    writer.add_feed_forward_length(D_FF)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(given.kv_heads)
    writer.add_key_length(given.head_dim)
    writer.add_value_length(given.head_dim)
    writer.add_rope_dimension_count(given.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    for key, value in given.keys.items():
        add = writer.add_uint32 if isinstance(value, int) else writer.add_float32
        add(f"{given.family}.{key}", value)
    if given.experts:
        writer.add_expert_count(given.experts)
        writer.add_expert_used_count(given.used)
        if given.family != "llama":
            writer.add_expert_feed_forward_length(given.d_expert)
    if given.yarn:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(CONTEXT / TRAINED_CONTEXT)
        writer.add_rope_scaling_orig_ctx_len(TRAINED_CONTEXT)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([*(chr(33 + i) for i in range(VOCABULARY - 2)), "ab", "cd"])
    writer.add_token_types([1] * VOCABULARY)
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def _write_tensors(writer: gguf.GGUFWriter, given: Gguf) -> None:
    generator = np.random.default_rng(0)

    def drawn(name: str, *shape: int, mean: float = 0.0) -> None:
        values = mean + given.spread * generator.standard_normal(shape)
        writer.add_tensor(name, values.astype(np.float32))

    def norm(name: str, width: int = WIDTH) -> None:
        drawn(f"{name}.weight", width, mean=1.0)
        if given.layernorm:
            drawn(f"{name}.bias", width)

    def dense(name: str, out: int, width: int, *, bias: bool = given.layernorm) -> None:
        drawn(f"{name}.weight", out, width)
        if bias:
            drawn(f"{name}.bias", out)

    drawn("token_embd.weight", VOCABULARY, WIDTH)
    if given.layernorm:
        drawn("position_embd.weight", CONTEXT, WIDTH)
    norm("output_norm")
    if not given.sandwich:  # Gemma's are tied
        drawn("output.weight", VOCABULARY, WIDTH)
    if given.table:
        table = np.linspace(1, 8, given.head_dim // 2).astype(np.float32)
        writer.add_tensor("rope_freqs.weight", table)
    for layer in range(given.layers):
        at = f"blk.{layer}"
        for name in ("attn_norm", "post_attention_norm" if given.is_gpt_oss else "ffn_norm"):
            norm(f"{at}.{name}")
        if given.is_gpt_oss:
            drawn(f"{at}.attn_sinks.weight", HEADS)
        for name in ("post_attention_norm", "post_ffw_norm") if given.sandwich else ():
            norm(f"{at}.{name}")
        q, kv = HEADS * given.head_dim, given.kv_heads * given.head_dim
        if given.fused:
            dense(f"{at}.attn_qkv", q + 2 * kv, WIDTH)
        else:
            for name, width in (("attn_q", q), ("attn_k", kv), ("attn_v", kv)):
                dense(f"{at}.{name}", width, WIDTH, bias=given.bias)
        for name in ("attn_q_norm", "attn_k_norm") if given.normed else ():
            norm(f"{at}.{name}", given.head_dim)
        dense(f"{at}.attn_output", WIDTH, q, bias=given.layernorm or given.is_gpt_oss)
        if given.experts:
            _write_experts(drawn, at, given)
            continue
        if not given.fused:
            dense(f"{at}.ffn_gate", D_FF, WIDTH)
        dense(f"{at}.ffn_up", 2 * D_FF if given.family == "phi3" else D_FF, WIDTH)
        dense(f"{at}.ffn_down", WIDTH, D_FF)


def _write_experts(drawn: Callable[..., None], at: str, given: Gguf) -> None:
    drawn(f"{at}.ffn_gate_inp.weight", given.experts, WIDTH)
    drawn(f"{at}.ffn_gate_exps.weight", given.experts, given.d_expert, WIDTH)
    drawn(f"{at}.ffn_up_exps.weight", given.experts, given.d_expert, WIDTH)
    drawn(f"{at}.ffn_down_exps.weight", given.experts, WIDTH, given.d_expert)
    if given.is_gpt_oss:
        drawn(f"{at}.ffn_gate_inp.bias", given.experts)
        for name, width in (("gate", given.d_expert), ("up", given.d_expert), ("down", WIDTH)):
            drawn(f"{at}.ffn_{name}_exps.bias", given.experts, width)


def main() -> None:
    folder = Path(sys.argv[1])
    ids = np.random.default_rng(0).integers(0, VOCABULARY, TOKENS)
    np.save(folder / "ids.npy", ids)
    for name, (kind, changes) in FOLDERS.items():
        by_transformers(folder / f"transformers: {name}", kind, changes, ids)
    for name, given in FILES.items():
        by_llama_cpp(folder / f"llama.cpp: {name}.gguf", given, ids)


if __name__ == "__main__":
    main()
