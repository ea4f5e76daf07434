"""The architecture of a Transformer as data: valid on construction, or not constructed.

Only what changes shapes, counts or dependencies is here. Values such as rope_theta, epsilons and
softmax scales change the result of a model but not what a chip has to do for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError
from accelsim.workload.attention_config import AttentionConfig
from accelsim.workload.layer_config import (
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    MoeConfig,
    NormConfig,
    PositionConfig,
    PrecisionConfig,
)
from accelsim.workload.sizes import LAYER_LIMIT, check_sizes


@dataclass(frozen=True)
class LayerKind:
    """What distinguishes the layers of one model: a sliding window, routed experts."""

    local: bool
    moe: bool


@dataclass(frozen=True)
class ModelConfig:
    """A Transformer.

    Attributes
    ----------
    name, family : str
        For results and messages; family is the model_type it was read from.
    n_layers, d_model : int
        Depth and width.
    embedding, position, norm, attention, head, precision
        See the classes.
    mlp : MlpConfig or None
        Feed-forward network of the layers without experts.
    moe : MoeConfig or None
        Experts of the other layers.
    parallel_residual : bool
        Attention and feed-forward network both read the layer's input (GPT-NeoX).
    dropout : bool
        Trained with dropout, whose masks the backward pass needs.
    notes : tuple of str
        What was left out of the model, for reports.
    """

    name: str
    family: str
    n_layers: int
    d_model: int
    embedding: EmbeddingConfig
    position: PositionConfig
    attention: AttentionConfig
    norm: NormConfig = field(default_factory=NormConfig)
    mlp: MlpConfig | None = None
    moe: MoeConfig | None = None
    head: HeadConfig = field(default_factory=HeadConfig)
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    parallel_residual: bool = False
    dropout: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_sizes(self, "n_layers", most=LAYER_LIMIT)
        check_sizes(self, "d_model")
        dense = set(range(self.n_layers)) if self.moe is None else set(self.moe.dense_layers)
        if dense and self.mlp is None:
            raise WorkloadError(f"{self.name}: a layer without experts needs an mlp")
        window = self.attention.window
        local = set(window.layers) if window else set()
        beyond = sorted((dense | local) - set(range(self.n_layers)))
        if beyond:
            raise WorkloadError(
                f"{self.name}: layer {beyond[0]} is named, but there are {self.n_layers} layers"
            )
        if self.parallel_residual and (self.moe or self.norm.placement != "pre"):
            raise WorkloadError(f"{self.name}: a parallel residual needs pre-norms and no experts")

    @property
    def vocab_size(self) -> int:
        """Rows of the token table."""
        return self.embedding.vocab_size

    @property
    def dtype(self) -> str:
        """Format of the checkpoint's activations."""
        return self.precision.dtype

    @property
    def is_encoder(self) -> bool:
        """Whether every position sees every other (no cache, no decode phase)."""
        return not self.attention.causal

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of every layer in order."""
        local = set(self.attention.window.layers) if self.attention.window else set()
        dense = set(self.moe.dense_layers) if self.moe else set(range(self.n_layers))
        return tuple(LayerKind(i in local, i not in dense) for i in range(self.n_layers))

    @property
    def parameters(self) -> int:
        """All parameters, in closed form."""
        return self._count(None)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token meets: only topk of the routed experts."""
        return self._count(self.moe.topk if self.moe else None)

    def _count(self, experts: int | None) -> int:
        norms = self.norm.per_layer * self.norm.parameters(self.d_model)
        layer = norms + self.attention.parameters(self.d_model, self.norm.qk)
        total = self.n_layers * layer + self._outside_layers()
        n_dense = sum(not kind.moe for kind in self.layer_kinds)
        if self.mlp is not None:
            total += n_dense * self.mlp.parameters(self.d_model)
        if self.moe is not None:
            total += (self.n_layers - n_dense) * self.moe.parameters(self.d_model, experts)
        return total

    def _outside_layers(self) -> int:
        embedding, head, d_model = self.embedding, self.head, self.d_model
        rows = embedding.vocab_size + embedding.token_types + self.position.table_rows
        norms = int(embedding.norm) + int(self.norm.final)
        total = rows * d_model + norms * self.norm.parameters(d_model)
        if head.lm_head:
            total += 0 if head.tied else embedding.vocab_size * d_model
            total += embedding.vocab_size if head.bias else 0
        return total + (d_model * (d_model + 1) if head.pooler else 0)

    def cache_bytes_per_token(self, kv_dtype: str | None = None) -> float:
        """KV cache of one more token in a layer stack without windows [B].

        Parameters
        ----------
        kv_dtype : str or None
            Storage; None means the checkpoint's own dtype.
        """
        if self.is_encoder:
            return 0.0
        width = self.n_layers * self.attention.cache_width
        return width * find_dtype(kv_dtype or self.precision.dtype).bytes
