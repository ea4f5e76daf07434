"""Does text become the token ids that the model was trained on, and hostile data an error?"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.gguf_tokenizer import gguf_tokenizer
from accelsim.functional.tokenizer import Tokenizer, load_tokenizer
from accelsim.functional.weights.opening import open_weights
from accelsim.functional.weights.packaged import ModelFiles, locate

tokenizers = pytest.importorskip("tokenizers")


def installed(name: str) -> ModelFiles:
    try:
        return locate(name)
    except WorkloadError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="module")
def smollm2() -> Tokenizer:
    with open_weights(installed("smollm2-135m-instruct").weights) as file:
        return gguf_tokenizer(file.metadata)


@pytest.mark.shared
def test_smollm2_cuts_prompts_as_its_authors_do(smollm2: Tokenizer, shared_dir: Path) -> None:
    runs = json.loads((shared_dir / "llm" / "smollm2_fp32_greedy.json").read_text())["runs"]
    for run in runs:
        assert smollm2.encode(run["prompt"]) == run["prompt_tokens"]
        assert smollm2.decode(run["prompt_tokens"]) == run["prompt"]


@pytest.mark.shared
def test_minilm_cuts_sentences_as_its_authors_do(shared_dir: Path) -> None:
    path = installed("all-minilm-l6-v2").tokenizer
    assert path is not None
    minilm = load_tokenizer(path)
    golden = np.load(shared_dir / "llm" / "minilm_fp32.npz", allow_pickle=True)
    for sentence, ids, length in zip(
        golden["sentences"], golden["input_ids"], golden["lengths"], strict=True
    ):
        assert minilm.encode(str(sentence)) == ids[:length].tolist()


def test_smollm2_knows_its_ends_and_its_chat(smollm2: Tokenizer) -> None:
    assert (smollm2.vocabulary_size, smollm2.bos_id, smollm2.eos_ids) == (49152, 1, (2,))
    text = smollm2.chat([{"role": "user", "content": "Hi"}])
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = smollm2.encode(text)
    assert (ids[0], ids.count(1), ids.count(2)) == (1, 3, 2)
    assert smollm2.decode(ids) == text
    assert "<|im_start|>" not in smollm2.decode(ids, skip_special=True)


@pytest.mark.parametrize("text", ["", " ", "a\0b", "naïve 東京 👍🏽 2026", "\r\n\t x" * 50])
def test_any_text_comes_back(smollm2: Tokenizer, text: str) -> None:
    assert smollm2.decode(smollm2.encode(text)) == text


def test_what_a_vocabulary_lacks_is_an_error(smollm2: Tokenizer) -> None:
    with pytest.raises(WorkloadError, match="the byte 0x04 in its UTF-8"):
        smollm2.encode("end of transmission \x04")
    with pytest.raises(WorkloadError, match="lone surrogates"):
        smollm2.encode("\ud800")


@pytest.mark.parametrize("token", [-1, 49152, 2**40])
def test_an_unknown_id_is_an_error(smollm2: Tokenizer, token: int) -> None:
    with pytest.raises(WorkloadError, match=f"token {token} is not in the vocabulary of 49152"):
        smollm2.decode([1, token])


def test_unknown_ids_are_replaced_on_demand(smollm2: Tokenizer) -> None:
    ids = [*smollm2.encode("naïve 東京"), 49152, -1, *smollm2.encode(" hi<|im_end|>")]
    told = "naïve 東京\ufffd\ufffd hi"
    assert smollm2.decode(ids, unknown="replace") == told + "<|im_end|>"
    assert smollm2.decode(ids, unknown="replace", skip_special=True) == told
    with pytest.raises(WorkloadError, match="unknown is 'drop'"):
        smollm2.decode([1], unknown="drop")  # type: ignore[arg-type]


def metadata(model: str, tokens: Sequence[str], **more: Any) -> dict[str, Any]:
    values = {"model": model, "tokens": tuple(tokens), **more}
    return {f"tokenizer.ggml.{key}": value for key, value in values.items()}


BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
PIECES = ("<unk>", "<s>", "</s>", *BYTES, "\u2581", "a", "b", "ab", "\u2581a", "\u2581ab", "<tool>")
SCORES = np.array([0.0] * 259 + [-9, -8, -7, -2, -1, -3, 0], np.float32)
KINDS = np.array([2, 3, 3, *[6] * 256, *[1] * 6, 4], np.int32)


def sentence_pieces(**more: Any) -> dict[str, Any]:
    special = {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
    return metadata("llama", PIECES, scores=SCORES, token_type=KINDS, **special, **more)


def names(tokenizer: Tokenizer, text: str) -> list[str]:
    return [PIECES[token] for token in tokenizer.encode(text)]


def test_sentencepiece_merges_the_best_score_first() -> None:
    tokenizer = gguf_tokenizer(sentence_pieces())
    # "▁a" (-1) comes before "ab" (-2), then "▁ab"; without a space before it "ab" is found.
    assert names(tokenizer, "ab aab") == ["<s>", "\u2581ab", "\u2581a", "ab"]
    assert tokenizer.decode(tokenizer.encode("ab aab"), skip_special=True) == "ab aab"


def test_replaced_ids_leave_the_rest_as_it_is() -> None:
    tokenizer = gguf_tokenizer(sentence_pieces())
    ids = tokenizer.encode("a b")[1:]
    assert tokenizer.decode([*ids, 999, *ids], unknown="replace") == "a b\ufffd a b"


def test_sentencepiece_falls_back_to_bytes() -> None:
    tokenizer = gguf_tokenizer(sentence_pieces(add_bos_token=False, add_eos_token=True))
    assert names(tokenizer, "aé") == ["\u2581a", "<0xC3>", "<0xA9>", "</s>"]
    assert tokenizer.decode(tokenizer.encode("aé")[:-1]) == "aé"


def test_sentencepiece_finds_special_tokens_first() -> None:
    tokenizer = gguf_tokenizer(sentence_pieces(add_space_prefix=False))
    assert names(tokenizer, "a<tool></s>b") == ["<s>", "a", "<tool>", "</s>", "b"]


BYTE_TOKENS = [
    *map(chr, (*range(33, 127), *range(161, 173), *range(174, 256))),
    *map(chr, range(256, 324)),
]


def byte_level(pre: str, merges: Sequence[str] = (), more: Sequence[str] = ()) -> Tokenizer:
    return gguf_tokenizer(metadata("gpt2", [*BYTE_TOKENS, *more], pre=pre, merges=tuple(merges)))


def test_digits_stand_alone_in_smollm_only() -> None:
    merge = {"merges": ["1 2", "12 3", "123 4"], "more": ["12", "123", "1234"]}
    assert len(byte_level("smollm", **merge).encode("1234")) == 4
    assert len(byte_level("qwen2", **merge).encode("1234")) == 4
    assert len(byte_level("llama-bpe", **merge).encode("1234")) == 2
    assert len(byte_level("default", **merge).encode("1234")) == 1


def test_capitals_begin_words_in_gpt_4o_only() -> None:
    merge = {"merges": ["a B", "B c", "c /", "/ /"], "more": ["aB", "Bc", "c/", "//"]}
    assert len(byte_level("llama-bpe", **merge).encode("aBc")) == 2
    tokenizer = byte_level("gpt-4o", **merge)
    parts = [tokenizer.decode([token]) for token in tokenizer.encode("aBc c//12")]
    assert parts == ["a", "Bc", " ", "c", "//", "1", "2"]


@pytest.mark.parametrize("pre", ["default", "smollm", "qwen2", "llama-bpe", "gpt-4o"])
def test_byte_level_text_comes_back(pre: str) -> None:
    tokenizer = byte_level(pre)
    text = "It's 2026:\n\n  naïve 東京\t👍"
    assert tokenizer.missing_bytes == frozenset()
    assert tokenizer.decode(tokenizer.encode(text)) == text


HOSTILE = {
    "no tokenizer": ({}, "tokens: missing"),
    "another model": (metadata("bert", ["a"]), "'bert' is not read .* tokenizer.json"),
    "model a number": ({"tokenizer.ggml.model": 3}, "model: expected a text"),
    "tokens numbers": (metadata("gpt2", [1, 2]), "no array of texts"),
    "no tokens": (metadata("gpt2", []), "0 tokens, expected 1"),
    "many tokens": (metadata("gpt2", ["a"] * (2**20 + 1)), "1048577 tokens, expected 1"),
    "twice": (metadata("gpt2", ["a", "b\x1b", "b\x1b"], merges=()), r"'b\?' stands twice"),
    "no merges": (metadata("gpt2", ["a"]), "merges: missing"),
    "merge of one": (metadata("gpt2", ["a"], merges=("a",)), "'a' is no pair"),
    "merge unknown": (metadata("gpt2", ["a", "b"], merges=("a b",)), "needs the token 'ab'"),
    "types short": (
        metadata("gpt2", ["a", "b"], merges=(), token_type=np.array([1])),
        "token_type: expected 2 numbers",
    ),
    "scores NaN": (
        metadata("llama", ["a", "b"], scores=np.float32([0, np.nan]), unknown_token_id=0),
        "scores: has NaN",
    ),
    "bos beyond": (metadata("gpt2", ["a"], merges=(), bos_token_id=1), "bos_token_id: 1 is not in"),
    "eos a text": (metadata("gpt2", ["a"], merges=(), eos_token_id="a"), "eos_token_id: a is not"),
    "switch": (metadata("gpt2", ["a"], merges=(), add_bos_token=1), "expected true or false"),
    "pre unknown": (
        metadata("gpt2", ["a"], merges=(), pre="qwen3x"),
        "'qwen3x' is not known, did you mean 'qwen2'",
    ),
    "long piece": (metadata("llama", ["a" * 129], unknown_token_id=0), "129 characters"),
    "many merges": (
        metadata("llama", ["".join(p) for n in range(1, 17) for p in product("ab", repeat=n)]),
        "more than 1048576 pairs",
    ),
    "text lost": (metadata("llama", ["a"]), "neither an unknown token nor one for every byte"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_data_is_an_error(case: str) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(WorkloadError, match=message):
        gguf_tokenizer(data)


@pytest.mark.parametrize("tokens", [["\0", "", " ", "\n"], ["\U0010ffff" * 50, "a"]])
def test_odd_tokens_do_no_harm(tokens: list[str]) -> None:
    kinds = np.full(len(tokens), 3)
    tokenizer = gguf_tokenizer(metadata("gpt2", tokens, merges=(), token_type=kinds))
    for token in range(len(tokens)):
        assert isinstance(tokenizer.decode([token]), str)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[" * 100_000,
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}',
        '{"version": "1.0", "model": {"type": "WordPiece", "vocab": {"a": -1}}}',
        '{"version": "1.0", "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, '
        '"behavior": "Isolated", "invert": false}, "model": {"type": "BPE"}}',
    ],
)
def test_a_broken_tokenizer_json_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(WorkloadError, match=r"tokenizer\.json: not a usable tokenizer"):
        load_tokenizer(path)


def test_a_regular_expression_without_end_is_an_error(tmp_path: Path) -> None:
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex("(a|a|aa)+$"), behavior="isolated")
    slow = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, []))
    slow.pre_tokenizer = split
    slow.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(WorkloadError, match=r"cannot cut the text to tokens: .*limit"):
        load_tokenizer(tmp_path / "tokenizer.json").encode("a" * 200 + "b")


def test_the_config_beside_a_tokenizer_names_ends_and_template(tmp_path: Path) -> None:
    model = tokenizers.models.WordLevel({"a": 0, "<s>": 1, "</s>": 2}, unk_token="a")
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "[INST]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    found = load_tokenizer(tmp_path / "tokenizer.json")
    assert (found.bos_id, found.eos_ids, found.chat_format.name) == (1, (2,), "mistral")
    assert found.decode([0, 3, 1, 0], unknown="replace") == "a \ufffd <s> a"
    with pytest.raises(WorkloadError, match="token 3 is not in the vocabulary of 3 tokens"):
        found.decode([3])
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(WorkloadError, match="expected a JSON object"):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_an_absent_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="no file of at most 64 MiB"):
        load_tokenizer(tmp_path)


def test_the_command_is_named_where_the_library_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(WorkloadError, match=r"pip install 'accelsim\[numerics\]'"):
        gguf_tokenizer({})
