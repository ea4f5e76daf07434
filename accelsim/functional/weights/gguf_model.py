"""What model a GGUF file holds, from its own key-values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accelsim.errors import WorkloadError
from accelsim.functional.rope import RopeScaling, RopeStyle
from accelsim.functional.transformer.spec import Constants
from accelsim.functional.weights.tensor_file import TensorFile
from accelsim.workload.attention_config import AttentionConfig, WindowConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import (
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    NormConfig,
    PositionConfig,
    PrecisionConfig,
)


@dataclass(frozen=True)
class GgufFamily:
    """What an architecture's name implies.

    Attributes
    ----------
    rope_style : str
        llama.cpp permutes the rows of q and k of the Llama lineage: neighbours rotate.
    """

    rope_style: RopeStyle


GGUF_FAMILIES = {
    "llama": GgufFamily("interleaved"),
    "mistral": GgufFamily("interleaved"),
    "qwen2": GgufFamily("neox"),
    "qwen3": GgufFamily("neox"),
}


def _number(opened: TensorFile, key: str, default: float | None = None) -> float:
    """A positive number of the architecture's own keys."""
    full = f"{opened.metadata.get('general.architecture')}.{key}"
    value: Any = opened.metadata.get(full, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**40:
        raise WorkloadError(f"{opened.path}: {full} is {value!r}, expected a positive number")
    return float(value)


def _size(opened: TensorFile, key: str, default: int | None = None) -> int:
    value = _number(opened, key, default)
    if value != int(value):
        raise WorkloadError(f"{opened.path}: {key} is {value}, expected a whole number")
    return int(value)


def gguf_config(name: str, opened: TensorFile) -> ModelConfig:
    """Return the shape of a decoder of the Llama lineage.

    Raises
    ------
    WorkloadError
        If a key is missing or senseless.
    """
    d_model, n_heads = _size(opened, "embedding_length"), _size(opened, "attention.head_count")
    n_layers = _size(opened, "block_count")
    head_dim = _size(opened, "attention.key_length", max(1, d_model // n_heads))
    tensors = opened.tensors
    window = None
    if f"{opened.metadata['general.architecture']}.attention.sliding_window" in opened.metadata:
        window = WindowConfig(_size(opened, "attention.sliding_window"), tuple(range(n_layers)))
    if "blk.0.ffn_gate_inp.weight" in tensors:
        raise WorkloadError(f"{opened.path}: experts are not read from GGUF files")
    if "token_embd.weight" not in tensors:
        raise WorkloadError(f"{opened.path}: there is no tensor 'token_embd.weight'")
    attention = AttentionConfig(
        n_heads, _size(opened, "attention.head_count_kv", n_heads), head_dim,
        _size(opened, "attention.value_length", head_dim),
        qkv_bias="blk.0.attn_q.bias" in tensors, o_bias="blk.0.attn_output.bias" in tensors,
        window=window,
    )  # fmt: skip
    return ModelConfig(
        name=name,
        family=str(opened.metadata["general.architecture"]),
        n_layers=n_layers,
        d_model=d_model,
        embedding=EmbeddingConfig(tensors["token_embd.weight"].shape[0]),
        position=PositionConfig(
            "rope", _size(opened, "context_length"),
            rotary_dim=_size(opened, "rope.dimension_count", head_dim),
        ),
        attention=attention,
        norm=NormConfig(qk="blk.0.attn_q_norm.weight" in tensors),
        mlp=MlpConfig(_size(opened, "feed_forward_length")),
        head=HeadConfig(tied="output.weight" not in tensors),
        precision=PrecisionConfig("bf16"),
    )  # fmt: skip


def gguf_constants(opened: TensorFile) -> Constants:
    """Return the constants of a decoder of the Llama lineage.

    Raises
    ------
    WorkloadError
        If a key is senseless, or positions are stretched in a way that is not executed.
    """
    family = str(opened.metadata["general.architecture"])
    kind = opened.metadata.get(f"{family}.rope.scaling.type", "none")
    scaling = None
    if kind == "linear":
        scaling = RopeScaling("linear", _number(opened, "rope.scaling.factor"))
    elif kind != "none" or "rope_freqs.weight" in opened.tensors:
        raise WorkloadError(
            f"{opened.path}: rotary positions stretched by '{kind}' or by a table are not "
            "executed from GGUF files; take the safetensors of this model"
        )
    return Constants(
        eps=_number(opened, "attention.layer_norm_rms_epsilon", 1e-5),
        rope_theta=_number(opened, "rope.freq_base", 10000.0),
        rope_style=GGUF_FAMILIES[family].rope_style,
        rope_scaling=scaling,
    )
