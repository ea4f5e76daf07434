"""Encoders: against a twin in fp64, sentences side by side, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.transformer.encoder import cut
from tests.unit.functional.transformer.tiny_models import CONTEXT, Twin, tiny_encoder

SENTENCES = [[1, 2, 3], [36, 0, 5, 9, 9, 2], [4], [7, 8, 9]]


def test_hidden_states_are_those_of_the_twin() -> None:
    model = tiny_encoder()
    found = model.hidden(SENTENCES)
    for sentence, states in zip(SENTENCES, found, strict=True):
        assert np.abs(states - Twin(model).hidden(sentence)).max() < 1e-4


def test_the_exact_gelu_is_another_function() -> None:
    plain, exact = (tiny_encoder(gelu_erf=e).hidden(SENTENCES[:1])[0] for e in (False, True))
    assert 0 < np.abs(plain - exact).max() < 0.05


@pytest.mark.parametrize("arithmetic", ["fp32", "h100_sxm"])
def test_neighbours_in_a_batch_change_no_bit(arithmetic: str) -> None:
    model = tiny_encoder()
    together = model.hidden(SENTENCES, arithmetic)
    for sentence, states in zip(SENTENCES, together, strict=True):
        assert np.array_equal(model.hidden([sentence], arithmetic)[0], states)


def test_long_sentences_keep_their_last_token() -> None:
    assert cut([1, 2, 3, 4, 5], 3) == [1, 2, 5]
    assert cut([1, 2, 3], 3) == [1, 2, 3]


def test_what_is_no_sentence_is_refused() -> None:
    model = tiny_encoder()
    assert model.hidden([]) == []
    with pytest.raises(WorkloadError, match=f"33 tokens exceeds the context of {CONTEXT}"):
        model.hidden([[1] * 33])
    with pytest.raises(WorkloadError, match="token 37"):
        model.hidden([[37]])
    with pytest.raises(WorkloadError, match="at least one whole number"):
        model.hidden([[]])
    with pytest.raises(WorkloadError, match="has no tokenizer"):
        model.embed(["a"])
