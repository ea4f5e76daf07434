"""What an executable Transformer is: its shape, and the few constants that change results."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from accelsim.errors import WorkloadError
from accelsim.functional.rope import RopeStyle
from accelsim.functional.rope_frequencies import MAX_ROTARY, RopeScaling, rope_frequencies
from accelsim.functional.vector import Float32, checked_cap
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
    local_rope_theta : float or None
        Base of layers with a window, whose positions are then never stretched (Gemma 3); None: as
        the other layers.
    attention_factor : float
        Attention scores are multiplied by it, beside ``1 / sqrt(query_size)``.
    query_size : float or None
        None: head_dim (Gemma has another).
    score_cap, logit_cap : float
        Of scores and logits, in a model that caps them.
    gelu_erf : bool
        GELU by the error function; else by tanh.
    swiglu_alpha, swiglu_limit : float
        Slope and clamp of gpt-oss's gate.
    """

    eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_style: RopeStyle = "neox"
    rope_scaling: RopeScaling | None = None
    local_rope_theta: float | None = None
    attention_factor: float = 1.0
    query_size: float | None = None
    score_cap: float = 50.0
    logit_cap: float = 30.0
    gelu_erf: bool = False
    swiglu_alpha: float = 1.702
    swiglu_limit: float = 7.0


@dataclass(frozen=True)
class Spec:
    """Shape and constants of a model that can be executed.

    Raises
    ------
    WorkloadError
        If the model has a gate that is timed but not executed, a constant is no usable number, or
        heads cannot be rotated as it says.
    """

    config: ModelConfig
    constants: Constants = field(default_factory=Constants)

    def __post_init__(self) -> None:
        moe = self.config.moe
        for mlp in (self.config.mlp, *((moe.expert, moe.shared) if moe else ())):
            if mlp is not None and mlp.activation == "swiglu_oai" and not mlp.gated:
                raise WorkloadError(
                    f"{self.config.name} can be timed, not executed: swiglu without a gate is not "
                    "built in the functional core"
                )
        self._check_constants()
        self._check_rotary()

    def _check_constants(self) -> None:
        constants = self.constants
        positive = (
            constants.attention_factor, self.query_size, constants.swiglu_alpha,
            constants.swiglu_limit,
        )  # fmt: skip
        if not all(0 < value < math.inf for value in positive):
            raise WorkloadError(
                f"{self.config.name}: attention_factor, query_size, swiglu_alpha and swiglu_limit "
                f"are {positive}, expected positive finite numbers"
            )
        try:
            checked_cap(constants.score_cap)
            checked_cap(constants.logit_cap)
        except WorkloadError as problem:
            raise WorkloadError(f"{self.config.name}: {problem}") from None

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
                self.frequencies(local=False)
                self.frequencies(local=True)
            except WorkloadError as problem:
                raise WorkloadError(f"{self.config.name}: {problem}") from None

    @property
    def query_size(self) -> float:
        """Attention scores are divided by its root."""
        given = self.constants.query_size
        return self.config.attention.head_dim if given is None else given

    def scaling(self, local: bool) -> RopeScaling | None:
        """Return how positions are stretched in layers with a window (local) or without."""
        own = local and self.constants.local_rope_theta is not None
        return None if own else self.constants.rope_scaling

    def frequencies(self, local: bool) -> Float32:
        """Return the rotary frequencies of layers with a window (local) or without."""
        theta, own = self.constants.rope_theta, self.constants.local_rope_theta
        theta = own if local and own is not None else theta
        return rope_frequencies(self.rotary_size, theta, self.scaling(local))

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
