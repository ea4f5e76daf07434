"""Text to token ids and back, from what a file of weights says or from a tokenizer.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accelsim.documents import printable, read_json
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.chat import PLAIN, ChatFormat, Message, recognise, render

if TYPE_CHECKING:
    import tokenizers

_MOST_FILE_BYTES = 64 * 2**20
_LARGEST_ID = 2**32 - 1
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNKNOWN = ("error", "replace")


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary and the rules that cut text to its tokens.

    Attributes
    ----------
    backend : tokenizers.Tokenizer
        The compiled rules.
    vocabulary_size : int
        Number of tokens; their ids are from 0 to one less, unless a tokenizer.json leaves gaps.
    bos_id : int or None
        Token that begins a text.
    eos_ids : tuple of int
        Tokens that end an answer; the first ends a text.
    add_bos : bool
        Whether `encode` puts `bos_id` first (rules of a tokenizer.json do that themselves).
    add_eos : bool
        Whether `encode` puts the first of `eos_ids` last.
    chat_format : ChatFormat
        How conversations are written; its name is "plain" if the template is not known here.
    missing_bytes : frozenset of int
        Bytes that a byte-level vocabulary has no token for.
    """

    backend: tokenizers.Tokenizer = field(repr=False)
    vocabulary_size: int
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()
    add_bos: bool = False
    add_eos: bool = False
    chat_format: ChatFormat = PLAIN
    missing_bytes: frozenset[int] = frozenset()

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; names of special tokens in it become these tokens.

        Raises
        ------
        WorkloadError
            If the text cannot be written as UTF-8, or has a byte that the vocabulary lacks.
        """
        try:
            lacking = self.missing_bytes.intersection(text.encode("utf-8"))
        except UnicodeEncodeError:
            raise WorkloadError("the text has lone surrogates, which are no characters") from None
        if lacking:
            raise WorkloadError(
                f"the text has the byte 0x{min(lacking):02X} in its UTF-8, which the vocabulary of "
                f"{self.vocabulary_size} tokens cannot express; leave that character out"
            )
        ids: list[int] = guarded(
            lambda: self.backend.encode(text).ids, "the tokenizer cannot cut the text to tokens"
        )
        if self.add_bos and self.bos_id is not None:
            ids = [self.bos_id, *ids]
        return [*ids, self.eos_ids[0]] if self.add_eos and self.eos_ids else ids

    def decode(
        self,
        ids: Sequence[int],
        *,
        skip_special: bool = False,
        unknown: Literal["error", "replace"] = "error",
    ) -> str:
        """Return the text of token ids.

        Parameters
        ----------
        ids : sequence of int
            Token ids.
        skip_special : bool
            Leave out tokens that steer the model and are no text.
        unknown : str
            What an id outside the vocabulary is: an "error", or "replace" by U+FFFD. A model may
            choose such an id, as many have more rows of embeddings than tokens.

        Raises
        ------
        WorkloadError
            If an id is not in the vocabulary and that is an error.
        """
        if unknown not in _UNKNOWN:
            raise WorkloadError(f"unknown is {unknown!r}: {suggest(str(unknown), _UNKNOWN)}")
        tokens = [int(token) for token in ids]
        absent = [token for token in tokens if self._piece(token) is None]
        if absent and unknown == "error":
            raise WorkloadError(
                f"token {absent[0]} is not in the vocabulary of {self.vocabulary_size} tokens"
            )
        join = self._joined_with_gaps if absent else self.backend.decode
        text: str = guarded(
            lambda: join(tokens, skip_special_tokens=skip_special),
            "the tokenizer cannot join the tokens",
        )
        return text

    def _piece(self, token: int) -> str | None:
        return self.backend.id_to_token(token) if 0 <= token <= _LARGEST_ID else None

    def _joined_with_gaps(self, tokens: list[int], *, skip_special_tokens: bool) -> str:
        """As the library joins tokens, but with a sign for those it would leave out in silence."""
        added = self.backend.get_added_tokens_decoder()
        special = {n for n, token in added.items() if token.special and skip_special_tokens}
        found = [self._piece(token) for token in tokens if token not in special]
        pieces = [_REPLACEMENT if piece is None else piece for piece in found]
        decoder = self.backend.decoder
        return " ".join(pieces) if decoder is None else decoder.decode(pieces)

    def chat(self, messages: Sequence[Message]) -> str:
        """Return the text of a conversation in the model's own form, to be encoded.

        Parameters
        ----------
        messages : sequence of mapping
            Each with "role" (system, user or assistant) and "content".

        Raises
        ------
        WorkloadError
            If a message is malformed.
        """
        return render(self.chat_format, messages)


def tokenizers_library() -> Any:
    """Return the optional library `tokenizers`.

    Raises
    ------
    WorkloadError
        If it is not installed; the message has the command.
    """
    try:
        import tokenizers
    except ImportError:
        raise WorkloadError(
            "cutting text to tokens needs the library tokenizers: pip install 'accelsim[numerics]'"
        ) from None
    return tokenizers


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read a ``tokenizer.json`` and what lies beside it.

    Parameters
    ----------
    path : str or Path
        The file. ``tokenizer_config.json`` beside it names bos, eos and the chat template.

    Returns
    -------
    Tokenizer
        Neither pads nor truncates, whatever the file says.

    Raises
    ------
    WorkloadError
        If a file is unreadable or malformed.
    """
    file, name = Path(path), printable(str(path))
    library = tokenizers_library()
    try:
        if not file.is_file() or file.stat().st_size > _MOST_FILE_BYTES:
            raise WorkloadError(f"{name}: no file of at most {_MOST_FILE_BYTES // 2**20} MiB")
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8 text"
        raise WorkloadError(f"cannot read {name}: {reason}") from None
    backend = guarded(lambda: library.Tokenizer.from_str(text), f"{name}: not a usable tokenizer")
    backend.no_padding()
    backend.no_truncation()
    config = file.with_name("tokenizer_config.json")
    settings = read_json(config, WorkloadError).tree if config.is_file() else {}
    if not isinstance(settings, dict):
        raise WorkloadError(f"{printable(str(config))}: expected a JSON object")
    eos = _named(backend, settings.get("eos_token"))
    template = settings.get("chat_template")
    return Tokenizer(
        backend,
        backend.get_vocab_size(with_added_tokens=True),
        bos_id=_named(backend, settings.get("bos_token")),
        eos_ids=() if eos is None else (eos,),
        chat_format=recognise(template if isinstance(template, str) else ""),
    )


def _named(backend: tokenizers.Tokenizer, token: Any) -> int | None:
    """Return the id of a token given as text or as an object with its content."""
    content = token.get("content") if isinstance(token, dict) else token
    return backend.token_to_id(content) if isinstance(content, str) else None


def guarded(action: Callable[[], Any], what: str) -> Any:
    """Return ``action()``; whatever the library throws at hostile data becomes a WorkloadError.

    The library is Rust: a broken assumption of its own is a panic, which is no `Exception`.
    """
    try:
        return action()
    except WorkloadError:
        raise
    except BaseException as problem:
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise
        reason = printable(str(problem)[:200]) or type(problem).__name__
        raise WorkloadError(f"{what}: {reason}") from None
