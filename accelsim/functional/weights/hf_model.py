"""What the transformers library's files say of a model beside its shape: constants and names."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from accelsim.documents import printable
from accelsim.errors import WorkloadError
from accelsim.functional.transformer.spec import Constants
from accelsim.functional.weights.hf_names import HF_NAMES, hf_name
from accelsim.functional.weights.hf_rope import hf_rope
from accelsim.functional.weights.json_values import first_of, is_positive
from accelsim.functional.weights.tensor_file import TensorFile, require_none_left
from accelsim.workload.config import ModelConfig

HF_FAMILIES = tuple(HF_NAMES)
"""Model types whose safetensors are understood."""
_WITHOUT_EFFECT = (
    "rotary_emb.inv_freq", "position_ids", ".masked_bias", "attn.bias", "pooler.dense.weight",
    "pooler.dense.bias", "lm_head.weight",
)  # fmt: skip
"""Ends of names: tables that follow from the config, poolers, a tied head."""
_OTHER_PARTS = ("cls.", "vision_tower.", "multi_modal_projector.")
"""Beginnings of names: heads of pre-training, and what turns images into tokens."""
_PREFIXES = ("", "bert.", "model.", "language_model.")
_BARE_PREFIXES = ("", "model.language_model.")
"""Of wrapping classes; names come with or without the first word of their own."""
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h)\.([0-9]{1,9})\.")
_EPS = {
    "bert": 1e-12, "gpt2": 1e-5, "gpt_neox": 1e-5, "gpt_oss": 1e-5, "mixtral": 1e-5, "opt": 1e-5,
    "phi3": 1e-5,
}  # fmt: skip
"""Of norms where it is not stated, but 1e-6."""
_ACTIVATION = {
    "gemma2": "hidden_activation", "gemma3_text": "hidden_activation",
    "gpt2": "activation_function", "opt": "activation_function",
}  # fmt: skip
_BY_ERF = ("gelu", "gelu_python")
_POSITIVE = {
    "query_size": "query_pre_attn_scalar", "score_cap": "attn_logit_softcapping",
    "logit_cap": "final_logit_softcapping", "swiglu_alpha": "swiglu_alpha",
    "swiglu_limit": "swiglu_limit",
}  # fmt: skip
"""Constants by the name of their key; ours are the defaults of the families."""
_GEMMA_QUERY_SIZE = 256.0
_ONLY = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}


def hf_constants(raw: dict[str, Any], path: Path) -> Constants:
    """Return eps, rotary base and scaling, caps and the like of a config.json.

    Raises
    ------
    WorkloadError
        If a value is senseless, or positions are stretched in a way that is not executed.
    """
    family = raw.get("model_type")
    keys = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon")
    eps = first_of(*(raw.get(key) for key in keys), _EPS.get(str(family), 1e-6))
    if not is_positive(eps):
        raise WorkloadError(f"{path}: eps of the norms is {eps!r}, expected a positive number")
    for key, usual in _ONLY.items():
        if first_of(raw.get(key), usual) is not usual:
            raise WorkloadError(f"{path}: {key} {raw[key]!r} is not executed, only {usual!r} is")
    gemma = family in ("gemma2", "gemma3_text")
    given: dict[str, float] = {"query_size": _GEMMA_QUERY_SIZE} if gemma else {}
    for name, key in _POSITIVE.items():
        value = raw.get(key)
        if value is not None and not is_positive(value):
            raise WorkloadError(f"{path}: {key} is {value!r}, expected a positive number")
        if value is not None:
            given[name] = float(value)
    rotary = hf_rope(raw, path)
    neighbours = family == "deepseek_v3" and first_of(raw.get("rope_interleave"), True)
    return Constants(
        eps=float(eps), rope_theta=rotary.theta, local_rope_theta=rotary.local_theta,
        rope_style="interleaved" if neighbours else "neox",
        rope_scaling=rotary.scaling, attention_factor=rotary.score_factor,
        gelu_erf=raw.get(_ACTIVATION.get(str(family), "hidden_act")) in _BY_ERF, **given,
    )  # fmt: skip


def hf_tensor(opened: TensorFile, config: ModelConfig, canonical: str) -> str:
    """Name of a tensor in a file of safetensors, which may carry the prefix of a wrapping class."""
    name = hf_name(canonical, config.family)
    bare = name.removeprefix("model.").removeprefix("transformer.")
    known = (*(p + name for p in _PREFIXES), *(p + bare for p in _BARE_PREFIXES))
    return next((found for found in known if found in opened.tensors), name)


def require_no_more_layers(opened: TensorFile, config: ModelConfig, raw: dict[str, Any]) -> None:
    """Refuse a file with tensors of more layers than its config.json has.

    Those that predict several tokens at once stand behind the others, and are left out.

    Raises
    ------
    WorkloadError
        If there are: the first ones alone would run silently.
    """
    extra = first_of(raw.get("num_nextn_predict_layers"), 0)
    known = config.n_layers + (extra if isinstance(extra, int) else 0)
    for name in opened.tensors:
        if not _is_other_part(name) and _layer_of(name) >= known:
            raise WorkloadError(
                f"{printable(str(opened.path))}: tensor '{printable(name[:80])}' is of a layer "
                f"that config.json does not have: num_hidden_layers is {config.n_layers}"
            )


def require_all_executed(opened: TensorFile, executed: Container[str], layers: int) -> None:
    """Refuse a file with tensors that would be left out silently.

    Parameters
    ----------
    opened : TensorFile
    executed : container of str
        Names of the tensors that the model runs with.
    layers : int
        Those behind them predict several tokens at once, and are left out.

    Raises
    ------
    WorkloadError
        If there are others: the model has parts that its config.json does not say.
    """
    left = [
        name
        for name in opened.tensors
        if name not in executed
        and not name.endswith(_WITHOUT_EFFECT)
        and not _is_other_part(name)
        and _layer_of(name) < layers
    ]
    require_none_left(opened, left, "the model that config.json describes")


def _is_other_part(name: str) -> bool:
    return name.removeprefix("model.").startswith(_OTHER_PARTS)


def _layer_of(name: str) -> int:
    """Layer of a tensor, -1 outside of layers."""
    found = _LAYER.search(name)
    return int(found[1]) if found else -1
