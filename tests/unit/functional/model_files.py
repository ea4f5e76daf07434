"""Writes tiny models to GGUF files and folders of safetensors, as their users' tools do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.functional.transformer.names import expert_name, is_stacked, tensor_shapes
from accelsim.functional.weights.hf_names import hf_name
from accelsim.workload.config import ModelConfig
from tests.unit.functional.transformer.tiny_models import LLAMA, Table
from tests.unit.functional.weights.writer import Gguf, Tensor, safetensors

Held = dict[str, NDArray[np.float32]]
LLAMA_JSON: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 24,
    "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 6, "vocab_size": 37, "max_position_embeddings": 32,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
    "hidden_act": "silu", "torch_dtype": "float32",
}  # fmt: skip
GGUF_KEYS: dict[str, tuple[str, Any]] = {
    "llama.block_count": ("u32", 2), "llama.embedding_length": ("u32", 24),
    "llama.attention.head_count": ("u32", 4), "llama.attention.head_count_kv": ("u32", 2),
    "llama.feed_forward_length": ("u32", 40), "llama.context_length": ("u32", 32),
    "llama.attention.layer_norm_rms_epsilon": ("f32", 1e-5),
    "llama.attention.key_length": ("u32", 6),
    "llama.rope.freq_base": ("f32", 10000.0), "llama.rope.dimension_count": ("u32", 6),
    "tokenizer.ggml.model": ("text", "gpt2"), "tokenizer.ggml.pre": ("text", "smollm"),
    "tokenizer.ggml.merges": ("array", ("text", ["a b"])),
    "tokenizer.ggml.tokens": ("array", ("text", [chr(97 + i) for i in range(26)] + ["ab"])),
    "tokenizer.ggml.token_type": ("array", ("i32", [1] * 27)),
}  # fmt: skip


def held_of(config: ModelConfig, apart: bool = False) -> Held:
    """Weights of a tiny model by canonical name; `apart`: those of experts one by one."""
    held: Held = {}
    for name, values in Table(tensor_shapes(config)).held.items():
        if apart and is_stacked(name):
            held |= {expert_name(name, e): own for e, own in enumerate(values)}
        else:
            held[name] = values
    return held


def gguf_tensors(held: Held) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, tuple(reversed(values.shape)), 0, values.tobytes())
        for name, values in held.items()
    )


def gguf_keys(family: str = "llama", **change: Any) -> tuple[tuple[str, str, Any], ...]:
    """Keys of a tiny model; in those of `change` two underscores are a dot, and None leaves out."""
    keys = {name.replace("llama.", f"{family}."): value for name, value in GGUF_KEYS.items()}
    keys |= {name.replace("__", "."): value for name, value in change.items()}
    given = tuple((name, *value) for name, value in keys.items() if value is not None)
    return (("general.architecture", "text", family), *given)


def write_gguf(folder: Path, held: Held, family: str = "llama", **change: Any) -> Path:
    """Write one GGUF file."""
    file = folder / "tiny.gguf"
    file.write_bytes(Gguf(gguf_keys(family, **change), gguf_tensors(held)).bytes())
    return file


def write_folder(
    path: Path, config: dict[str, Any], held: Held | None = None, without: str = ""
) -> Path:
    """Write a folder of config.json and safetensors."""
    family, header, data = str(config.get("model_type")), {}, b""
    for name, values in (held_of(LLAMA) if held is None else held).items():
        if name == without:
            continue
        place = [len(data), len(data) + values.nbytes]
        shape = list(values.shape)
        header[hf_name(name, family)] = {"dtype": "F32", "shape": shape, "data_offsets": place}
        data += values.tobytes()
    folder = path / "tiny"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(safetensors(header, data))
    (folder / "config.json").write_text(json.dumps(config))
    return folder
