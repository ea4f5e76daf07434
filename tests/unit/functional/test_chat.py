"""Are conversations written as the models' own templates write them?"""

from __future__ import annotations

import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.chat import ChatFormat, recognise, render

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]

WRITTEN = {
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "llama3": (
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "mistral": "[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]",
    "gemma": (
        "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello"
        "<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    ),
    "phi3": (
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n"
        "<|user|>\nBye<|end|>\n<|assistant|>\n"
    ),
    "plain": "system: Be brief.\nuser: Hi\nassistant: Hello\nuser: Bye\nassistant:",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_conversation(name: str) -> None:
    assert render(ChatFormat(name), TALK) == WRITTEN[name]


@pytest.mark.parametrize("newline", ["\n", "\\n"])
def test_the_default_system_message_of_a_template_is_used(newline: str) -> None:
    template = f"{{{{ '<|im_start|>system{newline}You are Q.<|im_end|>{newline}' }}}}"
    form = recognise(template)
    assert form == ChatFormat("chatml", "You are Q.")
    assert render(form, TALK) == WRITTEN["chatml"]
    assert render(form, TALK[1:2]).startswith("<|im_start|>system\nYou are Q.<|im_end|>\n")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{ '<|start_header_id|>' }}", "llama3"),
        ("[INST]", "mistral"),
        ("{{ bos_token }}{{ '<start_of_turn>' + role }}", "gemma"),
        ("{{'<|user|>' + '\\n' + m['content'] + '<|end|>\\n<|assistant|>\\n'}}", "phi3"),
        ("{{'<|user|>\n' + m['content'] + '<|end|>\n<|assistant|>\n'}}", "phi3"),
        ("{{'<|user|>\n' + m['content'] + eos_token + '<|assistant|>'}}", "plain"),
        ("", "plain"),
        ("{% for i in range(10**9) %}{% endfor %}", "plain"),
        ("<|im_start|>system\n" * 20_000, "chatml"),
    ],
)
def test_templates_are_recognised_and_never_run(template: str, name: str) -> None:
    assert recognise(template).name == name


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"role": "usr", "content": ""}, "message 0: unknown role 'usr', did you mean 'user'"),
        ({"role": "user"}, "message 0: expected the texts 'role' and 'content'"),
        ({"role": "user", "content": 3}, "expected the texts"),
    ],
)
def test_a_malformed_message_is_an_error(message: dict[str, str], problem: str) -> None:
    with pytest.raises(WorkloadError, match=problem):
        render(ChatFormat("chatml"), [message])
