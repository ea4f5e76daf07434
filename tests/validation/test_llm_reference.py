"""Do real weights give the logits, the text and the embeddings of PyTorch in fp32?

Reference: SmolLM2-135M-Instruct (Q4_1, dequantised) and all-MiniLM-L6-v2 in torch fp32; fp32 and
fp64 differ by at most 4.5e-5 there. Tolerances are those of fp32 sums in another order.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.loading import load_weights
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.encoder import EncoderModel

pytestmark = pytest.mark.shared
PREFIX, GENERATED = 24, 12


def _installed(name: str) -> DecoderModel | EncoderModel:
    try:
        return load_weights(name)
    except WorkloadError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="module")
def smollm2() -> DecoderModel:
    model = _installed("smollm2-135m-instruct")
    assert isinstance(model, DecoderModel)
    return model


def _divergence(reference: NDArray[np.floating], found: NDArray[np.floating]) -> float:
    """Mean Kullback-Leibler divergence of next tokens [nat]."""
    logs = []
    for logits in (reference.astype(np.float64), found.astype(np.float64)):
        shifted = logits - logits.max(-1, keepdims=True)
        logs.append(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))
    return float((np.exp(logs[0]) * (logs[0] - logs[1])).sum(-1).mean())


def test_fp32_logits(shared_dir: Path, smollm2: DecoderModel) -> None:
    with np.load(shared_dir / "llm" / "smollm2_fp32_logits.npz") as held:
        tokens, rows, wanted = held["tokens"], held["positions"], held["logits"]
    kept = rows < PREFIX
    found = smollm2.logits(tokens[:PREFIX].tolist())[rows[kept]]
    assert kept.any()
    assert np.abs(found - wanted[kept]).max() < 2e-3
    assert (found.argmax(-1) == wanted[kept].argmax(-1)).all()


def test_greedy_text(shared_dir: Path, smollm2: DecoderModel) -> None:
    reference = json.loads((shared_dir / "llm" / "smollm2_fp32_greedy.json").read_text())["runs"][0]
    found = smollm2.generate(reference["prompt_tokens"], GENERATED)
    for step, (token, wanted) in enumerate(zip(found, reference["tokens"], strict=False)):
        if reference["margins"][step] < 1e-3:  # A tie of rounding: texts may part here.
            break
        assert token == wanted, f"step {step}"
    assert len(found) == GENERATED


def test_a_chip_differs_in_bits_and_hardly_in_meaning(
    shared_dir: Path, smollm2: DecoderModel
) -> None:
    with np.load(shared_dir / "llm" / "smollm2_fp32_logits.npz") as held:
        tokens, rows, wanted = held["tokens"][:PREFIX].tolist(), held["positions"], held["logits"]
    kept = rows < PREFIX
    plain, chip = (smollm2.logits(tokens, name) for name in ("bf16", "h100_sxm"))
    assert not np.array_equal(plain, chip)
    for found in (plain, chip):
        assert _divergence(wanted[kept], found[rows[kept]]) < 0.01


def test_sentence_embeddings(shared_dir: Path) -> None:
    with np.load(shared_dir / "llm" / "minilm_fp32.npz") as held:
        sentences, wanted = [str(s) for s in held["sentences"]], held["embeddings"]
    model = _installed("all-minilm-l6-v2")
    assert isinstance(model, EncoderModel)
    found = model.embed(sentences)
    assert np.abs(found - wanted).max() < 1e-4
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6
