"""Which models are executed, and in which words the others are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.transformer.spec import Constants, Spec
from accelsim.workload.layer_config import EmbeddingConfig, HeadConfig, NormConfig, PositionConfig
from tests.unit.functional.transformer.tiny_models import CONFIGS, LLAMA

_HEADS = LLAMA.attention
TIMED_ONLY = {
    "capped attention scores": replace(LLAMA, attention=replace(_HEADS, softcap=True)),
    "norms on both sides": replace(LLAMA, norm=NormConfig(placement="sandwich")),
    "scaled embeddings": replace(LLAMA, embedding=EmbeddingConfig(37, scaled=True)),
}


@pytest.mark.parametrize("part", list(TIMED_ONLY))
def test_parts_that_are_only_timed_are_named(part: str) -> None:
    with pytest.raises(WorkloadError, match=f"tiny-llama can be timed, not executed: {part}"):
        Spec(TIMED_ONLY[part])


def test_all_missing_parts_are_named_at_once() -> None:
    both = replace(TIMED_ONLY["norms on both sides"], attention=replace(_HEADS, softcap=True))
    with pytest.raises(WorkloadError, match="capped attention scores, norms on both sides"):
        Spec(both)


def test_a_capped_head_is_not_executed() -> None:
    with pytest.raises(WorkloadError, match="can be timed, not executed"):
        Spec(replace(LLAMA, head=HeadConfig(softcap=True)))


def test_rotated_sizes() -> None:
    sizes = {name: Spec(config).rotary_size for name, config in CONFIGS.items()}
    assert (sizes["llama"], sizes["half rotated"], sizes["gpt2"]) == (6, 4, 0)
    assert (sizes["latent"], sizes["wide values"]) == (4, 6)


@pytest.mark.parametrize("size", [1, 3, 8, 10**6])
def test_more_than_a_head_is_not_rotated(size: int) -> None:
    wide = PositionConfig("rope", 32, rotary_dim=size)
    with pytest.raises(WorkloadError, match=f"{size} elements of every head of 6 .* from 2 to 6"):
        Spec(replace(LLAMA, position=wide))


def test_heads_beyond_all_known_ones_are_not_rotated() -> None:
    wide = replace(_HEADS, head_dim=10**6)
    with pytest.raises(WorkloadError, match=r"head of 1000000 .* from 2 to 4096"):
        Spec(replace(LLAMA, attention=wide))


def test_gelu_is_by_tanh_unless_told_otherwise() -> None:
    assert Spec(LLAMA).activation("gelu") == "gelu_tanh"
    assert Spec(LLAMA, Constants(gelu_erf=True)).activation("gelu") == "gelu_erf"
    assert Spec(LLAMA, Constants(gelu_erf=True)).activation("silu") == "silu"
