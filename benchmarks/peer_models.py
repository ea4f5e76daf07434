"""Run by the python of an environment with torch, transformers, gguf and llama-cpp-python.

    peer/bin/python benchmarks/peer_models.py FOLDER

Makes tiny models with random weights, one of every architecture that accelsim reads from files,
and writes beside each the logits that the peer computes in fp32 for the tokens of `ids.npy`.
transformers writes folders of safetensors, llama.cpp reads the GGUF files that `gguf` writes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
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


FILES = {
    "llama": Gguf("llama"),
    "llama, rope_freqs": Gguf("llama", table=True),
    "llama, YaRN": Gguf("llama", yarn=True),
    "llama with experts (Mixtral)": Gguf("llama", experts=6),
    "qwen2": Gguf("qwen2", bias=True),
    "qwen3": Gguf("qwen3", 24, normed=True),
    "qwen3moe": Gguf("qwen3moe", 24, experts=8, used=3, d_expert=48, normed=True),
}


def by_transformers(folder: Path, kind: str, changes: dict[str, object], ids: np.ndarray) -> None:
    """Write a folder of safetensors and its logits."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**_PLAIN | changes)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model = model.eval().float()
    for name, values in (*model.named_parameters(), *model.named_buffers()):
        if values.ndim == 1 and "inv_freq" not in name:
            torch.nn.init.normal_(values, 1.0 if "norm" in name else 0.0, SPREAD)
    with torch.no_grad():
        logits = model(torch.from_numpy(ids)[None]).logits[0].numpy()
    model.save_pretrained(folder)
    np.save(folder.with_suffix(".npy"), logits)


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
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(D_FF)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(given.head_dim)
    writer.add_value_length(given.head_dim)
    writer.add_rope_dimension_count(given.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
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
        values = mean + SPREAD * generator.standard_normal(shape)
        writer.add_tensor(name, values.astype(np.float32))

    drawn("token_embd.weight", VOCABULARY, WIDTH)
    drawn("output_norm.weight", WIDTH, mean=1.0)
    drawn("output.weight", VOCABULARY, WIDTH)
    if given.table:
        table = np.linspace(1, 8, given.head_dim // 2).astype(np.float32)
        writer.add_tensor("rope_freqs.weight", table)
    for layer in range(LAYERS):
        at = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            drawn(f"{at}.{norm}.weight", WIDTH, mean=1.0)
        for name, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS), ("attn_v", KV_HEADS)):
            drawn(f"{at}.{name}.weight", heads * given.head_dim, WIDTH)
            if given.bias:
                drawn(f"{at}.{name}.bias", heads * given.head_dim)
        if given.normed:
            for name in ("attn_q_norm", "attn_k_norm"):
                drawn(f"{at}.{name}.weight", given.head_dim, mean=1.0)
        drawn(f"{at}.attn_output.weight", WIDTH, HEADS * given.head_dim)
        stack, width = ((given.experts,), given.d_expert) if given.experts else ((), D_FF)
        tail = "_exps" if given.experts else ""
        if given.experts:
            drawn(f"{at}.ffn_gate_inp.weight", given.experts, WIDTH)
        drawn(f"{at}.ffn_gate{tail}.weight", *stack, width, WIDTH)
        drawn(f"{at}.ffn_up{tail}.weight", *stack, width, WIDTH)
        drawn(f"{at}.ffn_down{tail}.weight", *stack, WIDTH, width)


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
