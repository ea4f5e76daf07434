"""Ranges of activations over the packaged calibration text, for SmoothQuant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.arithmetic import FP32
from accelsim.errors import WorkloadError
from accelsim.functional.quant.schemes import Scheme
from accelsim.functional.quant.smooth import smoothing_factors
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.layers import Setting
from accelsim.workload.texts import packaged_text

Floats = NDArray[np.float32]
CALIBRATION_TOKENS = 512
# What each op writes is the input of these matmuls, which share factors.
_READERS = {
    "attn_norm": ("attn_q", "attn_k", "attn_v"),
    "attn": ("attn_output",),
    "ffn_norm": ("ffn_gate", "ffn_up"),
    "ffn_act": ("ffn_down",),
}


def activation_ranges(model: DecoderModel, tokens: list[int]) -> dict[str, Floats]:
    """Largest magnitude of every input channel of the matmuls of layers, over a text in fp32.

    Parameters
    ----------
    model : DecoderModel
    tokens : list of int

    Returns
    -------
    dict
        [k] by the name of the op that writes the input ("blk.0.attn_norm").
    """
    found: dict[str, Floats] = {}

    def watch(name: str, values: Floats) -> None:
        if name.startswith("blk.") and name.rsplit(".", 1)[1] in _READERS:
            found[name] = np.abs(values).max(axis=0)

    model.logits(tokens, Setting(FP32, observe=watch))
    return found


def check_smoothing(model: DecoderModel, scheme: Scheme | None) -> None:
    """Refuse a scheme with SmoothQuant for a model that it does not suit.

    Raises
    ------
    WorkloadError
        If the model's activations are not read by plain matmuls after a norm.
    """
    if scheme is None or scheme.smooth is None:
        return
    config = model.spec.config
    if config.norm.placement != "pre" or config.moe is not None or model.tokenizer is None:
        raise WorkloadError(
            f"{model.name}: SmoothQuant is calibrated on decoders with a norm before each "
            "sublayer, without experts and with a tokenizer; take int8"
        )


def smoothing_of(model: DecoderModel, scheme: Scheme | None) -> dict[str, Floats] | None:
    """Return the factors that a scheme with SmoothQuant needs, by weight name; else None.

    Raises
    ------
    WorkloadError
        As `check_smoothing` does.
    """
    check_smoothing(model, scheme)
    if scheme is None or scheme.smooth is None or model.tokenizer is None:
        return None
    tokens = model.tokenizer.encode(packaged_text("calibration"))
    ranges = activation_ranges(model, tokens[: min(CALIBRATION_TOKENS, model.context)])
    factors: dict[str, Floats] = {}
    for name, peaks in ranges.items():
        layer, op = name.rsplit(".", 1)
        names = [f"{layer}.{reader}.weight" for reader in _READERS[op]]
        present = [n for n in names if n in model.weights.shapes]
        stacked = np.concatenate([model.weights.read(n) for n in present])
        shared = smoothing_factors(peaks, stacked, scheme.smooth)
        factors.update(dict.fromkeys(present, shared))
    return factors
