"""Does the reader of GGUF return what was written, and refuse what contradicts itself?"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.weights.opening import open_weights
from accelsim.functional.weights.tensor_file import TensorFile
from tests.unit.functional.weights.writer import SMALL_GGUF, Gguf, Tensor, text


def opened(tmp_path: Path, data: bytes | Gguf) -> TensorFile:
    path = tmp_path / "weights.bin"  # the first bytes decide, not the name
    path.write_bytes(data if isinstance(data, bytes) else data.bytes())
    return open_weights(path)


def test_values_keep_their_types(tmp_path: Path) -> None:
    with opened(tmp_path, SMALL_GGUF) as file:
        assert file.container == "gguf"
        assert file.metadata["general.architecture"] == "llama"
        assert file.metadata["llama.block_count"] == 2
        assert file.metadata["llama.rope.freq_base"] == 1e4
        assert file.metadata["a.flag"] is True
        assert file.metadata["tokenizer.ggml.tokens"] == ("a", "b", "ab")
        np.testing.assert_array_equal(file.metadata["tokenizer.ggml.token_type"], [1, 1, 3])
        numbers, texts = file.metadata["a.nest"]
        assert numbers.tolist() == [1, 2]
        assert texts == ("x",)


def test_tensors_have_row_major_shapes_and_fp32_values(tmp_path: Path) -> None:
    with opened(tmp_path, SMALL_GGUF) as file:
        info = file.tensors["up.weight"]
        assert info.shape == (2, 32)
        assert (info.storage.name, info.bytes, info.bits_per_weight) == ("Q8_0", 68, 8.5)
        up = file.read("up.weight")
        assert up.dtype == np.float32
        assert up.flags.c_contiguous
        np.testing.assert_array_equal(up, np.tile(np.arange(32) / 2, (2, 1)))
        np.testing.assert_array_equal(file.read("norm.weight"), [1, 2, 3, -4])


def test_raw_bytes_are_a_read_only_view(tmp_path: Path) -> None:
    file = opened(tmp_path, SMALL_GGUF)
    raw = file.raw("norm.weight")
    assert raw.tobytes() == struct.pack("<4f", 1, 2, 3, -4)
    assert not raw.flags.writeable
    file.close()
    assert raw[3] == 0x3F  # a view in use keeps its mapping
    with pytest.raises(WorkloadError, match="was closed"):
        file.read("norm.weight")


def test_an_unknown_tensor_suggests_the_nearest(tmp_path: Path) -> None:
    with (
        opened(tmp_path, SMALL_GGUF) as file,
        pytest.raises(WorkloadError, match=r"'up\.weigth'; did you mean 'up\.weight'"),
    ):
        file.read("up.weigth")


def test_version_2_is_read(tmp_path: Path) -> None:
    with opened(tmp_path, dataclasses.replace(SMALL_GGUF, version=2)) as file:
        assert len(file.tensors) == 2


def test_another_alignment_is_used(tmp_path: Path) -> None:
    key = ("general.alignment", "u32", 64)
    small = dataclasses.replace(SMALL_GGUF, keys=(*SMALL_GGUF.keys, key), alignment=64)
    with opened(tmp_path, small) as file:
        np.testing.assert_array_equal(file.read("norm.weight"), [1, 2, 3, -4])


def test_codebook_types_open_and_refuse_to_be_read(tmp_path: Path) -> None:
    tensor = Tensor("w", (256,), 16, bytes(66))
    with (
        opened(tmp_path, Gguf(tensors=(tensor,))) as file,
        pytest.raises(WorkloadError, match=r"tensor 'w'.*IQ2_XXS.*codebook.*Q4_K"),
    ):
        file.read("w")


def test_a_file_of_the_formats_own_writer_is_read(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "theirs.gguf"
    weights = np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(7)
    writer.add_token_list(["a", "né"])
    writer.add_token_scores([0.5, -1.0])
    writer.add_bool("a.flag", False)
    kinds = ("F32", "F16", "Q8_0", "Q4_0", "MXFP4")
    for name in kinds:
        kind = gguf.GGMLQuantizationType[name]
        stored = gguf.quants.quantize(weights, kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_weights(path) as file:
        assert file.metadata["llama.block_count"] == 7
        assert file.metadata["tokenizer.ggml.tokens"] == ("a", "né")
        assert file.metadata["tokenizer.ggml.scores"].tolist() == [0.5, -1.0]
        assert file.metadata["a.flag"] is False
        assert tuple(file.tensors) == kinds
        for name in kinds:
            kind = gguf.GGMLQuantizationType[name]
            theirs = gguf.quants.dequantize(gguf.quants.quantize(weights, kind), kind)
            np.testing.assert_array_equal(file.read(name), theirs.astype(np.float32), name)


FOUR = struct.pack("<4f", 1, 2, 3, 4)
NORM = Tensor("n", (4,), 0, FOUR)
LIES = {
    "magic": (b"GGUX" + SMALL_GGUF.bytes()[4:], "neither GGUF nor safetensors"),
    "version 1": (Gguf(version=1), "GGUF version 1, but only 2 and 3"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "only a magic": (b"GGUF", "byte 4: the version needs 4 bytes, the file has 0 left"),
    "tensor count": (Gguf(tensor_count=2**63), "9223372036854775808 tensors are announced"),
    "key count": (Gguf(key_count=2**64 - 1), "key-values are announced, more than the file"),
    "many keys": (Gguf(key_count=2**17, extra=bytes(2**21)), "at most 65536 are read"),
    "key length": (Gguf(keys=((b"", "u8", 0),)), "byte 24: a key is empty"),
    "key not UTF-8": (Gguf(keys=((b"\xff", "u8", 0),)), "byte 24: a key is not UTF-8"),
    "duplicate key": (Gguf(keys=(("k", "u8", 0), ("k", "u8", 1))), "the key 'k' stands twice"),
    "truth value": (Gguf(keys=(("k", "bool", 2),)), "expected 0 or 1"),
    "truth values": (Gguf(keys=(("k", "array", ("bool", [1, 7])),)), "other than 0 and 1"),
    "text length": (
        Gguf(keys=(("k", "u64", 2**62),)).bytes().replace(b"k\n\0", b"k\x08\0"),
        "needs 4611686018427387904 bytes",
    ),
    "value type": (
        Gguf(keys=(("k", "u8", 2),)).bytes().replace(b"k\0\0", b"k\x63\0"),
        "unknown type 99",
    ),
    "array length": (
        Gguf(keys=(("k", "array", ("u8", [])),)).bytes().replace(
            b"\x09\0\0\0\0\0\0\0\0", b"\x09\0\0\0\0\0\0\0\xff"
        ),
        "elements of the value of 'k' are announced",
    ),
    "text of an array": (
        Gguf(keys=(("k", "array", ("text", ["ab", "c" * 9])),)).bytes().replace(
            b"\x09" + bytes(7) + b"c", b"\x09" + bytes(6) + b"\x01c"
        ),
        "'k' has a text that ends beyond the file",
    ),
    "texts not UTF-8": (
        Gguf(keys=(("k", "array", ("text", ["ab", b"\xff"])),)),
        "byte 59: the value of 'k' is not UTF-8",
    ),
    "nested arrays": (
        Gguf(
            keys=(
                ("k", "array", ("array", [("array", [("array", [("array", [("u8", [])])])])])),
            )
        ),
        "nested deeper than 4",
    ),
    "alignment 0": (Gguf(keys=(("general.alignment", "u32", 0),)), "a power of two from 8"),
    "alignment 24": (Gguf(keys=(("general.alignment", "u32", 24),)), "a power of two from 8"),
    "alignment text": (Gguf(keys=(("general.alignment", "text", "32"),)), "a power of two"),
    "no name": (Gguf(tensors=(Tensor("", (4,), 0, FOUR),)), "a tensor has no name"),
    "long name": (Gguf(tensors=(Tensor("n" * 1025, (4,), 0, FOUR),)), "at most 1024"),
    "duplicate name": (Gguf(tensors=(NORM, NORM)), "the tensor 'n' stands twice"),
    "no dimensions": (Gguf(tensors=(Tensor("n", (), 0, FOUR),)), "0 dimensions"),
    "five dimensions": (Gguf(tensors=(Tensor("n", (1,) * 5, 0, FOUR),)), "5 dimensions"),
    "zero dimension": (Gguf(tensors=(Tensor("n", (4, 0), 0, FOUR),)), "each is at least 1"),
    "huge dimension": (Gguf(tensors=(Tensor("n", (2**63, 2**63), 0, FOUR),)), "than the file"),
    "part of a block": (Gguf(tensors=(Tensor("n", (33,), 8, bytes(68)),)), "multiple of 32"),
    "type": (Gguf(tensors=(Tensor("n", (4,), 77, FOUR),)), "unknown type 77"),
    "removed type": (Gguf(tensors=(Tensor("n", (32,), 4, FOUR),)), "unknown type 4"),
    "unaligned": (Gguf(tensors=(Tensor("n", (4,), 0, FOUR, offset=4),)), "the alignment of 32"),
    "far offset": (Gguf(tensors=(Tensor("n", (4,), 0, FOUR, offset=2**63),)), "cut short"),
    "overlap": (
        Gguf(tensors=(Tensor("n", (16,), 0, FOUR * 4), Tensor("m", (4,), 0, FOUR, offset=32))),
        "'n' and 'm' overlap",
    ),
    "end": (SMALL_GGUF.bytes()[:-64], "'up.weight' ends at byte .* the file was cut short"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_its_place(tmp_path: Path, lie: str) -> None:
    data, message = LIES[lie]
    with pytest.raises(WorkloadError, match=message) as caught:
        opened(tmp_path, data)
    assert str(caught.value).startswith(str(tmp_path / "weights.bin"))


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    tensor = Tensor("\x1b[2J", (4,), 77, FOUR)
    with pytest.raises(WorkloadError, match=r"tensor '\?\[2J'"):
        opened(tmp_path, Gguf(tensors=(tensor,)))


def test_names_are_length_prefixed() -> None:
    assert text("ab") == b"\x02\0\0\0\0\0\0\0ab"
