"""Does a training step move what it keeps, in the mapping and in both engines?"""

from __future__ import annotations

from functools import cache

import pytest

from accelsim.engine.graph import ENGINES, cost_graph
from accelsim.mapping.fusion import Group, group_ops
from accelsim.workload.graph import Graph
from accelsim.workload.models import load_model
from accelsim.workload.phases import PhaseOptions, build_graph
from tests.cross.random_ops import chip_of, target

CHIP = "h100_sxm"
MODELS = ["smollm2-135m", "mixtral-8x7b", "gpt-oss-120b"]  # dense, MoE, MoE with periodic layers
MODES = ["none", "selective", "full"]
TOKENS = 256
_SLACK = 1 - 1e-9


@cache
def step(model: str, recompute: str) -> Graph:
    options = PhaseOptions("train", batch=1, input_len=TOKENS, recompute=recompute)
    return build_graph(load_model(model), options)


def written(graph: Graph, part: str) -> float:
    """Bytes that blocks whose name starts with `part` write to main memory."""
    return sum(
        block.repeat * group.dram_write_bytes
        for block in graph.blocks
        if block.name.startswith(part)
        for group in group_ops(block.ops, chip_of(CHIP))
    )


@pytest.mark.parametrize("recompute", MODES)
@pytest.mark.parametrize("model", MODELS)
def test_kept_activations_and_gradients_are_written(model: str, recompute: str) -> None:
    graph, config = step(model, recompute), load_model(model)
    # Without the head, whose logits the footprint has in fp32 and whose loss writes gradients.
    logits = 4 * TOKENS * config.vocab_size
    kept = graph.footprint.activations - logits
    if recompute == "full":  # the footprint also has one layer alive, which is no forward write
        kept = config.n_layers * TOKENS * config.d_model * 2
    # 4 %: v where q and k are rotated, and the head's own inputs. More where results are large.
    assert written(graph, "embedding") + written(graph, "layers") >= 0.96 * kept
    # 2 %: gradients of experts that no token reached are kept and never written.
    assert written(graph, "backward") >= 0.98 * graph.footprint.gradients
    assert written(graph, "optimizer") == 14 * graph.parameters


def test_small_activations_are_written_once_and_only_where_they_are_kept() -> None:
    """Every activation of SmolLM2's layers would fit in the L2 of an H100."""
    none, full = step("smollm2-135m", "none"), step("smollm2-135m", "full")
    logits = 4 * TOKENS * 49152
    assert written(none, "layers") == pytest.approx(none.footprint.activations - logits, rel=0.04)
    assert written(full, "layers") == 30 * TOKENS * 576 * 2
    assert written(none, "backward") == pytest.approx(none.footprint.gradients, rel=0.02)


@pytest.mark.parametrize("recompute", MODES)
@pytest.mark.parametrize("model", MODELS)
def test_the_mapped_engine_reads_and_writes_at_least_that(model: str, recompute: str) -> None:
    for block in step(model, recompute).blocks:
        for group in group_ops(block.ops, chip_of(CHIP)):
            check(group)


def check(group: Group) -> None:
    mapped = ENGINES["analytic"].cost(group, target(CHIP))
    bound = ENGINES["roofline"].cost(group, target(CHIP))
    assert mapped.activity.dram_read_bytes >= group.dram_read_bytes * _SLACK, group.name
    assert mapped.activity.dram_write_bytes >= group.dram_write_bytes * _SLACK, group.name
    assert mapped.latency_s >= bound.latency_s * _SLACK, group.name


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("recompute", MODES)
def test_groups_have_the_model_flop_of_the_graph(recompute: str, fused: bool) -> None:
    graph = step("smollm2-135m", recompute)
    rows = cost_graph(graph, ENGINES["roofline"], target(CHIP), fused_attention=fused)
    found = sum(row.repeat * row.group.model_flop for row in rows)
    assert found == pytest.approx(graph.model_flop, rel=1e-12)
