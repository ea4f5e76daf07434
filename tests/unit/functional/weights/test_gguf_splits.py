"""GGUF in several files: opened as one model, and refused where they are not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.loading import load_weights
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.weights.opening import open_weights
from tests.unit.functional.model_files import gguf_keys, gguf_tensors, held_of
from tests.unit.functional.transformer.tiny_models import LLAMA, tiny
from tests.unit.functional.weights.writer import Gguf, Tensor

TOKENS = [3, 30, 0, 7, 12]
Keys = tuple[tuple[str, str, Any], ...]
TENSORS = gguf_tensors(held_of(LLAMA))


def _split(number: int, count: int = 3, total: int = len(TENSORS)) -> Keys:
    return (("split.no", "u16", number), ("split.count", "u16", count),
            ("split.tensors.count", "i32", total))  # fmt: skip


def _path(folder: Path, number: int, count: int = 3) -> Path:
    return folder / f"model-q8-{number:05}-of-{count:05}.gguf"


def _write(folder: Path, places: tuple[slice, ...] = (slice(0), slice(9), slice(9, None))) -> Path:
    """The first file has all keys and, as `gguf-split` can do it, no tensor."""
    for number, place in enumerate(places):
        keys = (*(gguf_keys() if number == 0 else ()), *_split(number))
        _path(folder, number + 1).write_bytes(Gguf(keys, TENSORS[place]).bytes())
    return _path(folder, 1)


@pytest.mark.parametrize("given", [1, 2, 3])
def test_any_of_the_files_is_the_model(tmp_path: Path, given: int) -> None:
    _write(tmp_path)
    model = load_weights(_path(tmp_path, given))
    assert isinstance(model, DecoderModel)
    assert model.name == "model-q8"
    wanted = tiny(rope_style="interleaved").logits(TOKENS)
    assert np.array_equal(model.logits(TOKENS), wanted)


def test_all_files_are_closed_with_the_model(tmp_path: Path) -> None:
    opened = open_weights(_write(tmp_path))
    assert len(opened.parts) == 3
    assert opened.tensors[TENSORS[-1].name].part == 2
    opened.close()
    with pytest.raises(WorkloadError, match=r"00003-of-00003\.gguf: the file was closed"):
        opened.read(TENSORS[-1].name)


def test_one_file_of_one_needs_no_name(tmp_path: Path) -> None:
    file = tmp_path / "whole.gguf"
    file.write_bytes(Gguf((*gguf_keys(), *_split(0, 1)), TENSORS).bytes())
    assert load_weights(file).name == "whole"


def _missing(folder: Path) -> None:
    _path(folder, 2).unlink()


def _another(number: int, keys: Keys, tensors: tuple[Tensor, ...] = ()) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        _path(folder, number).write_bytes(Gguf(keys, tensors).bytes())

    return write


def _cut(folder: Path) -> None:
    _path(folder, 3).write_bytes(_path(folder, 3).read_bytes()[:-200])


NORM = Tensor(TENSORS[-1].name, (4,), 0, struct.pack("<4f", 1, 2, 3, 4))
FLAWS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (_missing, r"one of 3 files, of which 1 are missing, first .*00002-of-00003.gguf"),
    "no keys": (_another(2, ()), "00002-of-00003.gguf: split.no is None, expected 1"),
    "exchanged": (_another(2, _split(2)), "split.no is 2, expected 1: the file is not the part"),
    "count": (_another(2, _split(1, 4)), "split.count is 4, expected 3"),
    "count is text": (_another(2, (("split.no", "u8", 1), ("split.count", "text", "3"))), "is 3, "),
    "twice": (
        _another(2, _split(1), (NORM,)),
        r"00003-of-00003.gguf: the tensor '.*' also stands in model-q8-00002-of-00003",
    ),
    "too few": (_another(2, _split(1)), f"count is {len(TENSORS)}, but the 3 files have"),
    "two models": (
        _another(2, (("general.architecture", "text", "qwen2"), *_split(1))),
        "architecture 'qwen2', but that of model-q8-00001-of-00003.gguf is 'llama'",
    ),
    "cut short": (_cut, "00003-of-00003.gguf: byte .* cut short"),
}


@pytest.mark.parametrize("flaw", list(FLAWS))
def test_files_that_are_no_model_are_refused(tmp_path: Path, flaw: str) -> None:
    first = _write(tmp_path)
    damage, told = FLAWS[flaw]
    damage(tmp_path)
    with pytest.raises(WorkloadError, match=told):
        open_weights(first)


@pytest.mark.parametrize(
    ("name", "count", "told"),
    [
        ("weights.gguf", ("u16", 3), "one of 3 files, expected a name such as"),
        ("m-00001-of-00002.gguf", ("u16", 3), "one of 3 files, expected a name such as"),
        ("m-00004-of-00003.gguf", ("u16", 3), "expected a name such as NAME-00001-of-00003.gguf"),
        ("m-00000-of-00003.gguf", ("u16", 3), "expected a name such as"),
        ("m-00001-of-00003.gguf", ("u32", 2**31), "split.count is 2147483648, expected 2 to 4096"),
        ("m-00001-of-00003.gguf", ("i32", -3), "split.count is -3, expected 2 to"),
        ("m-00001-of-00003.gguf", ("array", ("u8", [3, 3])), r"split.count is \[3 3\], expected"),
        ("m-00001-of-00003.gguf", ("f32", 3.0), "split.count is 3.0, expected"),
        ("m-00001-of-04096.gguf", ("u16", 4096), "of which 4095 are missing"),
    ],
)
def test_counts_and_names_that_lie_are_refused(
    tmp_path: Path, name: str, count: tuple[str, Any], told: str
) -> None:
    file = tmp_path / name
    file.write_bytes(Gguf((("split.no", "u16", 0), ("split.count", *count))).bytes())
    with pytest.raises(WorkloadError, match=told):
        open_weights(file)
