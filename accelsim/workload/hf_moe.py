"""Hugging Face configs of mixtures of experts: one function per family."""

from __future__ import annotations

from accelsim.workload.attention_config import AttentionConfig, LatentConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.hf_dense import (
    gated_mlp,
    grouped_attention,
    qwen_window,
    rotary,
    uniform_window,
)
from accelsim.workload.hf_reader import ConfigReader
from accelsim.workload.layer_config import (
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    MoeConfig,
    NormConfig,
    PrecisionConfig,
)
from accelsim.workload.routing_config import RoutingConfig


def mixtral(reader: ConfigReader, name: str) -> ModelConfig:
    """Mixtral: experts in every layer."""
    layers = tuple(range(reader.layers()))
    window = uniform_window(reader.optional_size("sliding_window"), layers)
    moe = MoeConfig(_experts(reader, "num_local_experts"), _topk(reader), gated_mlp(reader))
    return _moe_model(reader, name, grouped_attention(reader, window=window), moe)


def qwen3_moe(reader: ConfigReader, name: str) -> ModelConfig:
    """Qwen 3 with experts: norms on q and k, no shared expert."""
    reader.only("qkv_bias", False)
    reader.only("use_qk_norm", True)
    reader.only("shared_expert_intermediate_size", 0)
    n_layers = reader.layers()
    step = reader.size("decoder_sparse_step", 1)
    listed = reader.raw("mlp_only_layers", [])
    whole = isinstance(listed, list) and all(type(i) is int and 0 <= i < n_layers for i in listed)
    if not whole:
        raise reader.error("mlp_only_layers", f"got {listed!r}, expected a list of layer indices")
    dense = tuple(i for i in range(n_layers) if i in listed or (i + 1) % step)
    activation = reader.activation("hidden_act", "silu")
    expert = MlpConfig(reader.size("moe_intermediate_size"), True, activation)
    mlp = MlpConfig(reader.size("intermediate_size"), True, activation)
    bias = reader.flag("attention_bias", False)
    attention = grouped_attention(reader, qkv_bias=bias, o_bias=bias, window=qwen_window(reader))
    # Later versions of the transformers library have the other name, as Mixtral's.
    n_experts = reader.size("num_experts", reader.raw("num_local_experts", None))
    reader.only("num_local_experts", n_experts)
    routing = RoutingConfig(normalised=reader.flag("norm_topk_prob", False))
    moe = MoeConfig(n_experts, _topk(reader), expert, dense_layers=dense, routing=routing)
    return _moe_model(
        reader, name, attention, moe, mlp=mlp if dense else None, norm=NormConfig(qk=True)
    )


def gpt_oss(reader: ConfigReader, name: str) -> ModelConfig:
    """gpt-oss: windows in every second layer, attention sinks, biases everywhere."""
    n_layers = reader.layers()
    local = reader.layer_types(n_layers)
    if local is None:
        local = tuple(range(0, n_layers, 2))
    bias = reader.flag("attention_bias", True)
    attention = grouped_attention(
        reader,
        qkv_bias=bias,
        o_bias=bias,
        sinks=True,
        window=uniform_window(reader.size("sliding_window", 128), local),
    )
    reader.only("hidden_act", "silu")  # gate and clamp of its own, in all checkpoints
    expert = MlpConfig(reader.size("intermediate_size"), True, "swiglu_oai", bias=True)
    topk = _topk(reader)
    reader.only("experts_per_token", topk)
    n_experts = _experts(reader, "num_local_experts")
    reader.only("num_experts", n_experts)
    routing = RoutingConfig("softmax_topk")
    moe = MoeConfig(n_experts, topk, expert, router_bias=True, routing=routing)
    return _moe_model(
        reader, name, attention, moe,
        precision=PrecisionConfig(
            reader.dtype(), reader.quantization({"mxfp4": "mxfp4"}), "experts"
        ),
    )  # fmt: skip


def deepseek_v3(reader: ConfigReader, name: str) -> ModelConfig:
    """DeepSeek-V3 and R1: latent attention, shared expert, leading dense layers."""
    n_heads = reader.size("num_attention_heads")
    reader.only("num_key_value_heads", n_heads)
    reader.only("attention_bias", False)
    reader.only("moe_layer_freq", 1)
    reader.only("topk_method", "noaux_tc")
    reader.only("scoring_func", "sigmoid")
    latent = LatentConfig(
        q_rank=reader.optional_size("q_lora_rank"),
        kv_rank=reader.size("kv_lora_rank"),
        rope_dim=reader.size("qk_rope_head_dim"),
        nope_dim=reader.size("qk_nope_head_dim"),
    )
    head_dim = latent.nope_dim + latent.rope_dim
    reader.only("qk_head_dim", head_dim)
    attention = AttentionConfig(
        n_heads, n_heads, head_dim, reader.size("v_head_dim"), latent=latent
    )
    activation = reader.activation("hidden_act", "silu")
    width = reader.size("moe_intermediate_size")
    n_shared = reader.size("n_shared_experts", 0, least=0)
    n_dense = reader.size("first_k_dense_replace", 0, least=0)
    moe = MoeConfig(
        n_experts=_experts(reader, "n_routed_experts"),
        topk=_topk(reader),
        expert=MlpConfig(width, True, activation),
        shared=MlpConfig(n_shared * width, True, activation) if n_shared else None,
        dense_layers=tuple(range(min(n_dense, reader.layers()))),
        router_bias=True,
        routing=RoutingConfig(
            "sigmoid", reader.flag("norm_topk_prob", True),
            reader.raw("routed_scaling_factor", 2.5), corrected=True,
            n_groups=reader.size("n_group", 8), topk_groups=reader.size("topk_group", 4),
        ),
    )  # fmt: skip
    extra = reader.size("num_nextn_predict_layers", 0, least=0)
    return _moe_model(
        reader, name, attention, moe,
        mlp=MlpConfig(reader.size("intermediate_size"), True, activation),
        precision=PrecisionConfig(reader.dtype(), reader.quantization({"fp8": "fp8"}), "linear"),
        notes=(f"{extra} multi-token prediction layer(s) not included",) if extra else (),
    )  # fmt: skip


def _experts(reader: ConfigReader, key: str) -> int:
    return reader.size(key)


def _topk(reader: ConfigReader) -> int:
    return reader.size("num_experts_per_tok")


def _moe_model(
    reader: ConfigReader,
    name: str,
    attention: AttentionConfig,
    moe: MoeConfig,
    *,
    mlp: MlpConfig | None = None,
    norm: NormConfig | None = None,
    precision: PrecisionConfig | None = None,
    notes: tuple[str, ...] = (),
) -> ModelConfig:
    return ModelConfig(
        name=name,
        family=reader.tree["model_type"],
        n_layers=reader.layers(),
        d_model=reader.size("hidden_size"),
        embedding=EmbeddingConfig(reader.size("vocab_size")),
        position=rotary(reader),
        attention=attention,
        norm=norm or NormConfig(),
        mlp=mlp,
        moe=moe,
        head=HeadConfig(tied=reader.flag("tie_word_embeddings", False)),
        precision=precision or PrecisionConfig(reader.dtype()),
        notes=notes,
    )
