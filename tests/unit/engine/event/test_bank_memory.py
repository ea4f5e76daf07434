"""What the banks sustain of tiles, and what that does to the cost of an op."""

from __future__ import annotations

import pytest

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip, load_memory
from accelsim.arch.system import System
from accelsim.engine.core import Target
from accelsim.engine.event.bank_memory import bank_share, block_map, with_banks
from accelsim.engine.event.bank_walks import Step, Walk
from accelsim.engine.graph import ENGINES, CostedGroup
from accelsim.errors import SpecError
from accelsim.mapping.fusion import single
from accelsim.timing.dram.address_map import address_map
from accelsim.timing.dram.tiles import Tile
from accelsim.workload.ops import Attention, Gather, MatMul, Op, Vector

CHIPS = ("h100_sxm", "tpu_v5e", "l4")
OPS: dict[str, Op] = {
    "one token": MatMul("mm", m=1, n=16_384, k=4096, weight_dtype="bf16"),
    "few tokens": MatMul("mm", m=32, n=16_384, k=4096, weight_dtype="bf16"),
    "prompt": MatMul("mm", m=4096, n=4096, k=4096, weight_dtype="bf16"),
    "decode": Attention("a", batch=16, heads=32, kv_heads=8, q_len=1, kv_len=2048, head_dim=128,
                        v_head_dim=128),
    "add": Vector("add", fn="add", rows=8192, cols=4096),
    "copy": Vector("copy", fn="copy", rows=8192, cols=4096),
    "norm": Vector("norm", fn="rmsnorm", rows=8192, cols=4096),
    "lookup": Gather("e", rows=65_536, cols=64, table_rows=1_000_000),
}  # fmt: skip


def costed(op: Op, chip: Chip) -> CostedGroup:
    group = single(op)
    return CostedGroup("b", 1, group, ENGINES["analytic"].cost(group, Target(System.of_chip(chip))))


@pytest.mark.parametrize("name", CHIPS)
def test_banks_never_pass_the_peak_and_no_op_its_resources(name: str) -> None:
    chip = load_chip(name)
    before = [costed(op, chip) for op in OPS.values()]
    for old, new in zip(before, with_banks(before, chip), strict=True):
        times = new.cost.times_s
        moved = new.cost.activity.dram_bytes
        assert times["memory"] >= moved / chip.bandwidth_bytes_per_s
        busy = [s for key, s in times.items() if key != "overhead"]
        assert new.cost.latency_s >= max(busy) * (1 - 1e-9)
        assert {**times, "memory": 0.0} == {**old.cost.times_s, "memory": 0.0}
        assert new.cost.activity == old.cost.activity
        assert new.cost.times_s[new.cost.bound] == max(times.values())


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("op", ["copy", "norm", "one token"])
def test_long_rows_are_within_two_points_of_the_law(name: str, op: str) -> None:
    """Three where half is written: the law's streams take turns of 4 KiB, these of a line."""
    chip = load_chip(name)
    old = costed(OPS[op], chip)
    (new,) = with_banks([old], chip)
    moved = old.cost.activity
    peak_s = moved.dram_bytes / chip.bandwidth_bytes_per_s
    law_s = chip.transfers.seconds(moved.dram_read_bytes, moved.dram_write_bytes)
    allowed = 0.03 if moved.dram_write_bytes else 0.02
    assert peak_s / new.cost.times_s["memory"] == pytest.approx(peak_s / law_s, abs=allowed)


@pytest.mark.parametrize("name", CHIPS)
def test_narrow_tiles_of_wide_matrices_are_slower(name: str) -> None:
    chip = load_chip(name)
    shares = [
        bank_share([Walk(Tile(0, 4096, width, 1 << 15), (Step(1, 0),), (Step(1, width),), 1.0)],
                   chip)
        for width in (64, 512, 1 << 15)
    ]  # fmt: skip
    assert shares == sorted(shares)
    assert shares[0] < 0.9 * shares[2]


@pytest.mark.parametrize("name", ["tpu_v5e", "l4"])
def test_one_channel_tells_the_others(name: str) -> None:
    """All at once also wait for the channel with the most of the sample: a little less."""
    chip = load_chip(name)
    channels = chip.spec.memory.channels
    assert channels is not None
    rows = Walk(Tile(0, 1, 4096, 4096), (Step(64, 4096),), (Step(1, 64 * 4096),), 1.0)
    tiles = Walk(Tile(0, 256, 512, 8192), (Step(4, 1 << 21),), (Step(1, 1 << 23), Step(16, 512)),
                 1.0)  # fmt: skip
    assert bank_share([rows], chip) == pytest.approx(bank_share([rows], chip, channels), abs=0.005)
    one, everyone = bank_share([tiles], chip), bank_share([tiles], chip, channels)
    assert one - 0.04 < everyone < one + 0.005


def test_calibration_scales_the_losses() -> None:
    perfect = load_chip("tpu_v5e", {"calibration.memory_efficiency": 1.0})
    (new,) = with_banks([costed(OPS["few tokens"], perfect)], perfect)
    peak_s = new.cost.activity.dram_bytes / perfect.bandwidth_bytes_per_s
    assert new.cost.times_s["memory"] == pytest.approx(peak_s)
    worse = load_chip("tpu_v5e", {"calibration.memory_efficiency": 0.5})
    (slow,) = with_banks([costed(OPS["add"], worse)], worse)
    peak_s = slow.cost.activity.dram_bytes / worse.bandwidth_bytes_per_s
    assert slow.cost.times_s["memory"] == pytest.approx(2.0 * peak_s, rel=0.05)


def test_small_rows_of_a_table_cost_whole_lines() -> None:
    chip = load_chip("tpu_v5e")
    wide, narrow = (
        with_banks([costed(Gather("e", rows=65_536, cols=cols, table_rows=1 << 20), chip)], chip)
        for cols in (32, 16)
    )
    halved = wide[0].cost.activity.dram_bytes / narrow[0].cost.activity.dram_bytes
    assert halved == pytest.approx(2.0)
    ratio = wide[0].cost.times_s["memory"] / narrow[0].cost.times_s["memory"]
    assert ratio < 1.7


def test_the_same_costs_give_the_same_result() -> None:
    first, second = (load_chip("l4") for _ in range(2))
    groups = [costed(op, first) for op in OPS.values()]
    assert [item.cost for item in with_banks(groups, first)] == [
        item.cost for item in with_banks(groups, second)
    ]


@pytest.mark.parametrize("name", ["hbm3_5200", "gddr6_12000", "lpddr5_6400", "ddr4_3200"])
def test_a_block_stays_in_one_row(name: str) -> None:
    memory = load_memory(name)
    chosen = address_map(block_map(memory), memory, memory.pseudo_channels)
    level, bits = chosen.fields[0]
    assert level == "column"
    assert memory.access_bytes * 2**bits == 256


@pytest.mark.parametrize("name", ["groq_tsp", "edge_tpu"])
def test_a_memory_without_banks_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="--dram fluid"):
        with_banks([], load_chip(name))
