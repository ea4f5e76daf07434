"""Do the graphs have the FLOP, bytes and footprints that one derives by hand?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import WorkloadError
from accelsim.workload.config import LayerKind
from accelsim.workload.graph import Graph
from accelsim.workload.models import load_model, model_files
from accelsim.workload.ops import Attention, GroupedMatMul, MatMul, Op, Vector
from accelsim.workload.phases import PhaseOptions, build_graph
from accelsim.workload.transformer import periods
from tests.unit.workload.hf_configs import PUBLISHED, TINY_DEEPSEEK, write


def graph_of(name: str, phase: str = "prefill", **options: object) -> Graph:
    return build_graph(load_model(name), PhaseOptions(phase=phase, **options))  # type: ignore[arg-type]


def flop(graph: Graph, *kinds: type[Op]) -> float:
    return sum(b.repeat * op.flop for b, op in graph.ops() if isinstance(op, kinds))


def test_llama_decode_flop_is_two_per_weight_and_attention() -> None:
    # Each weight but the token table once per token, 2 FLOP; per cached position and head
    # 2 x 128 for the score and 2 x 128 for the value.
    model, batch, context = load_model("llama2-7b"), 3, 100
    graph = graph_of("llama2-7b", "decode", batch=batch, input_len=context)
    norms = (2 * 32 + 1) * 4096
    weights = model.parameters - model.vocab_size * model.d_model - norms
    attention = 4 * 128 * 32 * 32 * (context + 1)
    assert graph.flop == batch * (2 * weights + attention)
    assert graph.new_tokens == 1


def test_llama_prefill_flop() -> None:
    model, tokens = load_model("llama3.1-8b"), 512
    graph = graph_of("llama3.1-8b", input_len=tokens)
    head = model.vocab_size * model.d_model
    layers = model.parameters - 2 * head - (2 * 32 + 1) * 4096
    attention = 4 * 128 * 32 * 32 * (tokens * (tokens + 1) // 2)
    assert graph.flop == 2 * layers * tokens + 2 * head + attention  # logits of one token
    assert "last token" in " ".join(graph.notes)


def test_gpt3_forward_flop_per_token() -> None:
    # 2 N per token for all weights but the position table and norms (the tied table is the
    # logits' weight), and causal attention, in a training step's forward pass.
    model, tokens = load_model("gpt3-175b"), 2048
    graph = graph_of("gpt3-175b", "train", input_len=tokens)
    forward = [b for b in graph.blocks if not b.name.startswith("backward")]
    counted = sum(b.repeat * op.flop for b in forward for op in b.ops)
    matrices = 96 * 12 * 12288**2 + model.vocab_size * 12288
    attention = 96 * 2 * 12288 * (tokens + 1)
    assert counted == tokens * (2 * matrices + attention)


@pytest.mark.parametrize("name", ["llama2-7b", "gpt-oss-120b", "smollm2-135m"])
def test_decode_steps_add_up_to_a_prefill(name: str) -> None:
    prompt, steps = 120, 20
    total = flop(graph_of(name, input_len=prompt), Attention)
    for step in range(steps):
        total += flop(graph_of(name, "decode", input_len=prompt + step), Attention)
    assert total == flop(graph_of(name, input_len=prompt + steps), Attention)


def test_llama2_70b_cache() -> None:
    per_token = 2 * 8 * 128 * 80 * 2
    assert graph_of("llama2-70b", batch=4, input_len=100).footprint.kv_cache == 4 * 100 * per_token
    decode = graph_of("llama2-70b", "decode", batch=4, input_len=100)
    assert decode.footprint.kv_cache == 4 * 101 * per_token
    read = sum(b.repeat * op.traffic.cache_read for b, op in decode.ops())
    assert read == 4 * 100 * per_token  # the new token's K and V come from the chip
    half = graph_of("llama2-70b", "decode", batch=4, input_len=100, kv_dtype="fp8")
    assert half.footprint.kv_cache == decode.footprint.kv_cache / 2


def test_sliding_windows_bound_the_cache() -> None:
    # 18 layers keep 128 positions, 18 keep all; 2 x 8 x 64 values of 2 bytes each.
    footprint = graph_of("gpt-oss-120b", input_len=1000).footprint
    assert footprint.kv_cache == (18 * 128 + 18 * 1000) * 2 * 8 * 64 * 2


def test_encoders_have_no_cache_and_see_everything() -> None:
    graph = graph_of("bert-base", batch=2, input_len=128)
    assert graph.footprint.kv_cache == 0
    per_token = 12 * (2 * 12 * 768**2 + 4 * 768 * 128)
    assert graph.flop == 2 * 128 * per_token + 2 * 2 * 768**2  # and the pooler
    with pytest.raises(WorkloadError, match="encoder"):
        graph_of("bert-base", "decode", input_len=128)


def test_latent_attention_expanded_and_absorbed() -> None:
    model = load_model("deepseek-v3")
    prefill, decode = graph_of("deepseek-v3", input_len=10), graph_of(
        "deepseek-v3", "decode", input_len=9
    )  # fmt: skip
    assert prefill.parameters == decode.parameters == model.parameters
    assert prefill.footprint.kv_cache == decode.footprint.kv_cache == 10 * 576 * 61 * 2
    assert flop(prefill, Attention) == 61 * 2 * 128 * 55 * (192 + 128)
    assert flop(decode, Attention) == 61 * 2 * 128 * 10 * (576 + 512)
    assert prefill.footprint.weights == decode.footprint.weights


def test_latent_attention_without_compressed_query(tmp_path: Path) -> None:
    direct = load_model(write(tmp_path, {**TINY_DEEPSEEK, "q_lora_rank": None}))
    for phase in ("prefill", "decode", "train"):
        graph = build_graph(direct, PhaseOptions(phase=phase, input_len=8))
        assert graph.parameters == direct.parameters


def test_experts_are_read_as_far_as_tokens_reach_them() -> None:
    one = [op for _, op in graph_of("mixtral-8x7b", "decode").ops() if op.kind == "grouped_matmul"]
    assert all(isinstance(op, GroupedMatMul) and op.active == pytest.approx(2) for op in one)
    graph = graph_of("mixtral-8x7b", "decode", batch=4)
    many = next(op for _, op in graph.ops() if isinstance(op, GroupedMatMul))
    assert many.rows == 8
    assert many.active == pytest.approx(8 * (1 - 0.75**4))


def test_native_formats_and_wishes() -> None:
    assert graph_of("llama3.1-8b").footprint.weights == 2 * 8_030_261_248
    # Token table, logits and norms stay in bf16; the layers' matrices become fp8.
    wide = 2 * 128256 * 4096 + (2 * 32 + 1) * 4096
    fp8 = graph_of("llama3.1-8b", dtype="fp8")
    assert fp8.footprint.weights == 2 * wide + (8_030_261_248 - wide)
    assert fp8.footprint.kv_cache == graph_of("llama3.1-8b").footprint.kv_cache
    assert fp8.dtype == "fp8"
    int4 = graph_of("llama3.1-8b", weight_dtype="int4")
    assert int4.footprint.weights == 2 * wide + (8_030_261_248 - wide) / 2
    assert int4.dtype == "bf16"
    assert graph_of("llama3.1-8b", weight_dtype="fp32").footprint.weights == 4 * 8_030_261_248


def test_layers_are_cut_into_periods(tmp_path: Path) -> None:
    dense, moe = LayerKind(False, False), LayerKind(False, True)
    local = LayerKind(True, False)
    assert periods([dense] * 3 + [moe] * 58) == [(0, (dense,), 3), (3, (moe,), 58)]
    gemma3 = ([local] * 5 + [dense]) * 4 + [local] * 2
    assert periods(gemma3) == [(0, (*[local] * 5, dense), 4), (24, (local,), 2)]
    graph = build_graph(
        load_model(write(tmp_path, PUBLISHED["gemma-3-1b"][0])), PhaseOptions(input_len=2000)
    )
    windows = [
        op.window for block, op in graph.ops() if isinstance(op, Attention)
        for _ in range(block.repeat)
    ]  # fmt: skip
    assert windows.count(512) == 22
    assert windows.count(None) == 4


@pytest.mark.parametrize("name", sorted(model_files()))
def test_names_are_unique_and_dependencies_known(name: str) -> None:
    model = load_model(name)
    for phase in ("prefill", "train") if model.is_encoder else ("prefill", "decode", "train"):
        for recompute in ("none", "full") if phase == "train" else ("none",):
            graph = build_graph(model, PhaseOptions(phase, input_len=32, recompute=recompute))
            check_dependencies(graph)


def check_dependencies(graph: Graph) -> None:
    assert len({block.name for block in graph.blocks}) == len(graph.blocks)
    for block in graph.blocks:
        before: set[str] = set()
        for op in block.ops:
            assert op.name not in before, f"{block.name}: {op.name} stands twice"
            assert set(op.after or ()) <= before, f"{block.name}: {op.name} after {op.after}"
            before.add(op.name)


def ops_of(graph: Graph) -> dict[str, Op]:
    return {op.name: op for _, op in graph.ops()}


def shape(op: Op) -> tuple[int, int]:
    assert isinstance(op, Vector)
    return op.rows, op.cols


def test_vector_ops_have_the_shapes_of_their_tensors() -> None:
    qwen = ops_of(graph_of("qwen3-8b", batch=2, input_len=10))
    assert shape(qwen["attention.q_norm"]) == (20 * 32, 128)
    assert shape(qwen["attention.k_norm"]) == (20 * 8, 128)
    assert shape(qwen["attention.rope"]) == (20, (32 + 8) * 128)
    assert shape(qwen["mlp.activation"]) == (20, 12288)
    assert shape(qwen["mlp.residual"]) == (20, 4096)
    mixtral = ops_of(graph_of("mixtral-8x7b", batch=2, input_len=10))
    assert shape(mixtral["moe.topk"]) == (20, 8)
    assert shape(mixtral["moe.permute"]) == shape(mixtral["moe.combine"]) == (40, 4096)
    assert shape(mixtral["moe.activation"]) == (40, 14336)


def test_layers_of_a_period_depend_on_each_other() -> None:
    ops = ops_of(graph_of("gpt-oss-120b"))
    assert ops["0.attention.residual"].after == ("0.attention.o",)  # and the block before
    assert ops["1.attention.residual"].after == ("1.attention.o", "0.mlp.residual")


def test_parallel_sublayers_both_read_the_input(tmp_path: Path) -> None:
    neox = load_model(write(tmp_path, PUBLISHED["gpt-neox-20b"][0]))
    ops = ops_of(build_graph(neox, PhaseOptions(input_len=8)))
    assert ops["mlp.norm"].after == ()
    assert ops["parallel.sum"].after == ("attention.o", "mlp.down")


def test_tied_logits_own_nothing() -> None:
    head = next(op for _, op in graph_of("smollm2-135m").ops() if op.name == "lm_head")
    assert isinstance(head, MatMul)
    assert head.parameters == 0
    assert head.flop == 2 * 576 * 49152


def test_impossible_phases() -> None:
    with pytest.raises(WorkloadError, match="did you mean 'prefill'"):
        PhaseOptions(phase="prefil")
    with pytest.raises(WorkloadError, match="batch is -1"):
        PhaseOptions(batch=-1)
    with pytest.raises(WorkloadError, match="recompute 'half'"):
        PhaseOptions(recompute="half")
    with pytest.raises(WorkloadError, match="position table has 1024"):
        graph_of("gpt2", input_len=1025)
    with pytest.raises(WorkloadError, match="position table has 1024"):
        graph_of("gpt2", "decode", input_len=1024)
    with pytest.raises(WorkloadError, match="floating-point"):
        graph_of("gpt2", "train", dtype="int8")


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("name", ["llama3.1-8b", "deepseek-v3"])
def test_attention_and_logits_may_have_another_arithmetic(name: str, phase: str) -> None:
    options = PhaseOptions(phase, input_len=64, dtype="int8", attention_dtype="bf16")
    ops = [op for block in build_graph(load_model(name), options).blocks for op in block.ops]
    wide = {op.name for op in ops if isinstance(op, Attention | MatMul) and op.dtype == "bf16"}
    narrow = {op.name for op in ops if isinstance(op, MatMul) and op.dtype == "int8"}
    assert {"attention.sdpa", "lm_head"} <= wide <= {"attention.sdpa", "lm_head", "moe.router"}
    assert "attention.o" in narrow
