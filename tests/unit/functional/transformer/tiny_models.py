"""Models of a few hundred weights, and the same Transformers in NumPy in fp64."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.encoder import EncoderModel
from accelsim.functional.transformer.names import Shape, tensor_shapes
from accelsim.functional.transformer.spec import Constants, Spec
from accelsim.workload.attention_config import AttentionConfig, LatentConfig, WindowConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import (
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    MoeConfig,
    NormConfig,
    PositionConfig,
)
from accelsim.workload.routing_config import RoutingConfig
from tests.unit.functional.transformer.naive_routing import routed

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
VOCAB, WIDTH, CONTEXT = 37, 24, 32
LLAMA = ModelConfig(
    "tiny-llama", "llama", 2, WIDTH, EmbeddingConfig(VOCAB), PositionConfig("rope", CONTEXT),
    AttentionConfig(4, 2, 6, 6), NormConfig(), MlpConfig(40),
)  # fmt: skip
_NORM = NormConfig("layernorm", bias=True)
_HEADS, _LATENT = LLAMA.attention, AttentionConfig(4, 4, 10, 5, latent=LatentConfig(None, 8, 4, 6))
_LOW_RANK = replace(_LATENT, latent=LatentConfig(12, 8, 4, 6))
_SOME_LOCAL = replace(_HEADS, sinks=True, window=WindowConfig(3, (1,)))
_CLAMPED = MlpConfig(16, activation="swiglu_oai", bias=True)
_OF_CHOSEN, _PLAIN_GATES = RoutingConfig("softmax_topk"), RoutingConfig(normalised=False)
GROUPED = RoutingConfig("sigmoid", scale=2.5, corrected=True, n_groups=4, topk_groups=2)
_SANDWICH = NormConfig(placement="sandwich", qk=True)
_CAPPED = replace(_HEADS, softcap=True, window=WindowConfig(3, (0,)))
CONFIGS = {
    "llama": LLAMA,
    "tied": replace(LLAMA, head=HeadConfig(tied=True)),
    "qwen": replace(LLAMA, attention=replace(LLAMA.attention, qkv_bias=True)),
    "normed heads": replace(LLAMA, norm=NormConfig(qk=True)),
    "window": replace(LLAMA, attention=replace(LLAMA.attention, window=WindowConfig(3, (1,)))),
    "half rotated": replace(LLAMA, position=PositionConfig("rope", CONTEXT, rotary_dim=4)),
    "gpt2": replace(
        LLAMA, position=PositionConfig("learned", CONTEXT), norm=_NORM, head=HeadConfig(tied=True),
        attention=AttentionConfig(4, 4, 6, 6, qkv_bias=True, o_bias=True),
        mlp=MlpConfig(40, gated=False, activation="gelu", bias=True),
    ),
    "opt": replace(
        LLAMA, position=PositionConfig("learned", CONTEXT, table_offset=2), norm=_NORM,
        mlp=MlpConfig(40, gated=False, activation="relu", bias=True),
    ),
    "parallel": replace(
        LLAMA, norm=_NORM, parallel_residual=True,
        mlp=MlpConfig(40, gated=False, activation="gelu"),
    ),
    "post-norm": replace(LLAMA, norm=NormConfig(placement="post", final=False)),
    "geglu": replace(LLAMA, mlp=MlpConfig(40, activation="gelu")),
    "experts": replace(LLAMA, mlp=None, moe=MoeConfig(5, 2, MlpConfig(16))),
    "some experts": replace(
        LLAMA, moe=MoeConfig(4, 1, MlpConfig(16), dense_layers=(0,), router_bias=True)
    ),
    "shared experts": replace(
        LLAMA, mlp=None, moe=MoeConfig(5, 2, MlpConfig(16), shared=MlpConfig(12))
    ),
    "wide values": replace(LLAMA, attention=replace(_HEADS, v_head_dim=8)),
    "sinks": replace(LLAMA, attention=replace(_HEADS, sinks=True)),
    "sinks and window": replace(LLAMA, attention=_SOME_LOCAL),
    "clamped gates": replace(LLAMA, mlp=_CLAMPED),
    "latent": replace(LLAMA, attention=_LATENT),
    "latent queries": replace(LLAMA, attention=_LOW_RANK),
    "like gpt-oss": replace(
        LLAMA, mlp=None, attention=_SOME_LOCAL,
        moe=MoeConfig(5, 2, _CLAMPED, router_bias=True, routing=_OF_CHOSEN),
    ),
    "like gemma 2": replace(
        LLAMA, attention=_CAPPED, norm=replace(_SANDWICH, qk=False),
        mlp=MlpConfig(40, activation="gelu"), embedding=EmbeddingConfig(VOCAB, scaled=True),
        head=HeadConfig(tied=True, softcap=True),
    ),
    "like gemma 3": replace(
        LLAMA, attention=replace(_CAPPED, softcap=False), norm=_SANDWICH,
        mlp=MlpConfig(40, activation="gelu"), embedding=EmbeddingConfig(VOCAB, scaled=True),
        head=HeadConfig(tied=True),
    ),
    "plain gates": replace(
        LLAMA, mlp=None, moe=MoeConfig(5, 2, MlpConfig(16), routing=_PLAIN_GATES)
    ),
    "like deepseek": replace(
        LLAMA, attention=_LOW_RANK,
        moe=MoeConfig(
            5, 2, MlpConfig(16), MlpConfig(12), dense_layers=(0,), router_bias=True,
            routing=replace(GROUPED, n_groups=1, topk_groups=1),
        ),
    ),
    "groups of experts": replace(
        LLAMA, mlp=None, moe=MoeConfig(8, 3, MlpConfig(16), router_bias=True, routing=GROUPED)
    ),
}  # fmt: skip
BERT = ModelConfig(
    "tiny-bert", "bert", 2, WIDTH, EmbeddingConfig(VOCAB, token_types=2, norm=True),
    PositionConfig("learned", CONTEXT),
    AttentionConfig(4, 4, 6, 6, qkv_bias=True, o_bias=True, causal=False),
    NormConfig("layernorm", placement="post", bias=True, final=False),
    MlpConfig(40, gated=False, activation="gelu", bias=True), head=HeadConfig(lm_head=False),
)  # fmt: skip


@dataclass
class Table:
    """Weights of a model, drawn once; norms near one, all else of the size that keeps values."""

    shapes: dict[str, Shape]
    held: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(11)
        for name, shape in self.shapes.items():
            values = rng.standard_normal(shape) / (WIDTH**0.5 if len(shape) > 1 else 5.0)
            values += 1.0 if "norm" in name and name.endswith("weight") else 0.0
            self.held[name] = values.astype(np.float32)

    def read(self, name: str) -> Floats:
        return self.held[name]

    def rows(self, name: str, ids: NDArray[np.int64]) -> Floats:
        rows: Floats = self.held[name][ids]
        return rows


def tiny(config: ModelConfig = LLAMA, **constants: Any) -> DecoderModel:
    return DecoderModel(
        config.name, Spec(config, Constants(**constants)), Table(tensor_shapes(config))
    )


def tiny_encoder(**constants: Any) -> EncoderModel:
    return EncoderModel("tiny-bert", Spec(BERT, Constants(**constants)), Table(tensor_shapes(BERT)))


def _heads(x: Doubles, count: int) -> Doubles:
    return x.reshape(len(x), count, -1).swapaxes(0, 1)


class Twin:
    """The same model once more: one function per part, everything in fp64."""

    def __init__(self, model: DecoderModel | EncoderModel) -> None:
        assert isinstance(model.weights, Table)
        self.config, self.constants = model.spec.config, model.spec.constants
        self.held = {name: w.astype(np.float64) for name, w in model.weights.held.items()}

    def dense(self, name: str, x: Doubles, expert: Any = ...) -> Doubles:
        out: Doubles = x @ self.held[f"{name}.weight"][expert].T
        bias = self.held.get(f"{name}.bias")
        return out if bias is None else out + bias[expert]

    def norm(self, name: str, x: Doubles) -> Doubles:
        if self.config.norm.kind == "layernorm":
            x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.constants.eps)
        return x * self.held[f"{name}.weight"] + self.held.get(f"{name}.bias", 0.0)

    def is_local(self, layer: int) -> bool:
        window = self.config.attention.window
        return window is not None and layer in window.layers

    def rotate(self, layer: int, x: Doubles) -> Doubles:
        if self.config.position.kind != "rope":
            return x
        size = self.config.position.rotary_dim or x.shape[-1]
        theta, local = self.constants.rope_theta, self.constants.local_rope_theta
        theta = local if local is not None and self.is_local(layer) else theta
        at = np.arange(x.shape[1])[:, None] * theta ** (-np.arange(0, size, 2) / size)
        turned = x.copy()
        if self.constants.rope_style == "neox":
            first, second = np.s_[..., : size // 2], np.s_[..., size // 2 : size]
        else:
            first, second = np.s_[..., 0:size:2], np.s_[..., 1:size:2]
        turned[first] = x[first] * np.cos(at) - x[second] * np.sin(at)
        turned[second] = x[first] * np.sin(at) + x[second] * np.cos(at)
        return turned

    def plain_heads(self, layer: int, x: Doubles) -> list[Doubles]:
        config, at = self.config.attention, f"blk.{layer}.attn_"
        heads = {"q": config.n_heads, "k": config.n_kv_heads, "v": config.n_kv_heads}
        q, k, v = (_heads(self.dense(at + part, x), heads[part]) for part in "qkv")
        if self.config.norm.qk:
            q, k = self.norm(at + "q_norm", q), self.norm(at + "k_norm", k)
        group = config.n_heads // config.n_kv_heads
        return [
            self.rotate(layer, q),
            *(np.repeat(y, group, axis=0) for y in (self.rotate(layer, k), v)),
        ]

    def latent_heads(self, layer: int, x: Doubles) -> list[Doubles]:
        config, at = self.config.attention, f"blk.{layer}.attn_"
        latent = config.latent
        assert latent is not None
        name, given = at + "q", x
        if latent.q_rank is not None:
            name, given = at + "q_b", self.norm(at + "q_a_norm", self.dense(at + "q_a", x))
        q = _heads(self.dense(name, given), config.n_heads)
        packed = self.dense(at + "kv_a_mqa", x)
        low = self.norm(at + "kv_a_norm", packed[:, : latent.kv_rank])
        unfolded = _heads(self.dense(at + "kv_b", low), config.n_heads)
        shared = self.rotate(layer, packed[None, :, latent.kv_rank :])
        plain, turned = q[..., : latent.nope_dim], self.rotate(layer, q[..., latent.nope_dim :])
        k = [unfolded[..., : latent.nope_dim], np.repeat(shared, config.n_heads, axis=0)]
        return [np.concatenate([plain, turned], -1), np.concatenate(k, -1),
                unfolded[..., latent.nope_dim :]]  # fmt: skip

    def attention(self, layer: int, x: Doubles) -> Doubles:
        config, at = self.config.attention, f"blk.{layer}.attn_"
        heads = self.plain_heads if config.latent is None else self.latent_heads
        q, k, v = heads(layer, x)
        scores = q @ k.swapaxes(1, 2) / (self.constants.query_size or config.head_dim) ** 0.5
        if config.softcap:
            scores = self.constants.score_cap * np.tanh(scores / self.constants.score_cap)
        distance = np.arange(len(x))[:, None] - np.arange(len(x))
        if config.causal:
            scores[:, distance < 0] = -np.inf
        if config.window is not None and self.is_local(layer):
            scores[:, distance >= config.window.size] = -np.inf
        weights = np.exp(scores)
        total = weights.sum(-1, keepdims=True)
        if config.sinks:
            total = total + np.exp(self.held[at + "sinks.weight"])[:, None, None]
        mixed = weights / total @ v
        return self.dense(at + "output", mixed.swapaxes(0, 1).reshape(len(x), -1))

    def mlp(
        self, layer: int, x: Doubles, mlp: MlpConfig, tail: str = "", expert: Any = ...
    ) -> Doubles:
        at = f"blk.{layer}.ffn_"
        up = self.dense(f"{at}up{tail}", x, expert)
        gate = self.dense(f"{at}gate{tail}", x, expert) if mlp.gated else up
        if mlp.activation == "swiglu_oai":
            limit = self.constants.swiglu_limit
            gate, up = np.minimum(gate, limit), np.clip(up, -limit, limit) + 1
        active = {
            "silu": lambda y: y / (1 + np.exp(-y)),
            "relu": lambda y: np.maximum(y, 0),
            "gelu": lambda y: y / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (y + 0.044715 * y**3))),
            "swiglu_oai": lambda y: y / (1 + np.exp(-self.constants.swiglu_alpha * y)),
        }[mlp.activation](gate)
        return self.dense(f"{at}down{tail}", active * up if mlp.gated else active, expert)

    def feed_forward(self, layer: int, x: Doubles) -> Doubles:
        moe = self.config.moe
        if moe is None or layer in moe.dense_layers:
            assert self.config.mlp is not None
            return self.mlp(layer, x, self.config.mlp)
        out = np.zeros_like(x)
        correction = self.held.get(f"blk.{layer}.exp_probs_b.bias")
        for row, scores in enumerate(self.dense(f"blk.{layer}.ffn_gate_inp", x)):
            for e, gate in routed(scores, moe, correction):
                out[row] += gate * self.mlp(layer, x[row : row + 1], moe.expert, "_exps", e)[0]
        return out if moe.shared is None else out + self.mlp(layer, x, moe.shared, "_shexp")

    def layer(self, layer: int, x: Doubles) -> Doubles:
        at = f"blk.{layer}."
        if self.config.norm.placement == "post":
            x = self.norm(at + "attn_output_norm", x + self.attention(layer, x))
            return self.norm(at + "layer_output_norm", x + self.feed_forward(layer, x))
        mixed = self.attention(layer, self.norm(at + "attn_norm", x))
        if self.config.parallel_residual:
            return x + mixed + self.feed_forward(layer, self.norm(at + "ffn_norm", x))
        if self.config.norm.placement == "sandwich":
            x = x + self.norm(at + "post_attention_norm", mixed)
            fed = self.feed_forward(layer, self.norm(at + "ffn_norm", x))
            return x + self.norm(at + "post_ffw_norm", fed)
        x = x + mixed
        return x + self.feed_forward(layer, self.norm(at + "ffn_norm", x))

    def hidden(self, tokens: list[int]) -> Doubles:
        position, embedding = self.config.position, self.config.embedding
        x = self.held["token_embd.weight"][tokens]
        x = x * self.config.d_model**0.5 if embedding.scaled else x
        if position.kind == "learned":
            first = position.table_offset
            x = x + self.held["position_embd.weight"][first : first + len(tokens)]
        if embedding.token_types:
            x = x + self.held["token_types.weight"][0]
        x = self.norm("token_embd_norm", x) if embedding.norm else x
        for layer in range(self.config.n_layers):
            x = self.layer(layer, x)
        return self.norm("output_norm", x) if self.config.norm.final else x

    def logits(self, tokens: list[int]) -> Doubles:
        head = "token_embd" if self.config.head.tied else "output"
        found, cap = self.dense(head, self.hidden(tokens)), self.constants.logit_cap
        return cap * np.tanh(found / cap) if self.config.head.softcap else found
