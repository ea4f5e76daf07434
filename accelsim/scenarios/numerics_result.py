"""What a run of real weights in a chip's arithmetic gives: text, quality, time and energy."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.functional.layer_errors import LayerError
from accelsim.functional.quality import LogitQuality, divergence
from accelsim.results.run_result import RunResult

_LOGITS_KEPT = 400_000


@dataclass(frozen=True)
class ChipDifference:
    """A variant on one chip against the same variant on the first chip of a comparison.

    Attributes
    ----------
    variant : str
        Name of that on the first chip.
    equal_logits : float
        Share of logits with the same bits, of those kept (see `spaced_logits`).
    rms : float
        Root mean square of their differences; NaN if one is none.
    texts_part_at : int or None
        First generated token that differs; None if none does.
    """

    variant: str
    equal_logits: float
    rms: float
    texts_part_at: int | None


@dataclass(frozen=True)
class NumericsResult:
    """One variant of a model on a chip: what comes out, and what it costs there.

    Attributes
    ----------
    variant : str
        What was asked for: a dtype or a quantisation, after the chip's name where a study has
        several.
    chip, model, arithmetic : str
    scheme : str
        Quantisation in words; empty without.
    weight_bits : float
        Bits per weight of the layers' matmuls, scales included.
    prompt, text, reference_text : str
        What was given, what this run and what fp32 continued with.
    tokens, reference_tokens : tuple of int
        Generated tokens, up to the first that ends the text: a variant may have made fewer.
    diverges_at : int or None
        First generated token that differs from fp32; None if none does.
    stopped : str
        Why generation ended for want of a next token; empty where it did not.
    sums : str
        The order of sums: cuts of k and attention tiles of the steps that ran.
    quality : LogitQuality
        Of the evaluated text, against fp32.
    perplexity, reference_perplexity : float
        Of that text, in this run and in fp32.
    errors : tuple of LayerError
        Of what every op writes, in execution order, then of the logits; over up to 32 rows each.
    timing : RunResult
        The same run on the chip: prompt and the tokens that this variant made (at least one,
        unless none was asked for).
    nonfinite_weights : dict
        NaN and infinite weights by tensor.
    faults : dict
        Tally of injected faults by target: of weights once, of the KV cache and of accumulators
        over evaluation and generation.
    ecc : str
        Code that guarded memory from faults: "none" or "secded".
    against_first_chip : ChipDifference or None
        In a comparison of several chips, but for the first.
    logits, reference_logits : array of float32 or None
        `spaced_logits` of the evaluated text, for pictures, not in JSON.
    warnings : tuple of str
    """

    variant: str
    chip: str
    model: str
    arithmetic: str
    scheme: str
    weight_bits: float
    prompt: str
    text: str
    reference_text: str
    tokens: tuple[int, ...]
    reference_tokens: tuple[int, ...]
    diverges_at: int | None
    quality: LogitQuality
    perplexity: float
    reference_perplexity: float
    errors: tuple[LayerError, ...]
    timing: RunResult
    stopped: str = ""
    sums: str = ""
    nonfinite_weights: dict[str, int] = field(default_factory=dict)
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    ecc: str = "none"
    against_first_chip: ChipDifference | None = None
    logits: NDArray[np.float32] | None = field(default=None, repr=False)
    reference_logits: NDArray[np.float32] | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def latency_s(self) -> float:
        """Time of prompt and generation on the chip [s]."""
        return self.timing.latency_s

    @property
    def energy_j(self) -> float:
        """Energy of the same [J]."""
        return self.timing.energy_j

    @property
    def energy_per_token_j(self) -> float:
        """Energy per generated token, the prompt's share included [J]."""
        return self.timing.energy_j / self.timing.output_len

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second of the whole run [1/s]."""
        return self.timing.tokens_per_s

    def as_dict(self) -> dict[str, Any]:
        """Return everything but logits as plain values; NaN and infinities become None."""
        plain = {
            name: getattr(self, name)
            for name in (
                "variant", "chip", "model", "arithmetic", "scheme", "weight_bits", "prompt",
                "text", "reference_text", "diverges_at", "stopped", "sums", "perplexity",
                "reference_perplexity", "latency_s", "energy_j", "energy_per_token_j",
                "tokens_per_s", "nonfinite_weights", "faults", "ecc",
            )
        }  # fmt: skip
        lists = {
            "tokens": list(self.tokens),
            "reference_tokens": list(self.reference_tokens),
            "warnings": list(self.warnings),
            "errors": [asdict(error) for error in self.errors],
        }
        chip = self.against_first_chip
        tables = {
            "quality": asdict(self.quality),
            "against_first_chip": asdict(chip) if chip else None,
        }
        found: dict[str, Any] = _finite({**plain, **lists, **tables})
        return found


def chip_difference(first: NumericsResult, other: NumericsResult) -> ChipDifference:
    """Return how a variant on another chip differs from that on the first.

    Both results carry the logits of the same text.
    """
    assert first.logits is not None and other.logits is not None
    same = first.logits.view(np.uint32) == other.logits.view(np.uint32)
    with np.errstate(invalid="ignore", over="ignore"):
        change = other.logits.astype(np.float64) - first.logits
        rms = float(np.sqrt(np.mean(np.square(change))))
    parts_at = divergence(first.tokens, other.tokens)
    return ChipDifference(first.variant, float(same.mean()), rms, parts_at)


def spaced_logits(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return evenly spaced logits, at most 400,000, in one row.

    Parameters
    ----------
    logits : array of float32, [tokens, vocab]
    """
    # A step without common factors with the vocabulary meets all of its tokens.
    step = max(1, math.ceil(logits.size / _LOGITS_KEPT))
    while step > 1 and math.gcd(step, logits.shape[-1]) > 1:
        step += 1
    return logits.reshape(-1)[::step].copy()


def _finite(data: Any) -> Any:
    """Return data for JSON, which has neither NaN nor infinities."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
