"""Do the shards add up to the whole, and do they exchange what Megatron exchanges?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import MappingError
from accelsim.parallel.tensor import shard
from accelsim.workload.graph import Graph
from accelsim.workload.models import load_model
from accelsim.workload.ops import Attention, Collective, GroupedMatMul, MatMul, OptimizerStep
from accelsim.workload.phases import PhaseOptions, build_graph
from tests.unit.workload.hf_configs import PUBLISHED, TINY_DEEPSEEK, write
from tests.unit.workload.test_phases import check_dependencies

PHASES = ("prefill", "decode", "train")


def build(name: str | Path, phase: str = "prefill", **options: object) -> Graph:
    options.setdefault("input_len", 64)
    return build_graph(load_model(name), PhaseOptions(phase=phase, **options))  # type: ignore[arg-type]


def collectives(graph: Graph) -> list[tuple[int, Collective]]:
    return [(b.repeat, op) for b, op in graph.ops() if isinstance(op, Collective)]


def test_one_device_changes_nothing() -> None:
    graph = build("llama2-7b")
    assert shard(graph, 1) is graph


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("name", ["llama2-70b", "llama3.1-8b", "gpt3-175b"])
@pytest.mark.parametrize("tp", [2, 8])
def test_shards_add_up(name: str, phase: str, tp: int) -> None:
    graph = build(name, phase)
    part = shard(graph, tp)
    padding = 0.0  # GPT-2's vocabulary is odd and padded
    if name == "gpt3-175b":
        rows = {"prefill": 1, "decode": 1, "train": 3 * 64}[phase]
        padding = 2 * rows * 12288 * (-50257 % tp)
    assert tp * part.flop == graph.flop + padding
    check_dependencies(part)


@pytest.mark.parametrize("phase", PHASES)
def test_attention_shards_add_up_with_windows_and_latents(phase: str) -> None:
    for name in ("gpt-oss-120b", "deepseek-v3"):
        graph = build(name, phase)
        parts = shard(graph, 8)
        whole, part = (
            sum(b.repeat * op.flop for b, op in g.ops() if isinstance(op, Attention))
            for g in (graph, parts)
        )
        assert 8 * part == whole
        check_dependencies(parts)


def test_two_all_reduces_per_layer_and_direction() -> None:
    # Megatron-LM, section 3: two in the forward pass and two in the backward pass of a layer.
    graph = build("llama3.1-8b", "train", batch=2)
    found = collectives(shard(graph, 4))
    in_layers = [(repeat, op) for repeat, op in found if repeat == 32]
    assert [op.name for _, op in in_layers] == [
        "attention.o.all_reduce", "mlp.down.all_reduce",
        "mlp.gate_up.dgrad.all_reduce", "attention.qkv.dgrad.all_reduce",
    ]  # fmt: skip
    assert all(op.size_bytes == 2 * 64 * 4096 * 2 and op.devices == 4 for _, op in in_layers)
    loss = next(op for _, op in found if op.name == "loss.all_reduce")
    assert loss.size_bytes == 2 * 64 * 3 * 4


def test_logits_are_gathered_in_inference() -> None:
    found = [op for _, op in collectives(shard(build("llama3.1-8b", batch=3), 8))]
    assert [op.fn for op in found] == ["all_reduce", "all_reduce", "all_reduce", "all_gather"]
    assert found[-1].size_bytes == 3 * 128256 * 2


def test_readers_wait_for_the_collective() -> None:
    part = shard(build("llama3.1-8b"), 2)
    residual = next(op for _, op in part.ops() if op.name == "mlp.residual")
    assert residual.after == ("mlp.down.all_reduce", "attention.residual")


def test_kv_heads_are_repeated_when_there_are_too_few() -> None:
    graph = build("llama2-70b", "decode", batch=2)
    eight, sixteen = shard(graph, 8), shard(graph, 16)
    assert eight.footprint.kv_cache * 8 == graph.footprint.kv_cache
    assert sixteen.footprint.kv_cache == eight.footprint.kv_cache
    qkv = next(op for _, op in sixteen.ops() if op.name == "attention.qkv")
    assert isinstance(qkv, MatMul)
    assert qkv.n == (64 // 16 + 2) * 128


def test_weights_are_divided_but_norms_repeated() -> None:
    graph = build("llama2-7b")
    norms = (2 * 32 + 1) * 4096 * 2
    part = shard(graph, 8).footprint
    assert part.weights == (graph.footprint.weights - norms) / 8 + norms


def test_training_memory_is_that_of_korthikanti() -> None:
    # Equation 2: s b h (10 + 24 / t + 5 a s / (h t)) per layer, with the scores kept.
    seq, h, heads, tp = 2048, 12288, 96, 8
    graph = shard(build("gpt3-175b", "train", input_len=seq, keep_scores=True), tp)
    layers = 96 * seq * h * (10 + 24 / tp + 5 * heads * seq / (h * tp))
    outside = seq * (4 * h + 4 * -(-50257 // tp))
    assert graph.footprint.activations == layers + outside
    update = next(op for _, op in graph.ops() if isinstance(op, OptimizerStep))
    assert update.elements == graph.parameters
    assert graph.footprint.optimizer == 12 * graph.parameters


def test_experts_are_split_whole() -> None:
    part = shard(build("mixtral-8x7b", batch=8), 4)
    expert = next(op for _, op in part.ops() if isinstance(op, GroupedMatMul))
    assert (expert.groups, expert.rows, expert.k) == (2, 8 * 64 * 2 // 4, 4096)
    assert expert.active == pytest.approx(2)
    names = [op.name for _, op in collectives(part)]
    assert "moe.combine.all_reduce" in names


def test_shared_and_routed_experts_are_reduced_once(tmp_path: Path) -> None:
    part = shard(build(write(tmp_path, TINY_DEEPSEEK)), 2)
    experts = next(b for b in part.blocks if b.name == "layers.2")
    found = [op for op in experts.ops if isinstance(op, Collective)]
    assert [op.name for op in found] == ["attention.o.all_reduce", "moe.sum.all_reduce"]
    assert found[1].size_bytes == 64 * 512 * 2


def test_latent_cache_is_repeated(tmp_path: Path) -> None:
    graph = build(write(tmp_path, TINY_DEEPSEEK), "decode")
    assert shard(graph, 8).footprint.kv_cache == graph.footprint.kv_cache


def test_parallel_sublayers_are_reduced_once(tmp_path: Path) -> None:
    part = shard(build(write(tmp_path, PUBLISHED["gpt-neox-20b"][0])), 8)
    names = [op.name for repeat, op in collectives(part) if repeat == 44]
    assert names == ["parallel.sum.all_reduce"]


@pytest.mark.parametrize(
    ("name", "tp", "says"),
    [
        ("llama3.1-8b", 3, ("3", "32 heads", "14336 d_ff", "1, 2, 4, 8, 16, 32")),
        ("llama3.1-8b", 64, ("64", "32 heads")),
        ("mixtral-8x7b", 16, ("8 experts", "1, 2, 4, 8")),
        ("smollm2-135m", 2, ("9 heads", "3 KV heads", "1, 3")),
        ("llama3.1-8b", 0, ("0",)),
    ],
)
def test_uneven_splits_say_what_would_work(name: str, tp: int, says: tuple[str, ...]) -> None:
    with pytest.raises(MappingError) as caught:
        shard(build(name), tp)
    for text in says:
        assert text in str(caught.value)
