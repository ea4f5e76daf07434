"""Waves, occupancy, splits and camping of GEMM grids, in numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from accelsim.kernels.gpu.gemm import _STORE_BYTES_PER_CYCLE, block_cost, blocks_per_core, demand_of
from accelsim.kernels.gpu.gemm_search import _best_split, search_blocks
from accelsim.kernels.gpu.gemv import vector_cost
from accelsim.kernels.gpu.grid import BlockCost, BlockTile
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.matmul import Problem
from tests.oracle.naive_gpu_gemm import small_processor

KIB = 1024.0
# 108 cores that hold one block of 128 x 128 at a time, and never wait for memory.
ONE_AT_ONCE = small_processor(
    cores=108, asynchronous=1, scratch_bytes=64 * KIB + 2048, scratch_bytes_per_cycle=1e6,
    shared_bytes_per_s=1e18, port_bytes_per_s=1e18, dram_bytes_per_s=1e18,
    shared_latency_s=0.0, latency_s=1e-15, gap_s=0.0,
)  # fmt: skip
SQUARE = BlockTile(128, 128, 1, 4)


def problem(m: int, n: int, k: int, batch: int = 1, width: float = 2.0) -> Problem:
    return Problem(batch, m, n, k, width, width, 2.0, 1.0, 1.0, 1.0)


def best_of_row(k: int) -> tuple[BlockTile, BlockCost]:
    """The best split of k for five tiles of 64 x 128 in a row."""
    q = problem(64, 640, k)
    demand = demand_of(ONE_AT_ONCE, q)
    tile, cost, _ = _best_split(ONE_AT_ONCE, q, demand, 64, 128, 64, math.inf)
    return tile, cost


def cost_of_blocks(count: int, p: Processor = ONE_AT_ONCE) -> BlockCost:
    return block_cost(p, problem(128, 128, 1024, batch=count), SQUARE)


@pytest.mark.parametrize(
    ("blocks", "waves"), [(1, 1), (108, 1), (109, 2), (216, 2), (217, 3), (1080, 10), (1081, 11)]
)
def test_a_block_too_many_takes_a_wave_of_its_own(blocks: int, waves: int) -> None:
    wave_s = 2 * 128 * 128 * 1024 / 256 / 1e9  # 256 FLOP per cycle at 1 GHz
    assert cost_of_blocks(blocks).core_s == pytest.approx(waves * wave_s)


def test_what_is_padded_takes_as_long() -> None:
    """A 100 x 70 output on tiles of 64 is four whole tiles."""
    tile = BlockTile(64, 64, 1, 4)
    ragged = block_cost(ONE_AT_ONCE, problem(100, 70, 512), tile)
    whole = block_cost(ONE_AT_ONCE, problem(128, 128, 512), tile)
    assert (ragged.blocks, ragged.core_s) == (4, whole.core_s)


def test_one_block_alone_waits_for_every_step_of_its_loads() -> None:
    """16 steps of 32 products at 300 ns over three steps ahead; 50 ns of products hide behind."""
    p = ONE_AT_ONCE._replace(shared_latency_s=3e-7, flop_per_cycle=2 * 128 * 128 * 32 / 50)
    alone = block_cost(p, problem(128, 128, 512), SQUARE)
    assert alone.core_s == pytest.approx(16 * 1e-7)


def test_two_blocks_hide_each_others_waits() -> None:
    """Of 128 KiB of operands two blocks fit: as fast as one, as each waits for nine tenths."""
    p = ONE_AT_ONCE._replace(
        scratch_bytes=132 * KIB, register_bytes=1e9, shared_latency_s=3e-7,
        flop_per_cycle=2 * 128 * 128 * 32 / 10,
    )  # fmt: skip
    assert cost_of_blocks(216, p).core_s == pytest.approx(cost_of_blocks(108, p).core_s)


@pytest.mark.parametrize(("room_kib", "held"), [(63, 0), (66, 1), (130, 1), (132, 2), (200, 3)])
def test_blocks_of_a_core_by_shared_memory(room_kib: int, held: int) -> None:
    """A block of 128 x 128 has 4 stages of 256 rows of 64 bytes: 64 KiB; 2 % is the system's."""
    p = small_processor(scratch_bytes=room_kib * KIB, register_bytes=1e9)
    assert blocks_per_core(p, SQUARE) == held


@pytest.mark.parametrize(("room_kib", "held"), [(128, 0), (134, 1), (256, 1), (268, 2)])
def test_blocks_of_a_core_by_registers(room_kib: int, held: int) -> None:
    """128 x 128 sums of 4 bytes and 256 threads of 70 registers: 64 KiB + 70 KiB."""
    p = small_processor(scratch_bytes=1e9, register_bytes=room_kib * KIB)
    assert blocks_per_core(p, SQUARE) == held


@pytest.mark.parametrize(
    ("side", "room_kib", "held"), [(128, 125, 0), (128, 256, 2), (64, 256, 5), (32, 256, 8)]
)
def test_blocks_of_lanes_by_registers(side: int, room_kib: int, held: int) -> None:
    """64 sums and 62 registers of 256 threads: 126 KiB; 32 sums of 128 threads: 47; 16 of 64: 19.5.

    Never more than eight blocks.
    """
    p = small_processor(lanes=1, scratch_bytes=1e9, register_bytes=room_kib * KIB)
    assert blocks_per_core(p, BlockTile(side, side, 1, 2)) == held


def test_batches_run_in_tiles_of_one_size() -> None:
    """20 rows and columns take the time of 128, k is not split; one matrix has its own tile."""
    p = ONE_AT_ONCE._replace(batched_side=128)
    whole, small = (search_blocks(p, problem(s, s, 16384, batch=2))[1] for s in (128, 20))
    assert small.compute_s == pytest.approx(whole.compute_s)
    assert whole.active_cores == small.active_cores == 2
    free = search_blocks(p._replace(batched_side=0), problem(20, 20, 16384, batch=2))
    assert free[1].compute_s < small.compute_s / 8
    assert search_blocks(p, problem(20, 20, 16384)) == search_blocks(
        p._replace(batched_side=0), problem(20, 20, 16384)
    )


def test_instructions_beside_the_products_take_power() -> None:
    """Lanes issue 1/16 loads, 1/51 copies and 1/85 others for each product of 128 x 128 tiles."""
    q = problem(4096, 4096, 4096, width=4.0)
    lanes = small_processor(lanes=1, mac_j=1.0, deliverable_w=1.0, batched_side=0)
    cost = block_cost(lanes, q, BlockTile(128, 128, 1, 2))
    assert cost.latency_s == pytest.approx(4096.0**3 * (1 + 4 / 64 + 1.25 / 64 + 6 / 64 / 8))


def test_blocks_of_a_core_by_memory_of_sums() -> None:
    """Sums outside the registers: 256 KiB hold two tiles of 128 x 256."""
    p = small_processor(
        asynchronous=1, scratch_bytes=1e9, register_bytes=1e9, accumulator_bytes=256 * KIB
    )
    assert blocks_per_core(p, BlockTile(128, 256, 1, 2)) == 2


def test_splitting_k_fills_the_cores() -> None:
    """One tile and 108 cores: a sum of 16,384 products is worth cutting, one of 256 is not."""
    tiling, cost, _ = search_blocks(ONE_AT_ONCE, problem(64, 64, 16384))
    assert tiling.split_k > 8
    assert cost.active_cores >= tiling.split_k
    p = ONE_AT_ONCE._replace(gap_s=1e-6, flop_per_cycle=8192.0)
    assert search_blocks(p, problem(64, 64, 256))[0].split_k == 1


def test_a_split_that_just_fills_is_tried() -> None:
    """Five tiles: 21 parts of each are 105 blocks on 108 cores; 32 parts would be two waves."""
    tile, cost = best_of_row(21 * 256)
    assert (tile.split_k, cost.blocks) == (21, 105)


def test_no_part_is_shorter_than_it_pays() -> None:
    """Of 8 x 128 products and a few more, eight parts at most, though 21 would fill."""
    tile, _ = best_of_row(8 * 128 + 100)
    assert tile.split_k == 8


def test_integers_never_split_k() -> None:
    q = problem(64, 64, 16384, width=1.0)
    assert search_blocks(ONE_AT_ONCE, q)[0].split_k > 1
    assert search_blocks(ONE_AT_ONCE._replace(integers=1, whole_sums=1), q)[0].split_k == 1


@pytest.mark.parametrize("sizes", [(1, 4096), (4096, 1)])
def test_one_row_is_a_product_of_vectors(sizes: tuple[int, int]) -> None:
    """From memory at 30 GB/s: nothing else counts."""
    q = problem(*sizes, 4096)
    p = small_processor(cores=108, shared_bytes_per_s=1e15, vector_flop_per_cycle=1e4)
    tiling, cost, _ = search_blocks(p, q)
    assert (tiling.tile_m, tiling.tile_n, tiling.tile_k) == (1, 1, 4096)
    assert cost.latency_s == vector_cost(p, q).latency_s
    assert cost.latency_s == pytest.approx((4096 * 4096 * 2 + 8192) / 30e9, rel=0.02)


def test_integers_have_products_of_up_to_four_vectors() -> None:
    p = small_processor(cores=108, integers=1, flop_per_cycle=64.0)
    assert search_blocks(p, problem(4, 4096, 4096, width=1.0))[0].tile_m == 4
    assert search_blocks(p, problem(5, 4096, 4096, width=1.0))[0].tile_m >= 16


@pytest.mark.parametrize(("k", "camped"), [(2048, 1), (2047, 0), (1024, 0), (6144, 1), (3072, 0)])
def test_strides_that_the_hash_does_not_spread(k: int, camped: int) -> None:
    """Strides of 2 KiB are spread; multiples of 4 KiB meet in the same slices."""
    plain = small_processor()
    hashed = plain._replace(spread_bytes=2 * KIB)
    q = problem(512, 512, k)
    tile = BlockTile(64, 64, 1, 4)
    ratio = block_cost(hashed, q, tile).shared_s / block_cost(plain, q, tile).shared_s
    assert (ratio > 2.0) == bool(camped)
    assert camped or ratio == 1.0


def test_a_cluster_reads_its_larger_operand_once() -> None:
    """Tall and thin: four row tiles share B, which is the more."""
    q = problem(512, 128, 1024)
    tile = BlockTile(128, 128, 1, 4)
    alone = block_cost(ONE_AT_ONCE, q, tile)
    paired = block_cost(ONE_AT_ONCE._replace(cluster=2), q, tile)
    a, b, c = 512 * 1024 * 2, 128 * 1024 * 2, 512 * 128 * 2
    assert alone.shared_bytes == a + 4 * b + c
    assert paired.shared_bytes == a + 2 * b + c


def test_an_operand_that_stays_in_the_l2_is_read_once() -> None:
    q = problem(4096, 4096, 512)
    tile = BlockTile(128, 128, 1, 4)
    whole = 2 * 4096 * 512 * 2
    large = block_cost(ONE_AT_ONCE._replace(shared_bytes=64 * 1024 * KIB), q, tile)
    small = block_cost(ONE_AT_ONCE._replace(shared_bytes=64 * KIB), q, tile)
    assert large.dram_read_bytes == whole
    # 108 tiles at work are near-square: 32 / sqrt(108) patches each way.
    assert small.dram_read_bytes == pytest.approx(whole * 32 / 108**0.5)


def test_no_wait_without_latency() -> None:
    """Nor a number that is none, where nothing comes from memory either."""
    p = ONE_AT_ONCE._replace(latency_s=0.0)
    on_chip = problem(256, 256, 256)._replace(a_dram=0.0, b_dram=0.0, c_dram=0.0)
    for q in (on_chip, problem(256, 256, 256)):
        cost = block_cost(p, q, SQUARE)
        store_s = 128 * 128 * 2 / _STORE_BYTES_PER_CYCLE / 1e9
        assert cost.latency_s == pytest.approx(cost.core_s + store_s)
