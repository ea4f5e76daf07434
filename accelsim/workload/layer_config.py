"""The other parts of a Transformer as data: embeddings, norms, feed-forward, experts, head."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError
from accelsim.workload.routing_config import RoutingConfig
from accelsim.workload.sizes import check_sizes, check_word

PositionKind = Literal["rope", "learned", "none"]
NormKind = Literal["rmsnorm", "layernorm"]
NormPlacement = Literal["pre", "post", "sandwich"]
Activation = Literal["gelu", "silu", "relu", "relu2", "swiglu_oai"]

ACTIVATIONS = ("gelu", "silu", "relu", "relu2", "swiglu_oai")


@dataclass(frozen=True)
class EmbeddingConfig:
    """What happens to token ids before the first layer.

    Attributes
    ----------
    vocab_size : int
        Rows of the token table.
    token_types : int
        Rows of the segment table (BERT: 2); 0 means none.
    norm : bool
        A norm follows the sum of the embeddings (BERT).
    scaled : bool
        Embeddings are multiplied by a constant (Gemma: sqrt(d_model)).
    """

    vocab_size: int
    token_types: int = 0
    norm: bool = False
    scaled: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size")
        check_sizes(self, "token_types", least=0)


@dataclass(frozen=True)
class PositionConfig:
    """How a layer knows where a token stands.

    Attributes
    ----------
    kind : str
        ``rope`` (rotates q and k), ``learned`` (a table added to the embeddings) or ``none``.
    max_positions : int
        Longest context that the model was made for.
    rotary_dim : int or None
        Rotated values per head; None means all of them.
    table_offset : int
        Rows of a learned table beyond `max_positions` (OPT: 2).
    """

    kind: PositionKind
    max_positions: int
    rotary_dim: int | None = None
    table_offset: int = 0

    def __post_init__(self) -> None:
        check_word(self, "kind", ("rope", "learned", "none"))
        check_sizes(self, "max_positions")
        check_sizes(self, "table_offset", least=0)
        if self.rotary_dim is not None:
            check_sizes(self, "rotary_dim")

    @property
    def table_rows(self) -> int:
        """Rows of the learned table (0 without one)."""
        return self.max_positions + self.table_offset if self.kind == "learned" else 0


@dataclass(frozen=True)
class NormConfig:
    """Which norms exist.

    Attributes
    ----------
    kind : str
        ``rmsnorm`` (a gain) or ``layernorm`` (a gain, and a bias when `bias`).
    placement : str
        ``pre`` (before each sublayer), ``post`` (after each residual sum: BERT, OPT-350m) or
        ``sandwich`` (before each sublayer and on its output: Gemma 2 and 3).
    bias : bool
        The norm also has a bias.
    final : bool
        One more norm after the last layer.
    qk : bool
        Every head of q and k is normalised with a gain of head_dim (Qwen 3, Gemma 3).
    """

    kind: NormKind = "rmsnorm"
    placement: NormPlacement = "pre"
    bias: bool = False
    final: bool = True
    qk: bool = False

    def __post_init__(self) -> None:
        check_word(self, "kind", ("rmsnorm", "layernorm"))
        check_word(self, "placement", ("pre", "post", "sandwich"))

    def parameters(self, width: int) -> int:
        """Parameters of one norm over `width` values."""
        return width * (2 if self.bias else 1)

    @property
    def per_layer(self) -> int:
        """Norms over d_model in one layer."""
        return 4 if self.placement == "sandwich" else 2


@dataclass(frozen=True)
class MlpConfig:
    """A feed-forward network: d_model to d_ff and back.

    Attributes
    ----------
    d_ff : int
        Hidden width.
    gated : bool
        Two projections up, one of which gates the other (SwiGLU, GeGLU).
    activation : str
        One of `ACTIVATIONS`.
    bias : bool
        All projections have biases.
    """

    d_ff: int
    gated: bool = True
    activation: Activation = "silu"
    bias: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, "d_ff")
        check_word(self, "activation", ACTIVATIONS)
        if self.gated and self.activation == "relu2":
            raise WorkloadError("MlpConfig: relu2 is not known as a gate, use relu, silu or gelu")

    @property
    def up_width(self) -> int:
        """Columns of the fused projection up."""
        return self.d_ff * (2 if self.gated else 1)

    def parameters(self, d_model: int) -> int:
        """Weights and biases."""
        bias = self.up_width + d_model if self.bias else 0
        return d_model * (self.up_width + self.d_ff) + bias


@dataclass(frozen=True)
class MoeConfig:
    """A mixture of experts in place of the feed-forward network.

    Attributes
    ----------
    n_experts, topk : int
        Routed experts, and how many of them each token visits.
    expert : MlpConfig
        One routed expert.
    shared : MlpConfig or None
        The shared experts as one network that every token visits.
    dense_layers : tuple of int
        Layers that keep the ordinary feed-forward network.
    router_bias : bool
        The router has a bias per expert (gpt-oss), or a correction bias (DeepSeek-V3).
    routing : RoutingConfig
    """

    n_experts: int
    topk: int
    expert: MlpConfig
    shared: MlpConfig | None = None
    dense_layers: tuple[int, ...] = ()
    router_bias: bool = False
    routing: RoutingConfig = field(default_factory=RoutingConfig)

    def __post_init__(self) -> None:
        check_sizes(self, "n_experts", "topk")
        if self.topk > self.n_experts:
            raise WorkloadError(f"MoeConfig: top {self.topk} of only {self.n_experts} experts")
        if self.routing.corrected and not self.router_bias:
            raise WorkloadError("MoeConfig: a corrected choice needs the router's bias")
        groups = self.routing.n_groups
        if groups == 1:
            return
        if self.n_experts % groups or self.n_experts < 2 * groups:
            raise WorkloadError(
                f"MoeConfig: {self.n_experts} experts do not lie in {groups} groups of equal size, "
                "at least two experts each"
            )
        reachable = self.n_experts // groups * self.routing.topk_groups
        if self.topk > reachable:
            raise WorkloadError(
                f"MoeConfig: top {self.topk} of the {reachable} experts that lie in "
                f"{self.routing.topk_groups} of {groups} groups"
            )

    def parameters(self, d_model: int, experts: int | None = None) -> int:
        """Router, shared and routed experts; `experts` counts only so many of them."""
        router = self.n_experts * (d_model + (1 if self.router_bias else 0))
        shared = self.shared.parameters(d_model) if self.shared else 0
        counted = self.n_experts if experts is None else experts
        return router + shared + counted * self.expert.parameters(d_model)


@dataclass(frozen=True)
class HeadConfig:
    """What happens after the last layer.

    Attributes
    ----------
    lm_head : bool
        Logits over the vocabulary.
    tied : bool
        The logits use the token table.
    bias : bool
        The logits have a bias.
    softcap : bool
        The logits pass through a scaled tanh (Gemma 2).
    pooler : bool
        A d_model x d_model projection and tanh of the first token (BERT).
    """

    lm_head: bool = True
    tied: bool = False
    bias: bool = False
    softcap: bool = False
    pooler: bool = False

    def __post_init__(self) -> None:
        if self.tied and self.bias:
            raise WorkloadError("HeadConfig: a bias on tied logits is not modelled")


@dataclass(frozen=True)
class PrecisionConfig:
    """The number formats of the published checkpoint.

    Attributes
    ----------
    dtype : str
        Of activations, and of weights that are not quantized.
    quantized : str or None
        Storage of the quantized weights.
    scope : str
        Which weights those are: ``linear`` (all projections of the layers but the router) or
        ``experts`` (routed experts only).
    """

    dtype: str = "bf16"
    quantized: str | None = None
    scope: Literal["linear", "experts"] = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", find_dtype(self.dtype).name)
        if self.quantized is not None:
            object.__setattr__(self, "quantized", find_dtype(self.quantized).name)
