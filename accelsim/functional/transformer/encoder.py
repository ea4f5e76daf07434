"""Encoders (BERT): hidden states of sentences, and their embeddings, in any arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accelsim.arithmetic import FP32, Arithmetic
from accelsim.errors import WorkloadError
from accelsim.functional.attention import Mask, attention
from accelsim.functional.transformer.decoder import checked_tokens, embed
from accelsim.functional.transformer.layers import Ops, Setting, run_layer
from accelsim.functional.transformer.model import Model

Floats = NDArray[np.float32]
_TOKENS_AT_ONCE = 4096
_ALL = Mask(causal=False)


class EncoderModel(Model):
    """An encoder with its weights: hidden states of sentences, and their embeddings."""

    def hidden(
        self, sentences: Sequence[Sequence[int]], arithmetic: str | Arithmetic | Setting = FP32
    ) -> list[Floats]:
        """Return the last hidden states [tokens, d_model] of every sentence of token ids."""
        ops = self.ops(arithmetic)
        ids = [checked_tokens(s, self.spec.config.vocab_size) for s in sentences]
        longest = max((len(s) for s in ids), default=0)
        if longest > self.context:
            raise WorkloadError(
                f"a sentence of {longest} tokens exceeds the context of {self.context} of "
                f"{self.name}: cut it"
            )
        found: list[Floats] = []
        ops.step = 0
        for batch in _batches(ids):
            found += _run(ops, batch)
            ops.step += sum(len(s) for s in batch)
        return found

    def embed(
        self, sentences: Sequence[str], arithmetic: str | Arithmetic | Setting = FP32
    ) -> Floats:
        """Return one vector of length 1 per sentence: the mean of its hidden states.

        Parameters
        ----------
        sentences : sequence of str
            Longer ones than the context are cut to it.
        arithmetic : str, Arithmetic or Setting

        Returns
        -------
        array of float32, [sentences, d_model]

        Raises
        ------
        WorkloadError
            If the model has no tokenizer, or there is no sentence.
        """
        if self.tokenizer is None:
            raise WorkloadError(f"{self.name} has no tokenizer: call hidden() with token ids")
        if isinstance(sentences, str) or not sentences:
            raise WorkloadError("embed takes a list of at least one sentence")
        ids = [cut(self.tokenizer.encode(s), self.context) for s in sentences]
        means = np.stack([h.mean(axis=0, dtype=np.float32) for h in self.hidden(ids, arithmetic)])
        lengths = np.sqrt((means * means).sum(axis=1, keepdims=True))
        unit: Floats = means / np.maximum(lengths, np.float32(1e-12))
        return unit


def cut(ids: list[int], limit: int) -> list[int]:
    """Shorten a sentence to the context, its last token (the separator) kept."""
    return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def _batches(ids: list[NDArray[np.int64]]) -> list[list[NDArray[np.int64]]]:
    """Split sentences so that no batch exceeds what caches hold."""
    batches: list[list[NDArray[np.int64]]] = []
    room = 0
    for sentence in ids:
        if len(sentence) > room:
            batches.append([])
            room = max(_TOKENS_AT_ONCE, len(sentence))
        batches[-1].append(sentence)
        room -= len(sentence)
    return batches


def _run(ops: Ops, batch: list[NDArray[np.int64]]) -> list[Floats]:
    """Run sentences as the rows of one matrix; attention stays within each."""
    setting = ops.setting
    ends = np.cumsum([len(s) for s in batch])
    spans = [slice(end - len(s), end) for s, end in zip(batch, ends, strict=True)]
    alike: dict[int, list[int]] = {}
    for place, sentence in enumerate(batch):
        alike.setdefault(len(sentence), []).append(place)

    def attend(layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        out = np.empty_like(q)
        for length, places in alike.items():
            order = setting.orders.attention(layer, length, length)
            rows = [spans[p] for p in places]
            queries, keys, values = (np.stack([x[:, r] for r in rows]) for x in (q, k, v))
            mixed = attention(queries, keys, values, setting.arithmetic, order=order, mask=_ALL)
            for r, result in zip(rows, mixed, strict=True):
                out[:, r] = result
        return out

    positions = np.concatenate([np.arange(len(s)) for s in batch])
    x = embed(ops, np.concatenate(batch), positions)
    for layer in range(ops.spec.config.n_layers):
        x = run_layer(ops, layer, x, positions, attend)
    return [x[span] for span in spans]
