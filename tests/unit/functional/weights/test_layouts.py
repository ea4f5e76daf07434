"""How canonical tensors lie in stored ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.weights.hf_names import HF_NAMES, hf_name
from accelsim.functional.weights.layouts import (
    AS_IT_IS,
    Layout,
    gguf_layout,
    gguf_name,
    hf_layout,
)
from tests.unit.functional.family_files import FAMILIES
from tests.unit.functional.transformer.tiny_models import LLAMA

STORED = np.arange(24, dtype=np.float32).reshape(6, 4)


def test_rows_columns_and_offsets() -> None:
    assert AS_IT_IS.cut(STORED).tolist() == STORED.tolist()
    assert Layout(range(2, 4), 6).cut(STORED).tolist() == STORED[2:4].tolist()
    assert Layout(range(1, 6, 2), 6).cut(STORED[:, 0]).tolist() == [4, 12, 20]
    turned = Layout(range(0, 4, 2), 4, transposed=True).cut(STORED)
    assert turned.tolist() == STORED[:, ::2].T.tolist()
    grouped = Layout(range(1, 3), 3, groups=2)
    assert grouped.cut(STORED).tolist() == STORED[[1, 2, 4, 5]].tolist()
    assert grouped.picked.tolist() == [1, 2, 4, 5]
    assert turned.flags.c_contiguous
    assert Layout(offset=1.0).cut(STORED[0]).tolist() == [1, 2, 3, 4]


def test_shapes_of_stored_tensors() -> None:
    assert AS_IT_IS.stored_shape((6, 4)) == (6, 4)
    assert Layout(range(2, 4), 6).stored_shape((2, 4)) == (6, 4)
    assert Layout(range(0, 4, 2), 4, transposed=True).stored_shape((2, 6)) == (6, 4)
    assert Layout(range(1), 2, groups=3).stored_shape((3, 4)) == (6, 4)
    assert Layout(range(2), 6).stored_shape((2,)) == (6,)


@pytest.mark.parametrize(
    ("rows", "of"), [(range(0), 4), (range(5), 4), (range(-1, 2), 4), (range(3, 5), 4)]
)
def test_rows_that_are_not_there_are_refused(rows: range, of: int) -> None:
    with pytest.raises(WorkloadError, match=f"are no rows of a tensor of {of}"):
        Layout(rows, of)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_parts_make_up_every_stored_tensor_once(name: str) -> None:
    config = replace(FAMILIES[name].config, family=name)
    wholes: dict[str, int] = {}
    parts: dict[str, list[int]] = {}
    for tensor, shape in tensor_shapes(config).items():
        own = shape[1:] if "_exps." in tensor else shape
        layout, stored = hf_layout(config, tensor), hf_name(tensor, name)
        whole = layout.stored_shape(own)
        wholes[stored] = layout.of * layout.groups or own[0]
        parts.setdefault(stored, []).extend(layout.picked.tolist() or range(own[0]))
        assert len(whole) == len(own)
        assert layout.transposed or whole[1:] == own[1:]
    assert {stored: sorted(rows) for stored, rows in parts.items()} == {
        stored: list(range(count)) for stored, count in wholes.items()
    }


def test_most_tensors_lie_as_they_are() -> None:
    for tensor in tensor_shapes(LLAMA):
        assert hf_layout(LLAMA, tensor) == gguf_layout(LLAMA, tensor) == AS_IT_IS
        assert gguf_name(LLAMA, tensor) == tensor


def test_gguf_files_fuse_what_their_architecture_does() -> None:
    phi = replace(FAMILIES["phi3"].config, family="phi3")
    assert gguf_name(phi, "blk.1.ffn_gate.weight") == "blk.1.ffn_up.weight"
    assert gguf_layout(phi, "blk.1.ffn_gate.weight") == Layout(range(40), 80)
    assert gguf_layout(phi, "blk.1.ffn_up.weight") == Layout(range(40, 80), 80)
    assert gguf_name(phi, "blk.1.attn_output.weight") == "blk.1.attn_output.weight"
    gpt = replace(FAMILIES["gpt2"].config, family="gpt2")
    assert gguf_name(gpt, "blk.0.attn_v.bias") == "blk.0.attn_qkv.bias"
    assert gguf_layout(gpt, "blk.0.attn_v.bias") == Layout(range(48, 72), 72)
    # Norms of Gemma are stored with their one, matrices [out, in].
    gemma = replace(FAMILIES["gemma2"].config, family="gemma2")
    assert gguf_layout(gemma, "blk.0.ffn_norm.weight") == AS_IT_IS
    assert hf_layout(gemma, "blk.0.ffn_norm.weight") == Layout(offset=1.0)
    assert gguf_layout(gpt, "blk.0.ffn_up.weight") == AS_IT_IS


def test_every_family_names_a_layer() -> None:
    for family in HF_NAMES:
        assert hf_name("blk.3.attn_output.weight", family).count(".3.") == 1
