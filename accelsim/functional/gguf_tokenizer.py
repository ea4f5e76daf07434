"""The tokenizer that a GGUF file carries: byte-level BPE, or SentencePiece with byte fallback.

References
----------
[1] ggml, `docs/gguf.md`, section "Tokenizer".
[2] Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, ACL 2016.
[3] Kudo and Richardson, SentencePiece, EMNLP 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.chat import recognise
from accelsim.functional.tokenizer import Tokenizer, guarded, tokenizers_library
from accelsim.functional.weights.tensor_file import MetadataValue

_PREFIX = "tokenizer.ggml."
_MOST_TOKENS = 2**20
_LONGEST_PIECE = 128
_MOST_MERGES = 2**20
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how SentencePiece writes a space
_END_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<|end_of_turn|>", "<end_of_turn>")

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# Capitals before small letters begin a word; letters of neither case and marks are both.
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_O200K = "|".join((
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
))  # fmt: skip
_GPT2, _DIGITS = "", "digits"
_PRE_TOKENIZERS = {
    "default": _GPT2, "gpt-2": _GPT2, "gpt2": _GPT2, "phi-2": _GPT2, "olmo": _GPT2,
    "smollm": _DIGITS, "starcoder": _DIGITS, "refact": _DIGITS, "command-r": _DIGITS,
    "qwen2": _CONTRACTIONS + _WORDS % "", "deepseek-r1-qwen": _CONTRACTIONS + _WORDS % "",
    "llama-bpe": _CONTRACTIONS + _WORDS % "{1,3}", "llama3": _CONTRACTIONS + _WORDS % "{1,3}",
    "gpt-4o": _O200K,
}  # fmt: skip
"""How text is cut before BPE, by the file's name for it: by GPT-2's rule (also where the file has
no name), by that after each digit stands alone, or by a regular expression."""
_NORMALISED = ("qwen2", "deepseek-r1-qwen")
_WHOLE_WORDS = ("llama-bpe", "llama3")


def gguf_tokenizer(metadata: Mapping[str, MetadataValue]) -> Tokenizer:
    """Build the tokenizer of a GGUF file.

    Parameters
    ----------
    metadata : mapping
        Of `open_gguf`.

    Returns
    -------
    Tokenizer

    Raises
    ------
    WorkloadError
        If the file has none, one of another kind, or one that contradicts itself.

    Notes
    -----
    Of the model "gpt2" merges count, of "llama" scores. Control and user-defined tokens are found
    in the text before all else.
    """
    library = tokenizers_library()
    data = _Vocabulary(metadata)
    if data.model == "gpt2":
        backend = guarded(lambda: _byte_level(library, data), "the file's tokenizer is not usable")
    elif data.model == "llama":
        backend = guarded(lambda: _pieces(library, data), "the file's tokenizer is not usable")
    else:
        raise WorkloadError(
            f"the tokenizer model '{printable(data.model[:40])}' is not read from GGUF, only "
            "'gpt2' (byte-level BPE) and 'llama' (SentencePiece); give the model's tokenizer.json"
        )
    guarded(lambda: _add_special(library, backend, data), "the file's special tokens")
    ends = [data.token_id("eos_token_id"), data.token_id("eot_token_id")]
    ends += [data.ids.get(name) for name in _END_OF_TURN]
    template = metadata.get("tokenizer.chat_template")
    return Tokenizer(
        backend,
        len(data.tokens),
        bos_id=data.token_id("bos_token_id"),
        eos_ids=tuple(dict.fromkeys(end for end in ends if end is not None)),
        add_bos=data.switch("add_bos_token", data.model == "llama" or data.pre in _WHOLE_WORDS),
        add_eos=data.switch("add_eos_token", False),
        chat_format=recognise(template if isinstance(template, str) else ""),
        missing_bytes=_missing_bytes(data) if data.model == "gpt2" else frozenset(),
    )


class _Vocabulary:
    """The tokenizer's key-values with their types checked."""

    def __init__(self, metadata: Mapping[str, MetadataValue]) -> None:
        self._metadata = metadata
        self.model = self._text("model", "")
        self.pre = self._text("pre", "default")
        self.tokens = self.texts("tokens")
        if not 1 <= len(self.tokens) <= _MOST_TOKENS:
            raise WorkloadError(
                f"{_PREFIX}tokens: {len(self.tokens)} tokens, expected 1 to {_MOST_TOKENS}"
            )
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            first = next(t for n, t in enumerate(self.tokens) if self.ids[t] != n)
            raise WorkloadError(f"{_PREFIX}tokens: '{printable(first[:40])}' stands twice")
        self.kinds = self._numbers("token_type", 1)

    def _text(self, key: str, default: str) -> str:
        value = self._metadata.get(_PREFIX + key, default)
        if not isinstance(value, str):
            raise WorkloadError(f"{_PREFIX}{key}: expected a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of texts, which must be there."""
        value = self._metadata.get(_PREFIX + key)
        if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
            raise WorkloadError(f"{_PREFIX}{key}: missing or no array of texts")
        return value  # type: ignore[return-value]

    def _numbers(self, key: str, default: float) -> list[Any]:
        """Return one finite number per token."""
        value = self._metadata.get(_PREFIX + key)
        if value is None:
            return [default] * len(self.tokens)
        if not isinstance(value, np.ndarray) or len(value) != len(self.tokens):
            raise WorkloadError(f"{_PREFIX}{key}: expected {len(self.tokens)} numbers, as tokens")
        if not np.isfinite(value.astype(np.float64)).all():
            raise WorkloadError(f"{_PREFIX}{key}: has NaN or infinite values")
        return value.tolist()  # type: ignore[no-any-return]

    def scores(self) -> list[float]:
        """Return the score of every token."""
        return self._numbers("scores", 0.0)

    def token_id(self, key: str) -> int | None:
        """Return a token's id; None if the file does not say."""
        value = self._metadata.get(_PREFIX + key)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value < len(self.tokens):
            raise WorkloadError(
                f"{_PREFIX}{key}: {printable(str(value)[:40])} is not in the vocabulary of "
                f"{len(self.tokens)} tokens"
            )
        return value

    def switch(self, key: str, default: bool) -> bool:
        """Return a truth value."""
        value = self._metadata.get(_PREFIX + key, default)
        if not isinstance(value, bool):
            raise WorkloadError(f"{_PREFIX}{key}: expected true or false")
        return value


def _byte_level(library: Any, data: _Vocabulary) -> Any:
    """Build byte-level BPE [2] from merges."""
    rule = _PRE_TOKENIZERS.get(data.pre)
    if rule is None:
        shown = printable(data.pre[:40])
        raise WorkloadError(
            f"{_PREFIX}pre: the pre-tokenizer '{shown}' is not known, "
            f"{suggest(shown, _PRE_TOKENIZERS)} Give the model's tokenizer.json instead"
        )
    merges = [_merge(text, data) for text in data.texts("merges")]
    whole = data.pre in _WHOLE_WORDS
    model = library.models.BPE(vocab=data.ids, merges=merges, ignore_merges=whole)
    backend = library.Tokenizer(model)
    pre = library.pre_tokenizers
    if data.pre in _NORMALISED:
        backend.normalizer = library.normalizers.NFC()
    if rule in (_GPT2, _DIGITS):
        cut = pre.ByteLevel(add_prefix_space=False, use_regex=True)
        steps = [pre.Digits(individual_digits=True), cut] if rule == _DIGITS else [cut]
    else:
        split = pre.Split(library.Regex(rule), behavior="isolated")
        steps = [split, pre.ByteLevel(add_prefix_space=False, use_regex=False)]
    backend.pre_tokenizer = pre.Sequence(steps)
    backend.decoder = library.decoders.ByteLevel()
    return backend


def _missing_bytes(data: _Vocabulary) -> frozenset[int]:
    """Return the bytes without a token of their own; the library would drop them in silence.

    Byte-level BPE writes printable Latin-1 bytes as they are and the others, in ascending order,
    as the characters from U+0100.
    """
    others = [b for b in range(256) if not (33 <= b <= 126 or 161 <= b <= 255) or b == 173]
    signs = {byte: chr(256 + number) for number, byte in enumerate(others)}
    return frozenset(b for b in range(256) if signs.get(b, chr(b)) not in data.ids)


def _merge(text: str, data: _Vocabulary) -> tuple[str, str]:
    """Split a merge at its space and require that all three tokens exist."""
    left, sign, right = text.partition(" ")
    if not sign or not left or not right:
        raise WorkloadError(f"{_PREFIX}merges: '{printable(text[:40])}' is no pair of tokens")
    for token in (left, right, left + right):
        if token not in data.ids:
            raise WorkloadError(
                f"{_PREFIX}merges: '{printable(text[:40])}' needs the token "
                f"'{printable(token[:40])}', which the vocabulary lacks"
            )
    return left, right


def _pieces(library: Any, data: _Vocabulary) -> Any:
    """Build SentencePiece BPE [3]: the pair whose union has the highest score is merged first."""
    merges = _piece_merges(data)
    unknown = data.token_id("unknown_token_id")
    unknown = data.ids.get("<unk>") if unknown is None else unknown
    if unknown is None and not all(f"<0x{byte:02X}>" in data.ids for byte in range(256)):
        raise WorkloadError(
            f"{_PREFIX}tokens: neither an unknown token nor one for every byte, so that text "
            "would be lost"
        )
    model = library.models.BPE(
        vocab=data.ids,
        merges=merges,
        unk_token=None if unknown is None else data.tokens[unknown],
        fuse_unk=True,
        byte_fallback=True,
    )
    backend = library.Tokenizer(model)
    prefixed = data.switch("add_space_prefix", True)
    steps = [library.normalizers.Prepend(_SPACE)] if prefixed else []
    steps.append(library.normalizers.Replace(" ", _SPACE))
    backend.normalizer = library.normalizers.Sequence(steps)
    decoders = library.decoders
    texts = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    texts += [decoders.Strip(" ", 1, 0)] if prefixed else []
    backend.decoder = decoders.Sequence(texts)
    return backend


def _piece_merges(data: _Vocabulary) -> list[tuple[str, str]]:
    """Return every pair of tokens whose union is a token, best score first, then by ids."""
    scores = data.scores()
    found: list[tuple[float, int, int, int]] = []
    for number, piece in enumerate(data.tokens):
        if data.kinds[number] in (_UNKNOWN, _CONTROL, _USER_DEFINED):
            continue
        if len(piece) > _LONGEST_PIECE:
            raise WorkloadError(
                f"{_PREFIX}tokens: token {number} has {len(piece)} characters, at most "
                f"{_LONGEST_PIECE} are expected of a piece"
            )
        for cut in range(1, len(piece)):
            left, right = data.ids.get(piece[:cut]), data.ids.get(piece[cut:])
            if left is not None and right is not None:
                found.append((-scores[number], number, left, right))
        if len(found) > _MOST_MERGES:
            raise WorkloadError(f"{_PREFIX}tokens: more than {_MOST_MERGES} pairs form a token")
    return [(data.tokens[left], data.tokens[right]) for _, _, left, right in sorted(found)]


def _add_special(library: Any, backend: Any, data: _Vocabulary) -> None:
    """Have control and user-defined tokens found before all else."""
    for kind, special in ((_CONTROL, True), (_UNKNOWN, True), (_USER_DEFINED, False)):
        names = [t for t, k in zip(data.tokens, data.kinds, strict=True) if k == kind and t]
        added = [library.AddedToken(n, special=special, normalized=False) for n in names]
        if special:
            backend.add_special_tokens(added)
        else:
            backend.add_tokens(added)
