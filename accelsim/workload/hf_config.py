"""Importer of Hugging Face ``config.json``: the table of families, and one function.

A family is a row: the function that reads it and the keys that it may ignore.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from accelsim.documents import Document, Path_
from accelsim.errors import WorkloadError, suggest
from accelsim.workload import hf_dense, hf_moe
from accelsim.workload.config import ModelConfig
from accelsim.workload.hf_reader import ConfigReader


@dataclass(frozen=True)
class Family:
    """How configs of one model_type are read.

    Attributes
    ----------
    build : callable
        Makes the model from the reader and a name.
    ignorable : tuple of str
        Keys of this family that change no shape.
    """

    build: Callable[[ConfigReader, str], ModelConfig]
    ignorable: tuple[str, ...] = ()


_ROUTING = ("norm_topk_prob", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise")
_GEMMA = (
    "hidden_act", "query_pre_attn_scalar", "rope_local_base_freq", "rope_parameters",
)  # fmt: skip

FAMILIES: dict[str, Family] = {
    "llama": Family(hf_dense.llama, ("is_llama_config", "rope_interleaved", "rope_parameters")),
    "mistral": Family(hf_dense.mistral, ("rope_parameters",)),
    "mixtral": Family(hf_moe.mixtral, (*_ROUTING, "rope_parameters")),
    "qwen2": Family(hf_dense.qwen2, ("rope_parameters", "use_mrope")),
    "qwen3": Family(hf_dense.qwen3, ("rope_parameters",)),
    "qwen3_moe": Family(hf_moe.qwen3_moe, (*_ROUTING, "rope_parameters")),
    "gpt2": Family(
        hf_dense.gpt2,
        (
            "_num_labels", "attn_pdrop", "embd_pdrop", "n_ctx", "n_special",
            "predict_special_tokens", "reorder_and_upcast_attn",
            "scale_attn_by_inverse_layer_idx", "scale_attn_weights", "summary_activation",
            "summary_first_dropout", "summary_proj_to_labels", "summary_type",
            "summary_use_proj",
        ),
    ),
    "gpt_neox": Family(
        hf_dense.gpt_neox, (
            "classifier_dropout", "rope_parameters", "rotary_emb_base", "use_parallel_attention",
        ),
    ),
    "gemma2": Family(hf_dense.gemma2, _GEMMA),
    "gemma3": Family(hf_dense.gemma3, _GEMMA),
    "gemma3_text": Family(hf_dense.gemma3, _GEMMA),
    "phi3": Family(
        hf_dense.phi3,
        ("embd_pdrop", "original_max_position_embeddings", "resid_pdrop"),
    ),
    "opt": Family(
        hf_dense.opt, ("activation_dropout", "init_std", "layerdrop", "prefix"),
    ),
    "bert": Family(
        hf_dense.bert,
        ("attention_probs_dropout_prob", "classifier_dropout", "directionality", "pooler_fc_size",
         "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
         "pooler_type", "tie_word_embeddings"),
    ),
    "deepseek_v3": Family(
        hf_moe.deepseek_v3,
        (*_ROUTING, "aux_loss_alpha", "ep_size", "head_dim", "rope_interleave", "rope_parameters",
         "seq_aux"),
    ),
    "gpt_oss": Family(
        hf_moe.gpt_oss,
        (*_ROUTING, "initial_context_length", "rope_parameters", "swiglu_alpha", "swiglu_limit"),
    ),
}  # fmt: skip

_IMAGE_KEYS = (
    "boi_token_index", "eoi_token_index", "image_token_index", "mm_tokens_per_image",
    "vision_config",
)  # fmt: skip
"""Keys beside a nested text_config that belong to the image encoder."""


def read_hf_config(document: Document, name: str, keys: Path_ = ()) -> ModelConfig:
    """Return the model that a Hugging Face config describes.

    Parameters
    ----------
    document : Document
        The file.
    name : str
        Name for results.
    keys : tuple
        Where the config lies in the file.

    Raises
    ------
    WorkloadError
        If the model_type is unknown, a field has a bad value, or a key is not understood.
    """
    outer = ConfigReader(document, keys)
    kind = outer.raw("model_type")
    if "text_config" in outer.tree and kind == "gemma3":
        return _nested_text(outer, document, name, keys)
    if not isinstance(kind, str) or kind not in FAMILIES:
        near = suggest(str(kind), FAMILIES)
        known = ", ".join(sorted(FAMILIES))
        hint = "" if near.startswith("known") else f"{near} "
        raise outer.error("model_type", f"unknown architecture '{kind}': {hint}known: {known}")
    family = FAMILIES[kind]
    try:
        model = family.build(outer, name)
    except WorkloadError as problem:
        if str(problem).startswith(document.path):
            raise
        raise WorkloadError(f"{document.where(keys)}: {problem}") from None
    outer.finish(family.ignorable)
    return model


def _nested_text(outer: ConfigReader, document: Document, name: str, keys: Path_) -> ModelConfig:
    """Return the text model of a config that also describes an image encoder."""
    outer.raw("text_config")
    outer.dtype()
    outer.only("tie_word_embeddings", True)
    outer.finish(_IMAGE_KEYS)
    inner: dict[str, object] = {"model_type": "gemma3_text"}
    if isinstance(outer.tree["text_config"], dict):
        inner = {**inner, "torch_dtype": outer.dtype(), **outer.tree["text_config"]}
        tree: dict[Any, Any] = {**outer.tree, "text_config": inner}
        for key in reversed(keys):
            tree = {key: tree}
        document = replace(document, tree=tree)
    model = read_hf_config(document, name, (*keys, "text_config"))
    return replace(model, notes=(*model.notes, "text model only, the image encoder is left out"))
