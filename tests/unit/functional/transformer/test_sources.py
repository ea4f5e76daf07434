"""Weights from files: shapes checked before anything runs, what is not finite counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.transformer.sources import FileWeights, RandomWeights
from accelsim.functional.weights.opening import open_weights
from accelsim.workload.models import load_model
from tests.unit.functional.transformer.tiny_models import LLAMA, Table
from tests.unit.functional.weights.writer import safetensors

SHAPES = tensor_shapes(LLAMA)


def _write(folder: Path, held: dict[str, NDArray[np.float32]]) -> Path:
    header, data = {}, b""
    for name, values in held.items():
        end = len(data) + values.nbytes
        header[name] = {
            "dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), end]
        }  # fmt: skip
        data += values.tobytes()
    path = folder / "tiny.safetensors"
    path.write_bytes(safetensors(header, data))
    return path


def test_tensors_and_rows_are_those_of_the_file(tmp_path: Path) -> None:
    held = Table(SHAPES).held
    with open_weights(_write(tmp_path, held)) as file:
        weights = FileWeights(file, SHAPES, str)
        for name, values in held.items():
            assert np.array_equal(weights.read(name), values)
        ids = np.array([5, 0, 5, 36])
        name = "token_embd.weight"
        assert np.array_equal(weights.rows(name, ids), held[name][ids])
        assert weights.nonfinite == {}


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    held = Table(SHAPES).held
    del held["blk.1.ffn_up.weight"]
    told = pytest.raises(WorkloadError, match=r"blk\.1\.ffn_up\.weight")
    with open_weights(_write(tmp_path, held)) as file, told:
        FileWeights(file, SHAPES, str)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    held = Table(SHAPES).held
    held["blk.0.attn_k.weight"] = held["blk.0.attn_k.weight"].T.copy()
    with open_weights(_write(tmp_path, held)) as file:
        told = r"'blk\.0\.attn_k\.weight' has shape \[24, 12\], .* says \[12, 24\]"
        with pytest.raises(WorkloadError, match=told):
            FileWeights(file, SHAPES, str)


def test_weights_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    held = Table(SHAPES).held
    held["output.weight"][3, :2] = np.nan
    held["output.weight"][4, 5] = -np.inf
    with open_weights(_write(tmp_path, held)) as file:
        weights = FileWeights(file, SHAPES, str)
        weights.read("token_embd.weight")
        assert weights.nonfinite == {}
        weights.read("output.weight")
        counted = weights.nonfinite["output.weight"]
        assert (counted.nan, counted.inf) == (2, 1)


def test_random_weights_are_drawn_when_they_are_read() -> None:
    weights = RandomWeights(load_model("llama3.1-405b"))
    assert weights.shapes["blk.125.ffn_up.weight"] == (53248, 16384)
    assert (weights.read("blk.125.ffn_norm.weight") == 1).all()
