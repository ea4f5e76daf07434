"""Tiles of ops, by hand."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.engine.core import Target
from accelsim.engine.event.bank_streams import walks_of
from accelsim.engine.event.bank_walks import Step, Walk
from accelsim.engine.graph import ENGINES
from accelsim.kernels.matmul import MatmulCost, Tiling
from accelsim.mapping.fusion import Group, single
from accelsim.mapping.matmul import MatmulMapping
from accelsim.workload.ops import Attention, Gather, GroupedMatMul, MatMul, OptimizerStep, Vector

H100 = load_chip("h100_sxm")


def walks(group: Group) -> tuple[Walk, ...]:
    cost = ENGINES["analytic"].cost(group, Target(System.of_chip(H100)))
    found = walks_of(group, cost, H100)
    moved = sum(walk.moved_bytes for walk in found)
    assert moved == pytest.approx(cost.activity.dram_bytes)
    written = sum(walk.moved_bytes for walk in found if walk.tile.is_write)
    assert written == pytest.approx(cost.activity.dram_write_bytes)
    return found


def test_a_small_matmul_by_hand() -> None:
    """64 x 96 x 1024 of bf16 in tiles of 32 x 48 x 128 on four cores: all of C at once.

    Rows of A and B are 2,048 B; a step along k is 256 B of each of 32 and of 48 rows, twice side by
    side. Rows of C are 192 B, of which a tile has 96 B.
    """
    group = single(MatMul("mm", m=64, n=96, k=1024, weight_dtype="bf16"))
    cost = ENGINES["analytic"].cost(group, Target(System.of_chip(H100)))
    assert isinstance(cost.placed, MatmulMapping)
    zero = MatmulCost(*(0.0,) * 8, active_cores=4.0)
    placed = cost.placed._replace(tiling=Tiling(32, 48, 128, 0, 1), cost=zero)
    a, b, c = walks_of(group, cost._replace(placed=placed), H100)
    assert (a.tile.rows, a.tile.row_bytes, a.tile.pitch_bytes) == (32, 256, 2048)
    assert a.at_once == (Step(1, 64 * 2048), Step(2, 32 * 2048), Step(1, 2048))
    assert a.in_turn == (Step(1, 64 * 2048), Step(8, 256))
    assert (b.tile.rows, b.tile.row_bytes, b.tile.pitch_bytes) == (48, 256, 2048)
    assert b.at_once[1] == Step(2, 48 * 2048)
    assert (c.tile.rows, c.tile.row_bytes, c.tile.pitch_bytes) == (32, 96, 192)
    assert c.at_once[1:] == (Step(2, 32 * 192), Step(2, 96))
    assert [w.tile.is_write for w in (a, b, c)] == [False, False, True]
    assert a.moved_bytes / b.moved_bytes == pytest.approx(64 / 96)


def test_parts_of_k_lie_side_by_side() -> None:
    group = single(MatMul("mm", m=16, n=16, k=1024, weight_dtype="bf16"))
    cost = ENGINES["analytic"].cost(group, Target(System.of_chip(H100)))
    assert isinstance(cost.placed, MatmulMapping)
    zero = MatmulCost(*(0.0,) * 8, active_cores=4.0)
    placed = cost.placed._replace(tiling=Tiling(16, 16, 64, 0, 4), cost=zero)
    a = walks_of(group, cost._replace(placed=placed), H100)[0]
    assert a.at_once[2] == Step(4, 512)
    assert a.in_turn[1] == Step(2, 256)


def test_one_token_reads_whole_rows() -> None:
    group = single(MatMul("mm", m=1, n=28_672, k=4096, weight_dtype="bf16"), on_chip=True)
    (weights,) = walks(group)
    assert (weights.tile.rows, weights.tile.row_bytes) == (1, 8192)
    assert weights.at_once[1] == Step(132, 8192)


def test_keys_of_a_head_are_short_rows() -> None:
    op = Attention("a", batch=4, heads=32, kv_heads=8, q_len=1, kv_len=2048, head_dim=128,
                   v_head_dim=128)  # fmt: skip
    k, v, *_ = walks(single(op, on_chip=True))
    assert k.tile.row_bytes == v.tile.row_bytes == 128 * 2
    assert k.tile.pitch_bytes == 8 * 128 * 2
    assert k.moved_bytes == pytest.approx(v.moved_bytes)


def test_latent_attention_has_no_values_of_its_own() -> None:
    op = Attention("a", batch=4, heads=128, kv_heads=1, q_len=1, kv_len=512, head_dim=576,
                   v_head_dim=512, latent_kv=True)  # fmt: skip
    reads = [w for w in walks(single(op, on_chip=True)) if not w.tile.is_write]
    assert len(reads) == 1
    assert reads[0].tile.row_bytes % (576 * 2) == 0


def test_vector_ops_stream_each_tensor() -> None:
    found = walks(single(Vector("add", fn="add", rows=8192, cols=4096)))
    assert [walk.tile.is_write for walk in found] == [False, False, True]
    assert all(walk.tile.row_bytes == 4096 for walk in found)
    norm = walks(single(Vector("norm", fn="rmsnorm", rows=8192, cols=4096)))
    assert norm[0].tile.row_bytes == 8192


def test_tables_are_looked_up_row_by_row() -> None:
    table, out = walks(single(Gather("e", rows=4096, cols=128, table_rows=50_000)))
    assert (table.tile.row_bytes, table.places) == (256, 50_000)
    assert out.tile.is_write


def test_other_ops_have_all_their_bytes() -> None:
    walks(single(OptimizerStep("adam", elements=1e7, read_bytes=18.0, write_bytes=14.0)))
    walks(single(GroupedMatMul("moe", rows=64, groups=8, active=8.0, n=4096, k=2048)))


def test_what_stays_on_the_chip_has_no_tiles() -> None:
    assert walks(single(Vector("relu", fn="relu", rows=16, cols=64), on_chip=True)) == ()
