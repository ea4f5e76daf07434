"""Kernels that run beside attention on a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.errors import SpecError
from accelsim.kernels.gpu.attention import FLASH, SERVING
from accelsim.mapping.attention import attention_library
from accelsim.mapping.fusion import single
from accelsim.timing.attention import attention_problem, attention_times
from accelsim.timing.gpu_attention import kernels_beside
from accelsim.workload.ops import Attention

A100, H100 = load_chip("a100_sxm_80gb"), load_chip("h100_sxm")
DECODE = Attention("a", batch=8, heads=32, kv_heads=8, q_len=1, kv_len=500, head_dim=128,
                   v_head_dim=128, served=True)  # fmt: skip
PROMPT = replace(DECODE, q_len=500)


@pytest.mark.parametrize("chip", [A100, H100], ids=["a100", "h100"])
@pytest.mark.parametrize("alone", [{"cached": False}, {"served": False}])
def test_attention_of_a_graph_or_without_a_cache_is_one_kernel(
    chip: Chip, alone: dict[str, bool]
) -> None:
    assert kernels_beside(replace(PROMPT, **alone), chip, False) == (0.0, 0.0, 0.0, 0.0)


def test_flash_copies_packed_heads_only_where_they_are_out_of_order() -> None:
    packed = kernels_beside(DECODE, A100, False)
    in_order = kernels_beside(replace(DECODE, batch=1), A100, False)
    alone = kernels_beside(replace(DECODE, kv_heads=32), A100, False)
    assert packed.overhead_s > in_order.overhead_s > alone.overhead_s
    one_cache = kernels_beside(replace(DECODE, kv_heads=1), A100, False)
    assert one_cache.overhead_s == pytest.approx(in_order.overhead_s, rel=0.05)


def test_appending_many_tokens_waits_for_blocks_of_few_threads() -> None:
    few = kernels_beside(replace(PROMPT, batch=64, heads=4, kv_heads=4), A100, False)
    many = kernels_beside(replace(PROMPT, batch=64, heads=64, kv_heads=64), A100, False)
    assert few.transfer_s < few.overhead_s
    assert many.transfer_s > many.overhead_s


def test_a_serving_library_rotates_and_appends_in_a_pass_over_q_k_and_v() -> None:
    beside = kernels_beside(PROMPT, H100, False)
    elements = 8 * 500 * (32 + 8 + 8) * 128
    assert beside.read_bytes == beside.write_bytes == 2 * elements
    # On chip Q stays in the L2; K and V are written back to the cache all the same.
    assert kernels_beside(PROMPT, H100, True)[2:] == (0.0, PROMPT.traffic.cache_write)
    assert kernels_beside(DECODE, H100, False).overhead_s < beside.overhead_s


@pytest.mark.parametrize("chip", ["l40s", "h100_sxm"])
def test_a_replayed_cache_is_found_in_the_l2_as_far_as_it_fits(chip: str) -> None:
    loaded = load_chip(chip)
    shape = {"heads": 8, "kv_heads": 8, "q_len": 1, "head_dim": 128, "v_head_dim": 128}
    shares = []
    for fill in (0.2, 0.65, 2.0):
        keys = int(fill * loaded.shared_bytes / (8 * 256 * 2))
        op = Attention("a", batch=1, kv_len=keys, replayed=True, **shape)  # type: ignore[arg-type]
        once = replace(op, replayed=False)
        assert attention_problem(once, True, loaded.shared_bytes).kv_dram_share > 0.99
        shares.append(attention_problem(op, True, loaded.shared_bytes).kv_dram_share)
    assert shares[0] == 0.0
    assert 0.4 < shares[1] < 0.6
    assert shares[2] > 0.99


@pytest.mark.parametrize("chip", [A100, H100], ids=["a100", "h100"])
@pytest.mark.parametrize("on_chip", [False, True])
@pytest.mark.parametrize("op", [DECODE, PROMPT], ids=["decode", "prompt"])
def test_the_append_is_charged_once(chip: Chip, on_chip: bool, op: Attention) -> None:
    """Beside the kernel where that is counted, with the kernel where it is not."""
    served, _, moved, _ = attention_times(single(op, on_chip), chip, "bf16")
    alone, _, kernel, _ = attention_times(single(replace(op, served=False), on_chip), chip, "bf16")
    beside = kernels_beside(op, chip, on_chip)
    append_s = chip.transfers.seconds(0.0, op.traffic.cache_write)
    assert beside.write_bytes >= op.traffic.cache_write
    assert moved.dram_write_bytes - kernel.dram_write_bytes == pytest.approx(
        beside.write_bytes - op.traffic.cache_write
    )
    assert served["memory"] - alone["memory"] == pytest.approx(beside.transfer_s - append_s)


@pytest.mark.parametrize("chip", [A100, H100], ids=["a100", "h100"])
def test_a_cache_of_one_key_is_decoded_unless_the_query_brings_it(chip: Chip) -> None:
    one = replace(DECODE, kv_len=1, causal=False)
    alone = replace(one, causal=True)
    assert attention_problem(one, False).decode == 1
    assert attention_problem(alone, False).decode == 0
    assert attention_problem(replace(DECODE, window=1), False).decode == 1
    decoded, prompt = (kernels_beside(op, chip, False).overhead_s for op in (one, alone))
    assert decoded <= prompt
    longer_s = attention_times(single(DECODE), chip, "bf16")[1]
    assert attention_times(single(one), chip, "bf16")[1] <= longer_s


@pytest.mark.parametrize(
    ("chip", "library"),
    [("a100_sxm_80gb", FLASH), ("mi300x", FLASH), ("l4", SERVING), ("gb200", SERVING)],
)
def test_the_spec_states_the_library(chip: str, library: int) -> None:
    """Not a rate of the chip: MI300X has 8-bit floats, too."""
    assert attention_library(load_chip(chip)) == library


def test_libraries_that_nobody_ships_are_refused() -> None:
    with pytest.raises(SpecError, match=r"attention_library.*'flsh'.*flash"):
        load_chip("a100_sxm_80gb", {"attention_library": "flsh"})


@pytest.mark.parametrize("chip", ["h100_sxm", "b200_sxm"])
def test_a_serving_library_leaves_wide_sharing_to_the_lanes(chip: str) -> None:
    """Above 32 heads per KV head each head reads the cache for itself; FlashAttention packs."""
    wide = replace(DECODE, batch=64, heads=64, kv_heads=1, kv_len=4096)
    narrow = replace(wide, heads=32)
    times = {}
    for library in ("serving", "flash"):
        loaded = load_chip(chip, {"attention_library": library})
        times[library] = [attention_times(single(op), loaded, "bf16")[1] for op in (narrow, wide)]
    assert times["serving"][1] > 4 * times["serving"][0]
    assert times["flash"][1] < 2 * times["flash"][0]
