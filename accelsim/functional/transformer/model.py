"""What decoders and encoders share: a shape, weights, a tokenizer, and one prepared setting."""

from __future__ import annotations

from collections.abc import Callable

from accelsim.arithmetic import Arithmetic
from accelsim.functional.arithmetics import resolve_arithmetic
from accelsim.functional.tokenizer import Tokenizer
from accelsim.functional.transformer.layers import Ops, Setting
from accelsim.functional.transformer.sources import WeightSource
from accelsim.functional.transformer.spec import Spec


class Model:
    """A model with its weights.

    Parameters
    ----------
    name : str
    spec : Spec
    weights : WeightSource
    tokenizer : Tokenizer or None
    """

    def __init__(
        self, name: str, spec: Spec, weights: WeightSource, tokenizer: Tokenizer | None = None
    ) -> None:
        self.name, self.spec, self.weights, self.tokenizer = name, spec, weights, tokenizer
        self._ops: Ops | None = None

    @property
    def context(self) -> int:
        """Most tokens of one sequence."""
        return self.spec.config.position.max_positions

    def ops(
        self,
        arithmetic: str | Arithmetic | Setting,
        *,
        tell: Callable[[str], None] | None = None,
    ) -> Ops:
        """Prepare the weights for a setting; those of the last one are kept, older ones not.

        Parameters
        ----------
        arithmetic : str, Arithmetic or Setting
            "fp32", "bf16", ...; the name of a chip; or the full setting.
        tell : callable, optional
            Called with the name of every weight that was prepared.
        """
        setting = as_setting(arithmetic)
        if self._ops is not None and self._ops.setting.prepares_like(setting):
            self._ops.setting = setting
            return self._ops
        self._ops = None  # Gone before the new ones are made: two sets may not fit.
        fresh = Ops(self.spec, self.weights, setting)
        fresh.prepare(tell)
        self._ops = fresh
        return fresh


def as_setting(arithmetic: str | Arithmetic | Setting) -> Setting:
    """Return the setting that a name, an arithmetic or a setting stands for."""
    if isinstance(arithmetic, Setting):
        return arithmetic
    return Setting(resolve_arithmetic(arithmetic))
