"""Packaged models run with random weights, which are those of the seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.loading import random_model
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.encoder import EncoderModel
from accelsim.functional.transformer.sources import RandomWeights
from tests.unit.functional.transformer.tiny_models import CONFIGS, LLAMA

# Larger vocabularies and widths take gigabytes and seconds.
SMALL = ("smollm2-135m", "gpt2")


@pytest.mark.parametrize("name", SMALL)
def test_decoders_run(name: str) -> None:
    model = random_model(name, layers=1, seed=3)
    assert isinstance(model, DecoderModel)
    logits = model.logits([1, 2, 3])
    assert logits.shape == (3, model.spec.config.vocab_size)
    assert np.isfinite(logits).all()
    assert logits.std() > 0


def test_encoders_run() -> None:
    model = random_model("bert-base", layers=1)
    assert isinstance(model, EncoderModel)
    states = model.hidden([[1, 2, 3], [4]])
    assert [s.shape for s in states] == [(3, 768), (1, 768)]
    assert all(np.isfinite(s).all() for s in states)


def test_one_layer_of_a_larger_model_has_its_shapes() -> None:
    shapes = random_model("llama2-7b", layers=1).weights.shapes
    assert shapes["blk.0.ffn_down.weight"] == (4096, 11008)
    assert "blk.1.attn_q.weight" not in shapes


@pytest.mark.parametrize("layers", [0, -1, 31])
def test_layers_that_a_model_does_not_have_are_refused(layers: int) -> None:
    with pytest.raises(WorkloadError, match="has 30 layers"):
        random_model("smollm2-135m", layers=layers)


def test_weights_are_those_of_the_seed() -> None:
    same, other = RandomWeights(LLAMA, 1), RandomWeights(LLAMA, 2)
    name = "blk.1.ffn_up.weight"
    assert np.array_equal(RandomWeights(LLAMA, 1).read(name), same.read(name))
    assert not np.array_equal(other.read(name), same.read(name))
    assert not np.array_equal(same.read("blk.0.ffn_up.weight"), same.read(name))
    assert 0.015 < same.read(name).std() < 0.025
    assert np.array_equal(same.rows("token_embd.weight", np.array([3])),
                          same.read("token_embd.weight")[[3]])  # fmt: skip


@pytest.mark.parametrize("name", list(CONFIGS))
def test_norms_begin_with_one_and_biases_with_zero(name: str) -> None:
    weights = RandomWeights(replace(CONFIGS[name], n_layers=2))
    for tensor in weights.shapes:
        values = weights.read(tensor)
        assert values.dtype == np.float32
        assert values.shape == weights.shapes[tensor]
        if tensor.endswith("bias"):
            assert not values.any()
        elif "norm" in tensor:
            assert (values == 1).all()
