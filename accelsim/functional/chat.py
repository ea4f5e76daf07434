"""Chat templates that are written by hand: a conversation to the text that a model was taught.

The template of a file is a program; it is looked at to recognise one of these, and never run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest

Message = Mapping[str, str]
_ROLES = ("system", "user", "assistant")
_DEFAULT_SYSTEM = re.compile(r"<\|im_start\|>system(?:\n|\\n)([^'\"{}<>]{1,400})<\|im_end\|>")
"""A system message that a ChatML template puts first if the conversation has none."""


@dataclass(frozen=True)
class ChatFormat:
    """How a conversation is written.

    Attributes
    ----------
    name : str
        "chatml" (SmolLM2, Qwen), "llama3", "mistral", "gemma", "phi3" or "plain": no known
        template, roles before colons.
    system : str
        System message of a conversation that has none; empty: none is added.
    """

    name: str
    system: str = ""


_SIGNS = {
    "<|start_header_id|>": "llama3", "[INST]": "mistral", "<start_of_turn>": "gemma",
    "<|end|>\\n<|assistant|>": "phi3", "<|end|>\n<|assistant|>": "phi3",
}  # fmt: skip
"""What a template contains, and the format that it then has."""
PLAIN = ChatFormat("plain")


def recognise(template: str) -> ChatFormat:
    """Return the format of a chat template, "plain" if it is none that is known."""
    if "<|im_start|>" in template:
        found = _DEFAULT_SYSTEM.search(template)
        return ChatFormat("chatml", found.group(1) if found else "")
    for sign, name in _SIGNS.items():
        if sign in template:
            return ChatFormat(name)
    return PLAIN


def render(form: ChatFormat, messages: Sequence[Message]) -> str:
    """Return the text of a conversation up to where the assistant answers.

    Parameters
    ----------
    form : ChatFormat
        From `recognise`.
    messages : sequence of mapping
        Each with "role" (system, user or assistant) and "content".

    Returns
    -------
    str
        Without the token that begins a text: encoding adds it.

    Raises
    ------
    WorkloadError
        If a message lacks role or content, or has another role.

    Notes
    -----
    Dates and tools, which some templates of llama3 and mistral add, are left out.
    """
    turns = [_turn(message, number) for number, message in enumerate(messages)]
    if form.system and (not turns or turns[0][0] != "system"):
        turns.insert(0, ("system", form.system))
    if form.name == "chatml":
        body = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
        return body + "<|im_start|>assistant\n"
    if form.name == "llama3":
        head = "<|start_header_id|>{}<|end_header_id|>\n\n"
        body = "".join(head.format(role) + f"{text.strip()}<|eot_id|>" for role, text in turns)
        return body + head.format("assistant")
    if form.name == "mistral":
        return _mistral(turns)
    if form.name == "gemma":
        return _gemma(turns)
    if form.name == "phi3":
        body = "".join(f"<|{role}|>\n{text}<|end|>\n" for role, text in turns)
        return body + "<|assistant|>\n"
    return "".join(f"{role}: {text}\n" for role, text in turns) + "assistant:"


def _turn(message: Message, number: int) -> tuple[str, str]:
    """Return role and content, checked."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        raise WorkloadError(f"message {number}: expected the texts 'role' and 'content'")
    if role not in _ROLES:
        shown = printable(role[:40])
        raise WorkloadError(f"message {number}: unknown role '{shown}', {suggest(shown, _ROLES)}")
    return role, content


def _mistral(turns: Sequence[tuple[str, str]]) -> str:
    """Write questions in [INST]; the system message leads the first of them."""
    system, text = "", ""
    for role, content in turns:
        if role == "system":
            system += content + "\n\n"
        elif role == "user":
            text += f"[INST] {system}{content} [/INST]"
            system = ""
        else:
            text += f" {content}</s>"
    return text


def _gemma(turns: Sequence[tuple[str, str]]) -> str:
    """Write turns of user and model; the system message leads the first of the user."""
    system, text = "", ""
    for role, content in turns:
        if role == "system":
            system += content + "\n\n"
            continue
        speaker = "model" if role == "assistant" else "user"
        text += f"<start_of_turn>{speaker}\n{system}{content.strip()}<end_of_turn>\n"
        system = ""
    return text + "<start_of_turn>model\n"
