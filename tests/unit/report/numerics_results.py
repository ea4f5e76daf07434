"""Results of two made-up variants: a model of three layers whose errors are known."""

from __future__ import annotations

import math

import numpy as np

from accelsim.functional.layer_errors import LayerError
from accelsim.functional.quality import compare_logits
from accelsim.results.run_result import RunResult
from accelsim.scenarios.numerics_result import NumericsResult

OPS = (
    "attn_norm", "attn_q", "attn_k", "attn_v", "attn", "attn_output", "attn_add", "ffn_norm",
    "ffn_up", "ffn_gate", "ffn_act", "ffn_down", "ffn_add",
)  # fmt: skip
REFERENCE = np.random.default_rng(5).normal(scale=6, size=(7, 40)).astype(np.float32)


def made_errors(base_db: float) -> tuple[LayerError, ...]:
    """SQNR falls by 1 dB with every layer; that of attn_v is 7 dB lower."""
    errors = [LayerError("token_embd", math.inf, 0.0, 0.0, 0.0)]
    for layer in range(3):
        for op in OPS:
            decibels = base_db - layer - 7 * (op == "attn_v")
            rms = 10 ** (-decibels / 20)
            errors.append(LayerError(f"blk.{layer}.{op}", decibels, rms, 0.5, 4 * rms))
    norm = LayerError("output_norm", base_db, 0.01, 0.25, 0.04)
    return (*errors, norm, LayerError("logits", base_db, 0.01, 0.25, 0.04))


def made_result(variant: str, timing: RunResult | None, **changes: object) -> NumericsResult:
    """A result of which each field can be changed."""
    noise = {"bf16": 0.01, "int8": 0.2}.get(variant, 1.0)
    rng = np.random.default_rng(len(variant))
    logits = REFERENCE + noise * rng.normal(size=REFERENCE.shape).astype(np.float32)
    given: dict[str, object] = {
        "variant": variant, "chip": "made_up", "model": "toy", "arithmetic": f"made_up {variant}",
        "scheme": "", "weight_bits": 16.0, "prompt": "Say\nsomething.", "text": " a b x d",
        "reference_text": " a b c d", "tokens": (1, 2, 9, 4), "reference_tokens": (1, 2, 3, 4),
        "diverges_at": 2, "quality": compare_logits(REFERENCE, logits), "perplexity": 11.0,
        "reference_perplexity": 10.0, "errors": made_errors(40.0), "timing": timing,
        "logits": logits.ravel(), "reference_logits": REFERENCE.ravel(), **changes,
    }  # fmt: skip
    return NumericsResult(**given)  # type: ignore[arg-type]
