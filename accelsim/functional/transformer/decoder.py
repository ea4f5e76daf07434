"""Decoders: logits of a text, and text from logits, in any arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from accelsim.arithmetic import FP32, Arithmetic
from accelsim.errors import WorkloadError
from accelsim.functional import vector
from accelsim.functional.attention import Mask, attention
from accelsim.functional.formats import round_to
from accelsim.functional.sampler import GREEDY, Sampler
from accelsim.functional.transformer.cache import KvCache
from accelsim.functional.transformer.layers import Ops, Setting, run_layer, unfolded
from accelsim.functional.transformer.model import Model

Floats = NDArray[np.float32]
_WORD = 2**31


class Session:
    """One sequence in one setting: weights prepared, a KV cache that grows.

    Parameters
    ----------
    ops : Ops
        Prepared ops; sessions of one setting share them.
    """

    def __init__(self, ops: Ops) -> None:
        self.ops = ops
        config, setting = ops.spec.config, ops.setting
        heads = config.attention
        per_token = (heads.n_kv_heads, heads.head_dim, heads.v_head_dim)
        if heads.latent is not None:  # one vector that all heads unfold
            per_token = (1, heads.latent.cache_width, 0)
        self.cache = KvCache(
            (config.n_layers, *per_token),
            config.position.max_positions,
            setting.arithmetic.kv,
            setting.faults,
        )

    def hidden(self, tokens: Sequence[int] | NDArray[np.int64]) -> Floats:
        """Run all layers on the next tokens; return the last norm's rows [tokens, d_model]."""
        ops, past = self.ops, self.cache.length
        ids = checked_tokens(tokens, ops.spec.config.vocab_size)
        positions = np.arange(past, past + len(ids))
        ops.step = past
        x = embed(ops, ids, positions)
        for layer in range(ops.spec.config.n_layers):
            x = run_layer(ops, layer, x, positions, self._attend)
        self.cache.advance(len(ids))
        return ops.norm("output_norm", x) if ops.spec.config.norm.final else x

    def logits(self, tokens: Sequence[int] | NDArray[np.int64], last: bool = False) -> Floats:
        """Return float32 logits [tokens, vocab] of the next tokens; `last`: of the last only."""
        x = self.hidden(tokens)
        sums, spec = self.ops.sums("output", x[-1:] if last else x), self.ops.spec
        if not spec.config.head.softcap:
            return sums
        return vector.softcap(sums, spec.constants.logit_cap, self.ops.vector)

    def _attend(self, layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        ops, spec, setting = self.ops, self.ops.spec, self.ops.setting
        past = self.cache.length
        keys, values = self.cache.append(layer, k, v)
        if spec.config.attention.latent is not None:
            keys, values = unfolded(ops, layer, keys)
        window = spec.config.attention.window
        size = window.size if window is not None and ops.local[layer] else None
        order = setting.orders.attention(layer, q.shape[1], keys.shape[1])
        mask = Mask(window=size, past=past)
        sinks = f"blk.{layer}.attn_sinks.weight"
        return attention(
            q, keys, values, setting.arithmetic, order=order, mask=mask,
            scale=spec.constants.attention_factor * spec.query_size**-0.5,
            cap=spec.constants.score_cap if spec.config.attention.softcap else None,
            sinks=ops.parameter(sinks) if sinks in ops.source.shapes else None,
        )  # fmt: skip


def embed(ops: Ops, ids: NDArray[np.int64], positions: NDArray[np.int64]) -> Floats:
    """Look tokens up, scale, add positions and types, and store."""
    config = ops.spec.config
    x = ops.embeddings(ids)
    with np.errstate(invalid="ignore"):  # flipped bits may have made infinities
        if config.embedding.scaled:
            # The references round the factor to the format of the embeddings: 55.5 for 55.4256.
            by = round_to(np.float32(config.d_model**0.5), ops.stored)
            x = vector.mul(round_to(x, ops.stored), by, ops.vector)
        if config.position.kind == "learned":
            rows = positions + config.position.table_offset
            x = x + ops.parameter("position_embd.weight", ops.stored)[rows]
        if config.embedding.token_types:
            x = x + ops.parameter("token_types.weight", ops.stored)[0]
    x = ops.store("token_embd", np.ascontiguousarray(x, dtype=np.float32))
    return ops.norm("token_embd_norm", x) if config.embedding.norm else x


def checked_tokens(tokens: Sequence[int] | NDArray[np.int64], vocab_size: int) -> NDArray[np.int64]:
    """Return token ids as an array.

    Raises
    ------
    WorkloadError
        If there is none, or one is no id of the vocabulary.
    """
    if isinstance(tokens, str):
        raise WorkloadError(
            "this takes token ids, not text: model.tokenizer.encode(text) gives them"
        )
    ids = np.asarray(tokens)
    if ids.ndim != 1 or ids.size == 0 or ids.dtype.kind not in "iu":
        raise WorkloadError(
            f"tokens are {ids.dtype} of shape {ids.shape}: expected at least one whole number"
        )
    outside = ids[(ids < 0) | (ids >= vocab_size)]
    if outside.size:
        raise WorkloadError(f"token {outside[0]} is not below the vocabulary of {vocab_size}")
    return ids.astype(np.int64)


class DecoderModel(Model):
    """A decoder with its weights: logits of a text, and text from logits."""

    def session(self, arithmetic: str | Arithmetic | Setting = FP32) -> Session:
        """Start a sequence.

        Parameters
        ----------
        arithmetic : str, Arithmetic or Setting
            "fp32", "bf16", ...; the name of a chip; or the full setting.
        """
        return Session(self.ops(arithmetic))

    def logits(
        self, tokens: Sequence[int], arithmetic: str | Arithmetic | Setting = FP32
    ) -> Floats:
        """Return the logits after each token of a text.

        Parameters
        ----------
        tokens : sequence of int
        arithmetic : str, Arithmetic or Setting

        Returns
        -------
        array of float32, [tokens, vocab]

        Raises
        ------
        WorkloadError
            If a token is unknown, or the text exceeds the context.
        """
        self.check_room(len(tokens), 0)
        return self.session(arithmetic).logits(tokens)

    def generate(
        self,
        tokens: Sequence[int],
        max_new_tokens: int,
        arithmetic: str | Arithmetic | Setting = FP32,
        *,
        sampler: Sampler = GREEDY,
        stop: Sequence[int] = (),
    ) -> list[int]:
        """Continue a text.

        Parameters
        ----------
        tokens : sequence of int
            The prompt.
        max_new_tokens : int
        arithmetic : str, Arithmetic or Setting
        sampler : Sampler
            Greedy by default.
        stop : sequence of int
            Tokens after which generation ends (they are part of the result).

        Returns
        -------
        list of int
            The new tokens.
        """
        stream = self.stream(tokens, max_new_tokens, arithmetic, sampler=sampler, stop=stop)
        return [token for token, _ in stream]

    def stream(
        self,
        tokens: Sequence[int],
        max_new_tokens: int,
        arithmetic: str | Arithmetic | Setting = FP32,
        *,
        sampler: Sampler = GREEDY,
        stop: Sequence[int] = (),
    ) -> Iterator[tuple[int, Floats]]:
        """Yield each new token with the logits [vocab] it was taken from."""
        if max_new_tokens < 0:
            raise WorkloadError(f"max_new_tokens is {max_new_tokens}, expected 0 or more")
        self.check_room(len(tokens), max_new_tokens)
        text = checked_tokens(tokens, self.spec.config.vocab_size).tolist()
        session = self.session(arithmetic)
        fresh = text
        for step in range(max_new_tokens):
            row = session.logits(fresh, last=True)[0]
            token = sampler.next_token(row, step, text)
            yield token, row
            if token in stop:
                return
            text.append(token)
            fresh = [token]

    def check_room(self, tokens: int, new: int) -> None:
        """Refuse a prompt that does not fit the context with its new tokens.

        Raises
        ------
        WorkloadError
            With what there is room for.
        """
        if tokens + new > self.context:
            raise WorkloadError(
                f"{tokens} tokens and {new} new ones exceed the context of {self.context} of "
                f"{self.name}: give a shorter prompt, or generate fewer"
            )
