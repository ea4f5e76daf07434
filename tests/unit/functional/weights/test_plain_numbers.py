"""Codes of quantised checkpoints are not taken for weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.transformer.sources import FileWeights
from accelsim.functional.weights.opening import open_weights
from accelsim.functional.weights.plain_numbers import require_plain
from accelsim.functional.weights.tensor_file import TensorFile
from tests.unit.functional.weights.writer import safetensors

_BYTES = {"F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1, "BF16": 2, "I32": 4, "F32": 4}


def opened(folder: Path, **stored: str) -> TensorFile:
    """A file of one-element tensors of a layer, by what stands after its name."""
    header, at = {}, 0
    for kind, storage in stored.items():
        end = at + _BYTES[storage]
        name = "up." + kind.replace("__", ".")
        header[name] = {"dtype": storage, "shape": [1], "data_offsets": [at, end]}
        at = end
    (folder / "w.safetensors").write_bytes(safetensors(header, bytes(at)))
    return open_weights(folder / "w.safetensors")


@pytest.mark.parametrize("scale", ["weight_scale", "weight_scale_inv", "scale_weight", "SCB"])
@pytest.mark.parametrize("storage", ["F8_E4M3", "F8_E5M2"])
def test_fp8_weights_with_scales_are_refused(tmp_path: Path, storage: str, scale: str) -> None:
    told = f"'up.weight' is stored as {storage} beside 'up.{scale}': a quantised checkpoint"
    with opened(tmp_path, weight=storage, **{scale: "F32"}) as file:
        with pytest.raises(WorkloadError, match=told):
            require_plain(file, "up.weight")
        with pytest.raises(WorkloadError, match=told):
            FileWeights(file, {"up.weight": (1,)}, str)


@pytest.mark.parametrize("storage", ["I8", "U8", "I32", "BOOL"])
def test_whole_numbers_are_no_weights(tmp_path: Path, storage: str) -> None:
    told = pytest.raises(WorkloadError, match=f"'up.weight' is stored as {storage}: a quantised")
    with opened(tmp_path, weight=storage) as file, told:
        require_plain(file, "up.weight")


@pytest.mark.parametrize("packed", ["qweight", "weight_packed"])
def test_packed_codes_in_place_of_a_weight_are_named(tmp_path: Path, packed: str) -> None:
    told = pytest.raises(WorkloadError, match=f"stored as packed codes beside 'up.{packed}'")
    with opened(tmp_path, **{packed: "I32"}) as file, told:
        require_plain(file, "up.weight")


@pytest.mark.parametrize("storage", ["F8_E4M3", "BF16", "F32"])
def test_numbers_by_themselves_are_weights(tmp_path: Path, storage: str) -> None:
    with opened(tmp_path, weight=storage, bias="F32") as file:
        require_plain(file, "up.weight")
        require_plain(file, "up.bias")
        assert FileWeights(file, {"up.weight": (1,)}, str).read("up.weight") == 0


def test_a_missing_tensor_is_left_to_who_reads_it(tmp_path: Path) -> None:
    with opened(tmp_path, weight="F32") as file:
        require_plain(file, "down.weight")
        require_plain(file, "up.bias")
