"""What an executable Transformer is: its shape, and the few constants that change results."""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.errors import WorkloadError
from accelsim.functional.rope import RopeStyle
from accelsim.functional.rope_frequencies import MAX_ROTARY, RopeScaling, rope_frequencies
from accelsim.workload.config import ModelConfig

ACTIVATIONS = {
    "silu": "silu", "gelu": "gelu_tanh", "relu": "relu", "relu2": "relu2", "swiglu_oai": "silu",
}  # fmt: skip


@dataclass(frozen=True)
class Constants:
    """Values of a model that cost nothing and change everything.

    Attributes
    ----------
    eps : float
        Of the norms.
    rope_theta : float
    rope_style : str
        Pairs of a head that rotate together: "neox" (halves) or "interleaved" (neighbours).
    rope_scaling : RopeScaling or None
    attention_factor : float
        Attention scores are multiplied by it, beside ``1 / sqrt(head_dim)``.
    gelu_erf : bool
        GELU by the error function; else by tanh.
    """

    eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_style: RopeStyle = "neox"
    rope_scaling: RopeScaling | None = None
    attention_factor: float = 1.0
    gelu_erf: bool = False


@dataclass(frozen=True)
class Spec:
    """Shape and constants of a model that can be executed.

    Raises
    ------
    WorkloadError
        If the model has parts that are timed but not executed (the message names them), or heads
        that cannot be rotated as it says.
    """

    config: ModelConfig
    constants: Constants = field(default_factory=Constants)

    def __post_init__(self) -> None:
        missing = [name for name, present in _unexecuted(self.config).items() if present]
        if missing:
            raise WorkloadError(
                f"{self.config.name} can be timed, not executed: {', '.join(missing)} "
                "is not built in the functional core"
            )
        self._check_rotary()

    def _check_rotary(self) -> None:
        size, latent = self.rotary_size, self.config.attention.latent
        width = self.config.attention.head_dim if latent is None else latent.rope_dim
        if self.config.position.kind == "rope" and (
            size % 2 or not 2 <= size <= min(width, MAX_ROTARY)
        ):
            raise WorkloadError(
                f"{self.config.name}: {size} elements of every head of {width} are to be rotated, "
                f"expected an even number from 2 to {min(width, MAX_ROTARY)}"
            )
        if size:
            try:
                rope_frequencies(size, self.constants.rope_theta, self.constants.rope_scaling)
            except WorkloadError as problem:
                raise WorkloadError(f"{self.config.name}: {problem}") from None

    @property
    def rotary_size(self) -> int:
        """Elements of a head that are rotated (of its rotated part); 0 without rotary positions."""
        position, latent = self.config.position, self.config.attention.latent
        if position.kind != "rope":
            return 0
        if latent is not None:
            return latent.rope_dim
        return position.rotary_dim or self.config.attention.head_dim

    def activation(self, name: str) -> str:
        """Name of an activation in `accelsim.functional.vector`."""
        return "gelu_erf" if name == "gelu" and self.constants.gelu_erf else ACTIVATIONS[name]


def _unexecuted(config: ModelConfig) -> dict[str, bool]:
    attention = config.attention
    experts = (config.moe.expert, config.moe.shared) if config.moe else ()
    mlps = [m for m in (config.mlp, *experts) if m is not None]
    return {
        "capped attention scores": attention.softcap or config.head.softcap,
        "norms on both sides of a sublayer": config.norm.placement == "sandwich",
        "scaled embeddings": config.embedding.scaled,
        "swiglu without a gate": any(m.activation == "swiglu_oai" and not m.gated for m in mlps),
    }
