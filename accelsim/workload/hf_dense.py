"""Hugging Face configs of models without experts: one function per family.

The defaults are those of the families' configuration classes in the transformers library.
"""

from __future__ import annotations

from typing import Any

from accelsim.workload.attention_config import AttentionConfig, WindowConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.hf_reader import ConfigReader
from accelsim.workload.layer_config import (
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    NormConfig,
    PositionConfig,
    PrecisionConfig,
)


def uniform_window(size: int | None, layers: tuple[int, ...]) -> WindowConfig | None:
    """Return a window of `size` in `layers`, or None where there is neither."""
    return WindowConfig(size, layers) if size is not None and layers else None


def rotary(reader: ConfigReader, max_positions: int | None = None) -> PositionConfig:
    """Return rotary positions over whole heads."""
    return PositionConfig("rope", max_positions or reader.size("max_position_embeddings", 2048))


def grouped_attention(
    reader: ConfigReader,
    *,
    qkv_bias: bool = False,
    o_bias: bool = False,
    window: WindowConfig | None = None,
    sinks: bool = False,
) -> AttentionConfig:
    """Return attention from the field names that the Llama lineage shares."""
    d_model, n_heads = reader.size("hidden_size"), reader.size("num_attention_heads")
    n_kv_heads = reader.size("num_key_value_heads", n_heads)
    if n_heads % n_kv_heads:
        raise reader.error(
            "num_key_value_heads", f"{n_heads} heads are not a multiple of {n_kv_heads} KV heads"
        )
    head_dim = reader.per_head(d_model, n_heads)
    return AttentionConfig(
        n_heads, n_kv_heads, head_dim, head_dim,
        qkv_bias=qkv_bias, o_bias=o_bias, window=window, sinks=sinks,
    )  # fmt: skip


def gated_mlp(reader: ConfigReader, bias: bool = False) -> MlpConfig:
    """Return the gated network of the Llama lineage."""
    activation = reader.activation("hidden_act", "silu")
    return MlpConfig(reader.size("intermediate_size"), True, activation, bias)


def llama(reader: ConfigReader, name: str) -> ModelConfig:
    """Llama 1 to 3, SmolLM2 and what else calls itself llama."""
    bias = reader.flag("attention_bias", False)
    return _llama_lineage(
        reader,
        name,
        grouped_attention(reader, qkv_bias=bias, o_bias=bias),
        gated_mlp(reader, reader.flag("mlp_bias", False)),
    )


def mistral(reader: ConfigReader, name: str) -> ModelConfig:
    """Mistral: a sliding window in all layers, or none."""
    layers = tuple(range(reader.layers()))
    window = uniform_window(reader.optional_size("sliding_window"), layers)
    attention = grouped_attention(reader, window=window)
    return _llama_lineage(reader, name, attention, gated_mlp(reader))


def qwen_window(reader: ConfigReader) -> WindowConfig | None:
    """Return Qwen's window: off unless use_sliding_window, then from max_window_layers on."""
    n_layers = reader.layers()
    listed = reader.layer_types(n_layers)
    size = reader.optional_size("sliding_window")
    first = reader.size("max_window_layers", 28, least=0)
    if not reader.flag("use_sliding_window", False):
        if listed:
            raise reader.error("layer_types", "sliding layers, but use_sliding_window is false")
        return None
    return uniform_window(size, tuple(range(first, n_layers)) if listed is None else listed)


def qwen2(reader: ConfigReader, name: str) -> ModelConfig:
    """Qwen 2 and 2.5: biases on q, k and v."""
    attention = grouped_attention(reader, qkv_bias=True, window=qwen_window(reader))
    return _llama_lineage(reader, name, attention, gated_mlp(reader))


def qwen3(reader: ConfigReader, name: str) -> ModelConfig:
    """Qwen 3: norms on the heads of q and k."""
    bias = reader.flag("attention_bias", False)
    window = qwen_window(reader)
    attention = grouped_attention(reader, qkv_bias=bias, o_bias=bias, window=window)
    return _llama_lineage(reader, name, attention, gated_mlp(reader), norm=NormConfig(qk=True))


def phi3(reader: ConfigReader, name: str) -> ModelConfig:
    """Phi-3 and Phi-4: fused projections, a window in all layers, rotation of a part."""
    layers = tuple(range(reader.layers()))
    window = uniform_window(reader.optional_size("sliding_window"), layers)
    reader.only("attention_bias", False)
    attention = grouped_attention(reader, window=window)
    share = reader.fraction("partial_rotary_factor", _rotary_share(reader, 1.0))
    position = PositionConfig(
        "rope",
        reader.size("max_position_embeddings", 4096),
        rotary_dim=max(1, int(attention.head_dim * share)),
    )
    return _llama_lineage(reader, name, attention, gated_mlp(reader), position=position)


def _rotary_share(reader: ConfigReader, usual: float) -> Any:
    """Return the rotated share of a head where rope_parameters hold it."""
    table = reader.raw("rope_parameters", {})
    found = table.get("partial_rotary_factor") if isinstance(table, dict) else None
    return usual if found is None else found


def _llama_lineage(
    reader: ConfigReader,
    name: str,
    attention: AttentionConfig,
    mlp: MlpConfig,
    *,
    norm: NormConfig | None = None,
    position: PositionConfig | None = None,
) -> ModelConfig:
    return ModelConfig(
        name=name,
        family=reader.tree["model_type"],
        n_layers=reader.layers(),
        d_model=reader.size("hidden_size"),
        embedding=EmbeddingConfig(reader.size("vocab_size")),
        position=position or rotary(reader),
        attention=attention,
        norm=norm or NormConfig(),
        mlp=mlp,
        head=HeadConfig(tied=reader.flag("tie_word_embeddings", False)),
        precision=PrecisionConfig(reader.dtype()),
    )


def gemma2(reader: ConfigReader, name: str) -> ModelConfig:
    """Gemma 2: local and global layers in turn, four norms per layer, softcaps."""
    n_layers = reader.layers()
    reader.only("use_bidirectional_attention", False)
    local = reader.layer_types(n_layers)
    if local is None:
        local = tuple(range(0, n_layers, 2))
    # Early configs name the window twice.
    window = reader.size("sliding_window", reader.raw("sliding_window_size", 4096))
    return _gemma(reader, name, local, window, qk_norm=False)


def gemma3(reader: ConfigReader, name: str) -> ModelConfig:
    """Gemma 3 (its text model): five local layers per global one, norms on q and k."""
    n_layers = reader.layers()
    reader.only("attn_logit_softcapping", None)  # the transformers library does not apply it
    pattern = reader.size("sliding_window_pattern", reader.raw("_sliding_window_pattern", 6))
    reader.only("use_bidirectional_attention", False)
    local = reader.layer_types(n_layers)
    if local is None:
        local = tuple(i for i in range(n_layers) if (i + 1) % pattern)
    return _gemma(reader, name, local, reader.size("sliding_window", 4096), qk_norm=True)


def _gemma(
    reader: ConfigReader, name: str, local: tuple[int, ...], window: int, *, qk_norm: bool
) -> ModelConfig:
    n_heads = reader.size("num_attention_heads", 8)
    head_dim = reader.size("head_dim", 256)
    reader.only("attention_bias", False)
    # Caps that are not mentioned are Gemma 2's own; null is none.
    usual = reader.tree["model_type"] == "gemma2"
    capped, capped_head = (
        reader.raw(key, None) is not None or (usual and key not in reader.tree)
        for key in ("attn_logit_softcapping", "final_logit_softcapping")
    )
    gate = reader.activation("hidden_activation", "gelu_pytorch_tanh")
    return ModelConfig(
        name=name,
        family=reader.tree["model_type"],
        n_layers=reader.layers(),
        d_model=reader.size("hidden_size"),
        embedding=EmbeddingConfig(reader.size("vocab_size", 262_208), scaled=True),
        position=rotary(reader, reader.size("max_position_embeddings", 131_072)),
        attention=AttentionConfig(
            n_heads, reader.size("num_key_value_heads", 4), head_dim, head_dim,
            window=uniform_window(window, local), softcap=capped,
        ),
        norm=NormConfig(placement="sandwich", qk=qk_norm),
        mlp=MlpConfig(reader.size("intermediate_size"), True, gate),
        head=HeadConfig(
            tied=reader.flag("tie_word_embeddings", True),
            softcap=capped_head,
        ),
        precision=PrecisionConfig(reader.dtype()),
    )  # fmt: skip


def gpt2(reader: ConfigReader, name: str) -> ModelConfig:
    """GPT-2 and, with its sizes, GPT-3: learned positions, biases everywhere."""
    d_model, n_heads = reader.size("n_embd"), reader.size("n_head")
    if d_model % n_heads:
        raise reader.error("n_head", f"n_embd {d_model} is no multiple of {n_heads} heads")
    head_dim = d_model // n_heads
    d_ff = reader.optional_size("n_inner") or 4 * d_model
    return ModelConfig(
        name=name,
        family="gpt2",
        n_layers=reader.layers("n_layer"),
        d_model=d_model,
        embedding=EmbeddingConfig(reader.size("vocab_size")),
        position=PositionConfig("learned", reader.size("n_positions", 1024)),
        attention=AttentionConfig(n_heads, n_heads, head_dim, head_dim, qkv_bias=True, o_bias=True),
        norm=NormConfig("layernorm", bias=True),
        mlp=MlpConfig(d_ff, False, reader.activation("activation_function", "gelu_new"), True),
        head=HeadConfig(tied=reader.flag("tie_word_embeddings", True)),
        precision=PrecisionConfig(reader.dtype()),
        dropout=reader.fraction("resid_pdrop", 0.1) > 0,
    )


def gpt_neox(reader: ConfigReader, name: str) -> ModelConfig:
    """GPT-NeoX and Pythia: attention and network in parallel, rotation of a part."""
    n_heads, d_model = reader.size("num_attention_heads"), reader.size("hidden_size")
    head_dim = reader.per_head(d_model, n_heads)
    bias = reader.flag("attention_bias", True)
    share = reader.fraction("rotary_pct", _rotary_share(reader, 0.25))
    activation = reader.activation("hidden_act", "gelu")
    return ModelConfig(
        name=name,
        family="gpt_neox",
        n_layers=reader.layers(),
        d_model=d_model,
        embedding=EmbeddingConfig(reader.size("vocab_size")),
        position=PositionConfig(
            "rope", reader.size("max_position_embeddings", 2048),
            rotary_dim=max(1, int(head_dim * share)),
        ),
        attention=AttentionConfig(
            n_heads, n_heads, head_dim, head_dim, qkv_bias=bias, o_bias=bias
        ),
        norm=NormConfig("layernorm", bias=True),
        mlp=MlpConfig(reader.size("intermediate_size"), False, activation, True),
        head=HeadConfig(tied=reader.flag("tie_word_embeddings", False)),
        precision=PrecisionConfig(reader.dtype()),
        parallel_residual=reader.flag("use_parallel_residual", True),
        dropout=reader.fraction("hidden_dropout", 0.0) > 0,
    )  # fmt: skip


def opt(reader: ConfigReader, name: str) -> ModelConfig:
    """OPT: a learned position table with two rows more than positions."""
    d_model, n_heads = reader.size("hidden_size"), reader.size("num_attention_heads")
    reader.only("word_embed_proj_dim", d_model)
    reader.only("layer_norm_elementwise_affine", True)
    before = reader.flag("do_layer_norm_before", True)
    bias = reader.flag("enable_bias", True)
    removed = reader.flag("_remove_final_layer_norm", False)
    head_dim = reader.per_head(d_model, n_heads)
    activation = reader.activation("activation_function", "relu")
    return ModelConfig(
        name=name,
        family="opt",
        n_layers=reader.layers(),
        d_model=d_model,
        embedding=EmbeddingConfig(reader.size("vocab_size")),
        position=PositionConfig(
            "learned", reader.size("max_position_embeddings", 2048), table_offset=2
        ),
        attention=AttentionConfig(n_heads, n_heads, head_dim, head_dim, qkv_bias=bias, o_bias=bias),
        norm=NormConfig(
            "layernorm", "pre" if before else "post", bias=True, final=before and not removed
        ),
        mlp=MlpConfig(reader.size("ffn_dim"), False, activation, bias),
        head=HeadConfig(tied=reader.flag("tie_word_embeddings", True)),
        precision=PrecisionConfig(reader.dtype()),
        dropout=reader.fraction("dropout", 0.1) > 0,
    )


def bert(reader: ConfigReader, name: str) -> ModelConfig:
    """BERT's encoder with its pooler, without the heads of its pre-training."""
    d_model, n_heads = reader.size("hidden_size"), reader.size("num_attention_heads")
    reader.only("position_embedding_type", "absolute")
    head_dim = reader.per_head(d_model, n_heads)
    activation = reader.activation("hidden_act", "gelu")
    return ModelConfig(
        name=name,
        family="bert",
        n_layers=reader.layers(),
        d_model=d_model,
        embedding=EmbeddingConfig(
            reader.size("vocab_size"), token_types=reader.size("type_vocab_size", 2), norm=True
        ),
        position=PositionConfig("learned", reader.size("max_position_embeddings", 512)),
        attention=AttentionConfig(
            n_heads, n_heads, head_dim, head_dim, qkv_bias=True, o_bias=True, causal=False
        ),
        norm=NormConfig("layernorm", "post", bias=True, final=False),
        mlp=MlpConfig(reader.size("intermediate_size"), False, activation, True),
        head=HeadConfig(lm_head=False, pooler=True),
        precision=PrecisionConfig(reader.dtype()),
        dropout=reader.fraction("hidden_dropout_prob", 0.1) > 0,
        notes=("encoder and pooler; the heads of pre-training are not included",),
    )
