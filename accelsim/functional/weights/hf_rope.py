"""How a config.json says that rotary positions are stretched, and with which base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.rope_frequencies import RopeScaling, yarn_attention_factor
from accelsim.functional.weights.json_values import first_of, is_positive

_EXECUTED = ("linear", "llama3", "yarn")
_YARN = (
    "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate",
)  # fmt: skip
_SCALING_KEYS = (
    "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings", "partial_rotary_factor", *_YARN,
)  # fmt: skip
_THETA = {"gemma3_text": 1e6, "gpt_oss": 150_000.0, "mixtral": 1e6}
"""Bases where they are not stated, but 10000."""
_GPT_OSS = {
    "rope_type": "yarn", "factor": 32.0, "truncate": False,
    "original_max_position_embeddings": 4096,
}  # fmt: skip


@dataclass(frozen=True)
class HfRope:
    """Rotary positions of a config.

    Attributes
    ----------
    theta : float
    local_theta : float or None
        Of layers with a window, which are not stretched.
    scaling : RopeScaling or None
    score_factor : float
        DeepSeek's factor on attention scores where positions are stretched.
    """

    theta: float
    local_theta: float | None
    scaling: RopeScaling | None
    score_factor: float


def hf_rope(raw: dict[str, Any], path: Path) -> HfRope:
    """Return how the positions of a config.json are rotated.

    Raises
    ------
    WorkloadError
        If a value is senseless, or positions are stretched in a way that is not executed.
    """
    family = str(raw.get("model_type"))
    rotary, local = _tables(raw, path)
    scaling = _table(raw.get("rope_scaling"), path) or rotary
    if family == "gpt_oss" and not scaling:
        scaling = _GPT_OSS
    stated = first_of(raw.get("rope_theta"), raw.get("rotary_emb_base"))
    theta = first_of(stated, rotary.get("rope_theta"), _THETA.get(family), 1e4)
    local_theta = None
    if family == "gemma3_text":
        local_theta = first_of(raw.get("rope_local_base_freq"), local.get("rope_theta"), 1e4)
        if first_of(local.get("rope_type"), "default") != "default":
            raise WorkloadError(f"{path}: stretched positions of sliding layers are not executed")
    for key, value in (("rope_theta", theta), ("rope_local_base_freq", local_theta)):
        if value is not None and not is_positive(value):
            raise WorkloadError(f"{path}: {key} is {value!r}, expected a positive number")
    stretched = _scaling(scaling, raw, path)
    return HfRope(
        float(theta), None if local_theta is None else float(local_theta), stretched,
        _score_factor(scaling, stretched) if family == "deepseek_v3" else 1.0,
    )  # fmt: skip


def _table(value: Any, path: Path) -> dict[str, Any]:
    found = first_of(value, {})
    if not isinstance(found, dict):
        raise WorkloadError(f"{path}: rope_parameters and rope_scaling are tables of values")
    return found


def _tables(raw: dict[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of global layers (or all) and of local ones; Gemma 3 has a table for each."""
    both = _table(raw.get("rope_parameters"), path)
    kinds = ("full_attention", "sliding_attention")
    if not any(kind in both for kind in kinds):
        return both, {}
    whole, local = (_table(both.get(kind), path) for kind in kinds)
    return whole, local


def _scaling(raw: dict[str, Any], whole: dict[str, Any], path: Path) -> RopeScaling | None:
    kind = first_of(raw.get("rope_type"), raw.get("type"), "default")
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
    # Linear scaling has no use for the context of training; llama3 has to state it.
    usual = {"yarn": whole.get("max_position_embeddings"), "linear": RopeScaling.original_positions}
    names = ("beta_slow", "beta_fast") if yarn else ("low_freq_factor", "high_freq_factor")
    given = [
        raw.get("factor"), first_of(raw.get(names[0]), 1.0),
        first_of(raw.get(names[1]), 32.0 if yarn else 4.0),
        first_of(raw.get("original_max_position_embeddings"), usual.get(kind)),
    ]  # fmt: skip
    if not all(is_positive(value) for value in given):
        raise WorkloadError(
            f"{path}: the factors of rope scaling {kind!r} are {given}, expected positive numbers"
        )
    factor, low, high, length = given
    attention = _yarn_factor(raw, float(factor), path) if yarn else 1.0
    truncate = first_of(raw.get("truncate"), True)
    if not isinstance(truncate, bool):
        raise WorkloadError(f"{path}: truncate of {kind!r} is {truncate!r}, expected true or false")
    try:
        return RopeScaling(
            kind, float(factor), float(low), float(high), int(length), attention,
            whole_pairs=truncate or not yarn,
        )  # fmt: skip
    except WorkloadError as problem:
        raise WorkloadError(f"{path}: {problem}") from None


def _score_factor(raw: dict[str, Any], scaling: RopeScaling | None) -> float:
    """Return DeepSeek's factor on attention scores where positions are stretched."""
    weight = first_of(raw.get("mscale_all_dim"), 0)
    if scaling is None or scaling.kind != "yarn" or not weight:
        return 1.0
    return yarn_attention_factor(scaling.factor, float(weight)) ** 2


def _yarn_factor(raw: dict[str, Any], factor: float, path: Path) -> float:
    """Return the factor on cosines: as stated, of DeepSeek's two weights, or of the paper."""
    stated = raw.get("attention_factor")
    weights = [first_of(raw.get(key), 0) for key in ("mscale", "mscale_all_dim")]
    for key, value in (("attention_factor", first_of(stated, 1.0)),
                       *zip(("mscale", "mscale_all_dim"), weights, strict=True)):  # fmt: skip
        if not is_positive(value) and value != 0:
            raise WorkloadError(f"{path}: {key} of 'yarn' is {value!r}, expected a number from 0")
    if stated:
        return float(stated)
    if all(weights):
        above, below = (yarn_attention_factor(factor, float(weight)) for weight in weights)
        return above / below
    return yarn_attention_factor(factor)
