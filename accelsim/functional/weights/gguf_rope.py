"""How a GGUF file says that rotary positions are stretched."""

from __future__ import annotations

from accelsim.documents import printable
from accelsim.functional.rope_frequencies import (
    RopeScaling,
    ScalingKind,
    yarn_attention_factor,
)
from accelsim.functional.weights.gguf_keys import GgufKeys

ROPE_TABLE = "rope_freqs.weight"
"""Factors by which rotary frequencies are divided: the scaling of Llama 3 as a table."""
_OTHER_TABLES = "rope_factors_"
_FACTORS = ("rope.scaling.factor", "rope.scale_linear")
_ELSEWHERE = "are not executed from GGUF files; take the safetensors of this model"


def gguf_rope_scaling(keys: GgufKeys) -> RopeScaling | None:
    """Return the stretching of rotary frequencies; a factor of 0 or 1, or "none", is not at all.

    Files from before the key `rope.scaling.type` have a factor alone, or `rope.scale_linear`.

    Raises
    ------
    WorkloadError
        If a key or table is senseless, or of a kind that is not executed.

    Notes
    -----
    Of YaRN the format leaves out what has a value by convention: beta_fast 32, beta_slow 1, and
    `original_context_length` where it is the model's context. `attn_factor` comes on top of
    YaRN's own factor.
    """
    kind = _kind(keys)
    attention = keys.number("rope.scaling.attn_factor", 1.0)
    factor = 1.0 if kind == "none" else _factor(keys)
    if keys.has(ROPE_TABLE):
        if factor != 1.0:
            raise keys.error(
                f"rotary positions stretched by the table '{ROPE_TABLE}' and by a factor of "
                f"{factor} {_ELSEWHERE}"
            )
        return RopeScaling("table", attention_factor=attention, factors=_table(keys))
    if kind == "yarn" and factor != 1.0:
        return RopeScaling(
            "yarn", factor,
            keys.number("rope.scaling.yarn_beta_slow", 1.0),
            keys.number("rope.scaling.yarn_beta_fast", 32.0),
            keys.size("rope.scaling.original_context_length", keys.size("context_length")),
            attention * _yarn_factor(keys) * yarn_attention_factor(factor),
        )  # fmt: skip
    if factor == 1.0 and attention == 1.0:
        return None
    return RopeScaling("linear", factor, attention_factor=attention)


def _kind(keys: GgufKeys) -> ScalingKind | str:
    kind = keys.raw("rope.scaling.type")
    kind = "linear" if kind is None else kind
    tables = [name for name in keys.opened.tensors if name.startswith(_OTHER_TABLES)]
    if not isinstance(kind, str) or kind not in ("linear", "none", "yarn") or tables:
        told = f"the table '{tables[0]}'" if tables else f"'{printable(str(kind)[:40])}'"
        raise keys.error(f"rotary positions stretched by {printable(told[:80])} {_ELSEWHERE}")
    return kind


def _factor(keys: GgufKeys) -> float:
    key = next((k for k in _FACTORS if keys.raw(k) is not None), None)
    if key is None or (isinstance(keys.raw(key), int | float) and keys.raw(key) in (0, 1)):
        return 1.0
    return keys.number(key)


def _yarn_factor(keys: GgufKeys) -> float:
    """Refuse what changes YaRN further; return its factor in the file, 1 where there is none."""
    for key, usual in (("yarn_log_multiplier", 0.0), ("yarn_ext_factor", 1.0)):
        found = keys.raw(f"rope.scaling.{key}")
        if found is not None and not (isinstance(found, int | float) and found == usual):
            raise keys.wrong(f"rope.scaling.{key}", f"{usual}: others {_ELSEWHERE}")
    return keys.number("rope.scaling.yarn_attn_factor", 1.0)


def _table(keys: GgufKeys) -> tuple[float, ...]:
    """Read the factors; one per rotated pair is checked before they are read."""
    info = keys.opened.info(ROPE_TABLE)
    pairs = keys.size("rope.dimension_count", 2 * info.elements) // 2
    if info.shape != (pairs,):
        raise keys.error(
            f"the table '{ROPE_TABLE}' has shape {list(info.shape)}, expected [{pairs}]: a factor "
            "per pair of elements that rotate"
        )
    return tuple(keys.opened.read(ROPE_TABLE).tolist())
