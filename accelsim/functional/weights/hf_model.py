"""What the transformers library's files say of a model beside its shape: constants and names."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.rope_frequencies import RopeScaling, yarn_attention_factor
from accelsim.functional.transformer.names import hf_name
from accelsim.functional.transformer.spec import Constants
from accelsim.functional.weights.tensor_file import TensorFile
from accelsim.workload.config import ModelConfig

HF_FAMILIES = (
    "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "deepseek_v3", "bert",
)  # fmt: skip
"""Model types whose safetensors are understood."""
_PREFIXES = ("", "bert.", "model.")
"""Of wrapping classes."""
_LAYER = re.compile(r"(?:^|\.)layers?\.([0-9]{1,9})\.")
_WITHOUT_EFFECT = (
    "rotary_emb.inv_freq", "position_ids", ".masked_bias", "pooler.dense.weight",
    "pooler.dense.bias", "lm_head.weight",
)  # fmt: skip
"""Ends of names: tables that follow from the config, poolers, a tied head."""
_EXECUTED = ("linear", "llama3", "yarn")
_LIMIT = 2**40
_DEFAULTS = {"bert": (1e-12, 10000.0), "mixtral": (1e-5, 1e6)}
"""eps and rotary base of configs that leave them out, where not 1e-6 and 10,000."""
_YARN = (
    "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate",
)  # fmt: skip
_SCALING_KEYS = (
    "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings", *_YARN,
)  # fmt: skip


def hf_constants(raw: dict[str, Any], path: Path) -> Constants:
    """Return eps, rotary base and scaling of a config.json.

    Raises
    ------
    WorkloadError
        If a value is senseless, or positions are stretched in a way that is not executed.
    """
    usual_eps, usual_theta = _DEFAULTS.get(str(raw.get("model_type")), (1e-6, 10000.0))
    eps = _first(raw.get("rms_norm_eps"), raw.get("layer_norm_eps"), usual_eps)
    rotary = _first(raw.get("rope_parameters"), {})
    scaling = _first(raw.get("rope_scaling"), {})
    if not isinstance(rotary, dict) or not isinstance(scaling, dict):
        raise WorkloadError(f"{path}: rope_parameters and rope_scaling are tables of values")
    theta = _first(raw.get("rope_theta"), rotary.get("rope_theta"), usual_theta)
    for key, value in (("eps of the norms", eps), ("rope_theta", theta)):
        if not _is_positive(value):
            raise WorkloadError(f"{path}: {key} is {value!r}, expected a positive number")
    stretched = _scaling(scaling or rotary, raw, path)
    deepseek = raw.get("model_type") == "deepseek_v3"
    neighbours = deepseek and _first(raw.get("rope_interleave"), True) is not False
    return Constants(
        eps=float(eps), rope_theta=float(theta),
        rope_style="interleaved" if neighbours else "neox",
        rope_scaling=stretched,
        attention_factor=_score_factor(scaling or rotary, stretched) if deepseek else 1.0,
        gelu_erf=raw.get("hidden_act") == "gelu",
    )  # fmt: skip


def hf_tensor(opened: TensorFile, config: ModelConfig, canonical: str) -> str:
    """Name of a tensor in a file of safetensors, which may carry the prefix of a wrapping class."""
    name = hf_name(canonical, config.family)
    for prefix in _PREFIXES:
        if prefix + name in opened.tensors:
            return prefix + name
    bare = name.removeprefix("model.")
    return bare if bare in opened.tensors else name


def require_no_more_layers(opened: TensorFile, config: ModelConfig, raw: dict[str, Any]) -> None:
    """Refuse a file with tensors of more layers than its config.json has.

    Those that predict several tokens at once stand behind the others, and are left out.

    Raises
    ------
    WorkloadError
        If there are: the first ones alone would run silently.
    """
    extra = _first(raw.get("num_nextn_predict_layers"), 0)
    known = config.n_layers + (extra if isinstance(extra, int) else 0)
    for name in opened.tensors:
        found = _LAYER.search(name)
        if found is not None and int(found[1]) >= known:
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
        and not ((found := _LAYER.search(name)) and int(found[1]) >= layers)
        and not name.startswith("cls.")
    ]
    if left:
        raise WorkloadError(
            f"{printable(str(opened.path))}: {len(left)} tensors have no place in the model that "
            f"config.json describes, first '{printable(left[0][:80])}': its results would not be "
            "the model's"
        )


def _first(*values: Any) -> Any:
    """Return the first that is not None: null in JSON means absent."""
    return next((value for value in values if value is not None), None)


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < _LIMIT


def _scaling(raw: dict[str, Any], whole: dict[str, Any], path: Path) -> RopeScaling | None:
    kind = _first(raw.get("rope_type"), raw.get("type"), "default")
    if kind == "default":
        return None
    if kind not in _EXECUTED:
        raise WorkloadError(
            f"{path}: rope scaling {kind!r} is not executed, only {', '.join(_EXECUTED)}"
        )
    for key in raw:
        if key not in _SCALING_KEYS:
            known = suggest(key, _SCALING_KEYS)
            raise WorkloadError(
                f"{path}: rope scaling {kind!r} has the key '{printable(key[:40])}', which is not "
                f"understood: {known}"
            )
    yarn = kind == "yarn"
    positions = None if kind == "llama3" else whole.get("max_position_embeddings")
    names = ("beta_slow", "beta_fast") if yarn else ("low_freq_factor", "high_freq_factor")
    given = [
        raw.get("factor"), _first(raw.get(names[0]), 1.0),
        _first(raw.get(names[1]), 32.0 if yarn else 4.0),
        _first(raw.get("original_max_position_embeddings"), positions),
    ]  # fmt: skip
    if not all(_is_positive(value) for value in given):
        raise WorkloadError(
            f"{path}: the factors of rope scaling {kind!r} are {given}, expected positive numbers"
        )
    factor, low, high, length = given
    attention = _yarn_factor(raw, float(factor), path) if yarn else 1.0
    try:
        return RopeScaling(kind, float(factor), float(low), float(high), int(length), attention)
    except WorkloadError as problem:
        raise WorkloadError(f"{path}: {problem}") from None


def _score_factor(raw: dict[str, Any], scaling: RopeScaling | None) -> float:
    """Return DeepSeek's factor on attention scores where positions are stretched."""
    weight = _first(raw.get("mscale_all_dim"), 0)
    if scaling is None or scaling.kind != "yarn" or not weight:
        return 1.0
    return yarn_attention_factor(scaling.factor, float(weight)) ** 2


def _yarn_factor(raw: dict[str, Any], factor: float, path: Path) -> float:
    """Return the factor on cosines: as stated, of DeepSeek's two weights, or of the paper."""
    if _first(raw.get("truncate"), True) is not True:
        raise WorkloadError(f"{path}: rope scaling 'yarn' with truncate false is not executed")
    stated = raw.get("attention_factor")
    weights = [_first(raw.get(key), 0) for key in ("mscale", "mscale_all_dim")]
    for key, value in (("attention_factor", _first(stated, 1.0)),
                       *zip(("mscale", "mscale_all_dim"), weights, strict=True)):  # fmt: skip
        if not _is_positive(value) and value != 0:
            raise WorkloadError(f"{path}: {key} of 'yarn' is {value!r}, expected a number from 0")
    if stated:
        return float(stated)
    if all(weights):
        above, below = (yarn_attention_factor(factor, float(weight)) for weight in weights)
        return above / below
    return yarn_attention_factor(factor)
