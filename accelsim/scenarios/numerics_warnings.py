"""What the reader of a numerics study should know before trusting its numbers."""

from __future__ import annotations

from accelsim.arch.system import System
from accelsim.functional.faults import FaultInjector
from accelsim.functional.quality import LogitQuality

FEWEST_TOKENS = 64
"""Of a text below which its perplexity is mostly luck."""


def system_warnings(system: System) -> tuple[str, ...]:
    """Say that of a system with several chips one is measured."""
    if system.chips == 1:
        return ()
    return (f"{system.name} has {system.chips} chips: one {system.chip.name} is measured",)


def quality_warnings(name: str, quality: LogitQuality) -> tuple[str, ...]:
    """Say which measures of quality mean little, or nothing.

    Parameters
    ----------
    name : str
        Of the variant.
    quality : LogitQuality
    """
    warnings = []
    tokens, bad = quality.tokens, quality.bad_tokens
    if tokens < FEWEST_TOKENS:
        warnings.append(
            f"perplexity over {tokens} tokens says little: evaluate {FEWEST_TOKENS} or more"
        )
    if bad:
        left = "nothing is left to compare" if bad == tokens else "KL and rms are of the others"
        warnings.append(
            f"{name}: logits after {bad:,} of {tokens:,} tokens are NaN or infinite: {left}"
        )
    return tuple(warnings)


def damage_warnings(nonfinite: dict[str, int], injector: FaultInjector | None) -> tuple[str, ...]:
    """Say which weights are no numbers, and which planned flips never came.

    Parameters
    ----------
    nonfinite : dict
        NaN and infinite weights by tensor.
    injector : FaultInjector or None
        After the run.
    """
    warnings = []
    if nonfinite:
        total, name = sum(nonfinite.values()), next(iter(nonfinite))
        warnings.append(
            f"{total} weights of {len(nonfinite)} tensors are NaN or infinite, first in '{name}': "
            "results that they reach are NaN"
        )
    if injector is not None and injector.unmet_places:
        place = injector.unmet_places[0]
        warnings.append(
            f"{len(injector.unmet_places)} places of flips were never met, the first is {place}"
        )
    return tuple(warnings)
