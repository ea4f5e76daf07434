"""What model a GGUF file holds, from its own key-values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from accelsim.functional.rope import RopeStyle
from accelsim.functional.transformer.spec import Constants
from accelsim.functional.weights.gguf_keys import GgufKeys
from accelsim.functional.weights.gguf_layers import gguf_layers
from accelsim.functional.weights.gguf_rope import gguf_rope_scaling
from accelsim.workload.attention_config import AttentionConfig, WindowConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import (
    Activation,
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    MoeConfig,
    NormConfig,
    PositionConfig,
    PositionKind,
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
    positions : str
    norm : NormConfig
        But for norms on q and k, which the file's tensors tell.
    activation : str
    gated : bool
    scores : str
        Of routers, where the file leaves it to the architecture.
    sinks : bool
    scaled : bool
        Embeddings are multiplied by the root of d_model.
    capped : bool
        Scores and logits are capped even where the file does not say at what.
    window : int
        Where the file has none; 0: none.
    global_every : int
        Of so many layers the last one has no window; 1: all layers have it.
    local_rope_theta : float or None
        Base of layers with a window, where it is another.
    largest : int
        Layers of the size whose scores are divided by the root of d_model / n_heads, not of
        head_dim; 0: there is none.
    """

    rope_style: RopeStyle = "neox"
    positions: PositionKind = "rope"
    norm: NormConfig = field(default_factory=NormConfig)
    activation: Activation = "silu"
    gated: bool = True
    scores: RoutingScores = "softmax"
    sinks: bool = False
    scaled: bool = False
    capped: bool = False
    window: int = 0
    global_every: int = 1
    local_rope_theta: float | None = None
    largest: int = 0


_SANDWICH = NormConfig(placement="sandwich")
GGUF_FAMILIES = {
    "llama": GgufFamily("interleaved"),
    "mistral": GgufFamily("interleaved"),
    "qwen2": GgufFamily(),
    "qwen3": GgufFamily(),
    "qwen3moe": GgufFamily(),
    "gemma2": GgufFamily(
        norm=_SANDWICH, activation="gelu", scaled=True, capped=True, window=4096, global_every=2,
        largest=46,
    ),
    "gemma3": GgufFamily(
        norm=_SANDWICH, activation="gelu", scaled=True, global_every=6, local_rope_theta=1e4,
        largest=62,
    ),
    "gpt-oss": GgufFamily(
        activation="swiglu_oai", scores="softmax_topk", sinks=True, global_every=2
    ),
    "phi3": GgufFamily(),
    "gpt2": GgufFamily(
        positions="learned", norm=NormConfig("layernorm", bias=True), activation="gelu",
        gated=False,
    ),
}  # fmt: skip
"""Architectures that are executed; Mixtral is a "llama" with experts."""

_SCORE_CAP, _LOGIT_CAP = "attn_logit_softcapping", "final_logit_softcapping"
_EPS = {"rmsnorm": "layer_norm_rms_epsilon", "layernorm": "layer_norm_epsilon"}
_PATTERN = "attention.sliding_window_pattern"
_SCORES: dict[int, RoutingScores] = {1: "softmax", 2: "sigmoid", 3: "softmax_topk"}
"""By `expert_gating_func`; 0 leaves it to the architecture."""


def gguf_config(name: str, keys: GgufKeys) -> ModelConfig:
    """Return the shape of a decoder.

    Raises
    ------
    WorkloadError
        If a key is missing or senseless.
    """
    d_model, n_heads = keys.size("embedding_length"), keys.size("attention.head_count")
    n_layers = gguf_layers(keys)
    head_dim = keys.size("attention.key_length", max(1, d_model // n_heads))
    family = GGUF_FAMILIES[keys.family]
    if keys.raw(_SCORE_CAP) is not None and not family.capped:
        raise keys.wrong(_SCORE_CAP, f"none: the scores of a {keys.family} are not capped")
    if not keys.has("token_embd.weight"):
        raise keys.error("there is no tensor 'token_embd.weight'")
    attention = AttentionConfig(
        n_heads, keys.size("attention.head_count_kv", n_heads), head_dim,
        keys.size("attention.value_length", head_dim),
        qkv_bias=keys.has("blk.0.attn_q.bias") or keys.has("blk.0.attn_qkv.bias"),
        o_bias=keys.has("blk.0.attn_output.bias"), window=_window(keys, n_layers),
        sinks=family.sinks, softcap=family.capped,
    )  # fmt: skip
    moe = _experts(keys, n_layers)
    dense = moe is None or bool(moe.dense_layers)
    return ModelConfig(
        name=name,
        family=keys.family,
        n_layers=n_layers,
        d_model=d_model,
        embedding=EmbeddingConfig(
            keys.opened.tensors["token_embd.weight"].shape[0], scaled=family.scaled
        ),
        position=PositionConfig(
            family.positions, keys.size("context_length"),
            rotary_dim=keys.size("rope.dimension_count", head_dim)
            if family.positions == "rope"
            else None,
        ),
        attention=attention,
        norm=replace(family.norm, qk=keys.has("blk.0.attn_q_norm.weight")),
        mlp=MlpConfig(
            keys.size("feed_forward_length"), family.gated, family.activation,
            bias=keys.has("blk.0.ffn_up.bias"),
        )
        if dense
        else None,
        moe=moe,
        head=HeadConfig(
            tied=not keys.has("output.weight"),
            bias=keys.has("output.weight") and keys.has("output.bias"),
            softcap=family.capped or keys.raw(_LOGIT_CAP) is not None,
        ),
        precision=PrecisionConfig("bf16"),
    )  # fmt: skip


def _window(keys: GgufKeys, n_layers: int) -> WindowConfig | None:
    """Return the window of a file, in the layers in which its architecture has one."""
    family = GGUF_FAMILIES[keys.family]
    if keys.raw("attention.sliding_window") is None and not family.window:
        return None
    every = family.global_every
    if keys.raw(_PATTERN) not in (None, every):
        raise keys.wrong(_PATTERN, f"{every}: others are not executed")
    local = tuple(n for n in range(n_layers) if every == 1 or (n + 1) % every)
    size = keys.size("attention.sliding_window", family.window)
    return WindowConfig(size, local) if local else None


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
    if gating and gating not in _SCORES:
        raise keys.wrong("expert_gating_func", "1 (softmax), 2 (sigmoid) or 3 (of the chosen)")
    family = GGUF_FAMILIES[keys.family]
    routing = RoutingConfig(
        _SCORES[gating] if gating else family.scores,
        keys.flag("expert_weights_norm", True),
        keys.number("expert_weights_scale", least=-1.0, default=0.0) or 1.0,
        n_groups=keys.count("expert_group_count") or 1,
        topk_groups=keys.count("expert_group_used_count") or 1,
    )
    width = keys.raw("expert_feed_forward_length")
    expert = "feed_forward_length" if width is None else "expert_feed_forward_length"
    network = MlpConfig(
        keys.size(expert), activation=family.activation, bias=keys.has("blk.0.ffn_up_exps.bias")
    )
    return MoeConfig(
        n_experts, keys.size("expert_used_count"), network, dense_layers=dense,
        router_bias=keys.has("blk.0.ffn_gate_inp.bias"), routing=routing,
    )  # fmt: skip


def gguf_constants(keys: GgufKeys) -> Constants:
    """Return the constants of a decoder.

    Raises
    ------
    WorkloadError
        If a key is senseless, or positions are stretched in a way that is not executed.
    """
    family = GGUF_FAMILIES[keys.family]
    eps = f"attention.{_EPS[family.norm.kind]}"
    largest = keys.size("block_count") == family.largest
    query_size = keys.size("embedding_length") / keys.size("attention.head_count")
    return Constants(
        eps=keys.number(eps, 1e-5),
        rope_theta=keys.number("rope.freq_base", 10000.0),
        local_rope_theta=family.local_rope_theta and keys.number(
            "rope.freq_base_swa", family.local_rope_theta
        ),
        rope_style=family.rope_style,
        rope_scaling=gguf_rope_scaling(keys),
        query_size=query_size if largest else None,
        score_cap=keys.number(_SCORE_CAP, 50.0),
        logit_cap=keys.number(_LOGIT_CAP, 30.0),
    )  # fmt: skip
