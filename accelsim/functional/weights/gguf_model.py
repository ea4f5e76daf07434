"""What model a GGUF file holds, from its own key-values."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.functional.rope import RopeStyle
from accelsim.functional.transformer.spec import Constants
from accelsim.functional.weights.gguf_keys import GgufKeys
from accelsim.functional.weights.gguf_layers import gguf_layers
from accelsim.functional.weights.gguf_rope import gguf_rope_scaling
from accelsim.workload.attention_config import AttentionConfig, WindowConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import (
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    MoeConfig,
    NormConfig,
    PositionConfig,
    PrecisionConfig,
)
from accelsim.workload.routing_config import RoutingConfig, RoutingScores


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
    "qwen3moe": GgufFamily("neox"),
}
"""Architectures that are executed; Mixtral is a "llama" with experts."""

_SCORES: dict[int, RoutingScores] = {0: "softmax", 1: "softmax", 2: "sigmoid", 3: "softmax_topk"}
"""By `expert_gating_func`; 0 leaves it to the architecture."""


def gguf_config(name: str, keys: GgufKeys) -> ModelConfig:
    """Return the shape of a decoder of the Llama lineage.

    Raises
    ------
    WorkloadError
        If a key is missing or senseless.
    """
    d_model, n_heads = keys.size("embedding_length"), keys.size("attention.head_count")
    n_layers = gguf_layers(keys)
    head_dim = keys.size("attention.key_length", max(1, d_model // n_heads))
    window = None
    if keys.raw("attention.sliding_window") is not None:
        window = WindowConfig(keys.size("attention.sliding_window"), tuple(range(n_layers)))
    if not keys.has("token_embd.weight"):
        raise keys.error("there is no tensor 'token_embd.weight'")
    attention = AttentionConfig(
        n_heads, keys.size("attention.head_count_kv", n_heads), head_dim,
        keys.size("attention.value_length", head_dim),
        qkv_bias=keys.has("blk.0.attn_q.bias"), o_bias=keys.has("blk.0.attn_output.bias"),
        window=window,
    )  # fmt: skip
    moe = _experts(keys, n_layers)
    dense = moe is None or bool(moe.dense_layers)
    return ModelConfig(
        name=name,
        family=keys.family,
        n_layers=n_layers,
        d_model=d_model,
        embedding=EmbeddingConfig(keys.opened.tensors["token_embd.weight"].shape[0]),
        position=PositionConfig(
            "rope", keys.size("context_length"),
            rotary_dim=keys.size("rope.dimension_count", head_dim),
        ),
        attention=attention,
        norm=NormConfig(qk=keys.has("blk.0.attn_q_norm.weight")),
        mlp=MlpConfig(keys.size("feed_forward_length"), bias=keys.has("blk.0.ffn_up.bias"))
        if dense
        else None,
        moe=moe,
        head=HeadConfig(
            tied=not keys.has("output.weight"),
            bias=keys.has("output.weight") and keys.has("output.bias"),
        ),
        precision=PrecisionConfig("bf16"),
    )  # fmt: skip


def _experts(keys: GgufKeys, n_layers: int) -> MoeConfig | None:
    """Return the experts of a file; layers without a router have none."""
    n_experts = keys.count("expert_count")
    dense = tuple(n for n in range(n_layers) if not keys.has(f"blk.{n}.ffn_gate_inp.weight"))
    if not n_experts or len(dense) == n_layers:
        if n_experts or len(dense) < n_layers:
            raise keys.error(
                f"expert_count is {n_experts}, but {n_layers - len(dense)} of {n_layers} layers "
                "have a router (blk.*.ffn_gate_inp.weight)"
            )
        return None
    gating = keys.count("expert_gating_func")
    if gating not in _SCORES:
        raise keys.wrong("expert_gating_func", "1 (softmax), 2 (sigmoid) or 3 (of the chosen)")
    routing = RoutingConfig(
        _SCORES[gating],
        keys.flag("expert_weights_norm", True),
        keys.number("expert_weights_scale", least=-1.0, default=0.0) or 1.0,
        n_groups=keys.count("expert_group_count") or 1,
        topk_groups=keys.count("expert_group_used_count") or 1,
    )
    width = keys.raw("expert_feed_forward_length")
    expert = "feed_forward_length" if width is None else "expert_feed_forward_length"
    return MoeConfig(
        n_experts, keys.size("expert_used_count"), MlpConfig(keys.size(expert)),
        dense_layers=dense, routing=routing,
    )  # fmt: skip


def gguf_constants(keys: GgufKeys) -> Constants:
    """Return the constants of a decoder of the Llama lineage.

    Raises
    ------
    WorkloadError
        If a key is senseless, or positions are stretched in a way that is not executed.
    """
    return Constants(
        eps=keys.number("attention.layer_norm_rms_epsilon", 1e-5),
        rope_theta=keys.number("rope.freq_base", 10000.0),
        rope_style=GGUF_FAMILIES[keys.family].rope_style,
        rope_scaling=gguf_rope_scaling(keys),
    )
