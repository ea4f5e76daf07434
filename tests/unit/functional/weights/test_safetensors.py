"""Does the reader of safetensors return what was written, and refuse what contradicts itself?"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.weights.opening import open_weights
from accelsim.functional.weights.tensor_file import TensorFile
from tests.unit.functional.weights.writer import SMALL_SAFETENSORS, safetensors

INDEX = "model.safetensors.index.json"


def opened(tmp_path: Path, data: bytes) -> TensorFile:
    path = tmp_path / "weights.dat"  # the first bytes decide, not the name
    path.write_bytes(data)
    return open_weights(path)


def test_tensors_are_read(tmp_path: Path) -> None:
    with opened(tmp_path, SMALL_SAFETENSORS) as file:
        assert file.container == "safetensors"
        assert file.metadata == {"format": "pt"}
        np.testing.assert_array_equal(file.read("bias"), np.float32([1, 2, 3]))
        np.testing.assert_array_equal(file.read("up"), np.float32([[4, 5], [6, 7]]))
        assert file.read("empty").shape == (0, 4)
        assert file.read("scalar") == np.float32(1.5)
        assert file.tensors["bias"].bits_per_weight == 16
        assert file.raw("up").nbytes == file.tensors["up"].bytes == 16


KINDS = (
    np.float64, np.float32, np.float16, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16,
    np.uint32, np.uint64, np.bool_, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
)  # fmt: skip


def test_every_dtype_is_what_the_package_writes(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(3)
    arrays: dict[str, np.ndarray] = {}
    for kind in map(np.dtype, KINDS):
        most = 2 if kind == np.bool_ else 256
        codes = rng.integers(0, most, 40 * kind.itemsize, dtype=np.uint8)
        arrays[kind.name] = codes.view(kind).reshape(5, 8)
    path = tmp_path / "all.safetensors"
    package.save_file(arrays, str(path))
    with open_weights(path) as file, np.errstate(all="ignore"):
        assert len(file.tensors) == len(KINDS)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.read(name), array.astype(np.float32), name)


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4), **more: Any) -> Any:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


FOUR = bytes(4)
TWICE = b'{"a": {"dtype":"U8","shape":[1],"data_offsets":[0,1]}, "a": 1}'
LIES = {
    "length beyond the file": (safetensors({}, b"", 2**40), "is announced, at most 2"),
    "length 0": (safetensors({}, FOUR, 0), "a header of 0 bytes"),
    "length of the limit": (safetensors({}, FOUR, 2**63), "is announced"),
    "not JSON": (safetensors(b"{]  "), "not valid JSON"),
    "not UTF-8": (safetensors(b'{"\xff"'), "not UTF-8"),
    "nested": (safetensors(b'{"a":' * 30_000), "nested too deeply"),
    "nested lists": (safetensors(b'{"a":' + b"[" * 900_000), "nested too deeply"),
    "many parts": (safetensors(b'{"a":[' + b"[]," * 600_000 + b"]}"), "no header needs so"),
    "long number": (safetensors(b'{"a":' + b"9" * 5000 + b"}"), "a number too long"),
    "duplicate": (safetensors(TWICE, b"\0"), "the key 'a' stands twice"),
    "metadata": (safetensors({"__metadata__": {"a": 1}}), "not an object of texts"),
    "metadata list": (safetensors({"__metadata__": []}), "not an object of texts"),
    "entry": (safetensors({"w": []}), "exactly dtype, shape and data_offsets"),
    "unknown field": (safetensors({"w": entry(strides=1)}, FOUR), "exactly dtype"),
    "dtype": (safetensors({"w": entry("F33")}, FOUR), "'F33', did you mean 'F32'"),
    "dtype list": (safetensors({"w": entry(["F32"])}, FOUR), "unknown dtype"),
    "shape text": (safetensors({"w": entry(shape="1")}, FOUR), "a list of counts"),
    "shape negative": (safetensors({"w": entry(shape=[-1])}, FOUR), "a list of counts"),
    "shape fraction": (safetensors({"w": entry(shape=[1.0])}, FOUR), "a list of counts"),
    "shape true": (safetensors({"w": entry(shape=[True])}, FOUR), "a list of counts"),
    "shape huge": (safetensors({"w": entry(shape=[2**62, 4])}, FOUR), "too many dim"),
    "shape huge empty": (safetensors({"w": entry(shape=[0, 2**62, 4])}), "too many dim"),
    "shape deep": (safetensors({"w": entry(shape=[1] * 17)}, FOUR), "too many dim"),
    "size": (safetensors({"w": entry(shape=[2])}, FOUR), "takes 8 bytes, .* span 4"),
    "offsets": (safetensors({"w": entry(offsets=[4, 0])}, FOUR), "not .begin, end."),
    "three offsets": (safetensors({"w": entry(offsets=[0, 2, 4])}, FOUR), "not .begin"),
    "out of range": (safetensors({"w": entry()}, b"\0\0"), "cut short"),
    "hole": (safetensors({"w": entry(offsets=[4, 8])}, bytes(8)), "follows a hole"),
    "overlap": (safetensors({"v": entry(), "w": entry()}, FOUR), "overlaps"),
    "rest": (safetensors({"w": entry()}, bytes(5)), "1 bytes follow"),
    "short": (b"\x03\0\0\0", "starts with 03 00 00 00"),
    "array": (safetensors(b'["a"]'), "neither GGUF nor safetensors"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_its_place(tmp_path: Path, lie: str) -> None:
    data, message = LIES[lie]
    with pytest.raises(WorkloadError, match=message) as caught:
        opened(tmp_path, data)
    assert str(caught.value).startswith(str(tmp_path / "weights.dat"))


def one(name: str) -> bytes:
    return safetensors({name: entry()}, np.float32(len(name)).tobytes())


def shards(folder: Path, weight_map: Any) -> Path:
    (folder / "1.safetensors").write_bytes(one("a"))
    (folder / "2.safetensors").write_bytes(one("bb"))
    path = folder / INDEX
    path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return path


def test_shards_are_one_file(tmp_path: Path) -> None:
    path = shards(tmp_path, {"a": "1.safetensors", "bb": "2.safetensors"})
    with open_weights(path) as file:
        assert [file.read(name)[0] for name in ("a", "bb")] == [1, 2]
        assert file.tensors["bb"].part == 1


BAD_MAPS = {
    "elsewhere": ({"a": "../1.safetensors"}, "'../1.safetensors' is not the name"),
    "absolute": ({"a": "/etc/passwd"}, "is not the name"),
    "backslash": ({"a": "..\\1.safetensors"}, "is not the name"),
    "NUL": ({"a": "a\0.safetensors"}, "is not the name"),
    "number": ({"a": 1}, "is not the name"),
    "no map": ([], "without a 'weight_map'"),
    "absent": ({"a": "3.safetensors"}, "cannot read .*3.safetensors: No such file"),
    "tensor missing": (
        {"a": "1.safetensors", "bb": "2.safetensors", "c": "1.safetensors"},
        "the tensor 'c' is in none of the shards",
    ),
    "not promised": ({"a": "1.safetensors", "b": "2.safetensors"}, "the tensor 'bb', which the"),
}


@pytest.mark.parametrize("case", BAD_MAPS)
def test_a_bad_index_is_refused(tmp_path: Path, case: str) -> None:
    weight_map, message = BAD_MAPS[case]
    with pytest.raises(WorkloadError, match=message):
        open_weights(shards(tmp_path, weight_map))


@pytest.mark.parametrize("head", [pickle.dumps([1]), b"PK\x03\x04rest of an archive"])
def test_a_pickle_is_never_loaded(tmp_path: Path, head: bytes) -> None:
    with pytest.raises(WorkloadError, match=r"a pickle can run code .*: convert it to safetensors"):
        opened(tmp_path, head)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for path, message in (
        (tmp_path, "not a regular file"),
        (tmp_path / "absent", "No such file"),
        (tmp_path / "empty", "the file is empty"),
        (Path("/dev/null"), "not a regular file"),
        (Path("a\0b"), "cannot read"),
    ):
        with pytest.raises(WorkloadError, match=message):
            open_weights(path)
