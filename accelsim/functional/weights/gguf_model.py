"""What model a GGUF file holds, from its own key-values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accelsim.documents import printable
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

_ROPE_FACTORS = ("rope.scaling.factor", "rope.scale_linear")
_ROPE_TABLES = ("rope_freqs.", "rope_factors_")


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


def _layers(opened: TensorFile) -> int:
    """Return the number of layers, of each of which there is a tensor."""
    stated = _size(opened, "block_count")
    present = {name.split(".", 2)[1] for name in opened.tensors if name.startswith("blk.")}
    missing = next((layer for layer in range(stated) if str(layer) not in present), None)
    if missing is not None:
        raise WorkloadError(
            f"{opened.path}: block_count is {stated}, but no tensor is named blk.{missing}.*; "
            f"there are tensors of {len(present)} layers: download the file again"
        )
    return stated


def gguf_config(name: str, opened: TensorFile) -> ModelConfig:
    """Return the shape of a decoder of the Llama lineage.

    Raises
    ------
    WorkloadError
        If a key is missing or senseless.
    """
    d_model, n_heads = _size(opened, "embedding_length"), _size(opened, "attention.head_count")
    n_layers = _layers(opened)
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
    return Constants(
        eps=_number(opened, "attention.layer_norm_rms_epsilon", 1e-5),
        rope_theta=_number(opened, "rope.freq_base", 10000.0),
        rope_style=GGUF_FAMILIES[family].rope_style,
        rope_scaling=_scaling(opened, family),
    )


def _scaling(opened: TensorFile, family: str) -> RopeScaling | None:
    """How rotary frequencies are stretched; a factor of 0 or 1, and the type "none", is not at all.

    Files from before the key `rope.scaling.type` have a factor alone, or `rope.scale_linear`.
    """
    kind = opened.metadata.get(f"{family}.rope.scaling.type", "linear")
    tables = [name for name in opened.tensors if name.startswith(_ROPE_TABLES)]
    if not isinstance(kind, str) or kind not in ("linear", "none") or tables:
        told = f"the table '{tables[0]}'" if tables else f"'{printable(str(kind)[:40])}'"
        raise WorkloadError(
            f"{opened.path}: rotary positions stretched by {told} are not executed from GGUF "
            "files; take the safetensors of this model"
        )
    if _number(opened, "rope.scaling.attn_factor", 1.0) != 1:
        raise WorkloadError(
            f"{opened.path}: {family}.rope.scaling.attn_factor, a factor on rotated heads, is not "
            "executed from GGUF files; take the safetensors of this model"
        )
    key = next((k for k in _ROPE_FACTORS if f"{family}.{k}" in opened.metadata), None)
    factor = opened.metadata[f"{family}.{key}"] if key else 1.0
    if key is None or kind == "none" or (isinstance(factor, int | float) and factor in (0, 1)):
        return None
    return RopeScaling("linear", _number(opened, key))
