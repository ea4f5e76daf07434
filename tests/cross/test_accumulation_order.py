"""Is the order of sums in a matmul that of the array's PEs, and of the chip's mapping?"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim import RunOptions, SystolicArray, load_chip, load_model, run, simulate_array
from accelsim.arithmetic import Chain, MatrixArithmetic, SumOrder
from accelsim.functional.formats import round_to
from accelsim.functional.gemm import matmul
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.scenarios.mapped_orders import MappedOrders
from accelsim.workload.config import ModelConfig
from accelsim.workload.phases import PhaseOptions

Floats = NDArray[np.float32]


def _bf16(m: int, k: int, n: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng([m, k, n])
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    return round_to(a.astype(np.float32), "bf16"), round_to(b.astype(np.float32), "bf16")


@pytest.mark.parametrize("rows", [4, 8])
@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
def test_a_folded_chain_is_what_every_pe_adds(
    dataflow: Literal["ws", "is", "os"], rows: int
) -> None:
    a, b = _bf16(13, 45, 10)
    cycles = simulate_array(a, b, SystolicArray(dataflow, rows, 6))
    # Sums stay in their PE in os; in ws and is they leave a column of `rows` PEs.
    arithmetic = MatrixArithmetic("bf16", Chain(fold=0 if dataflow == "os" else rows))
    assert np.array_equal(matmul(a, b, arithmetic), cycles.result)


def test_two_array_sizes_give_two_results() -> None:
    a, b = _bf16(16, 96, 16)
    results = []
    for rows in (8, 32):
        found = matmul(a, b, MatrixArithmetic("bf16", Chain(fold=rows)))
        assert np.array_equal(found, simulate_array(a, b, SystolicArray("ws", rows, 8)).result)
        results.append(found)
    assert not np.array_equal(*results)
    assert np.abs(results[0] - results[1]).max() < 1e-4


@pytest.mark.parametrize("chip", ["tpu_v5e", "teach_systolic_16x16"])
def test_the_fold_of_a_chip_is_the_depth_of_its_array(chip: str) -> None:
    loaded = load_chip(chip)
    dtype = next(d for d in loaded.dtypes if loaded.matrix_arithmetic(d).output == "fp32")
    sums = loaded.matrix_arithmetic(dtype).sums
    unit = loaded.matrix_unit(dtype)
    assert isinstance(sums, Chain)
    assert unit is not None
    assert sums.fold == (unit.rows if unit.dataflow != "output_stationary" else 0)


def _orders(phase: str, tokens: int) -> MappedOrders:
    options = PhaseOptions(phase=phase, batch=1, input_len=tokens, dtype="bf16")
    return MappedOrders(load_model("smollm2-135m"), load_chip("h100_sxm"), options)


def _shape(config: ModelConfig, op: str) -> tuple[int, int]:
    """Return n and k of an op."""
    if op == "output":
        return config.vocab_size, config.d_model
    n, k = tensor_shapes(config)[f"blk.0.{op}.weight"]
    return n, k


def _mappings(phase: str, tokens: int) -> dict[str, str]:
    options = RunOptions(phase=phase, batch=1, input_len=tokens, dtype="bf16")
    return {row.name: row.mapping for row in run("smollm2-135m", "h100_sxm", options).rows}


OPS = {"attn_q": "attention.qkv", "attn_output": "attention.o+attention.residual",
       "ffn_gate": "mlp.gate_up", "ffn_up": "mlp.gate_up", "ffn_down": "mlp.down+mlp.residual",
       "output": "lm_head"}  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "tokens", "context"), [("prefill", 64, 64), ("prefill", 500, 500), ("decode", 1, 65)]
)
def test_splits_and_tiles_are_those_of_the_timed_run(phase: str, tokens: int, context: int) -> None:
    orders, config = _orders(phase, context), load_model("smollm2-135m")
    mappings = _mappings(phase, context if phase == "prefill" else context - 1)
    for op, timed in OPS.items():
        stated = re.search(r"k split (\d+)", mappings[timed])
        n, k = _shape(config, op)
        rows = 1 if op == "output" else tokens  # the timed run has logits of the last token alone
        wanted = int(stated[1]) if stated else 1
        assert orders.matmul(op, rows, n, k).split_k == wanted, op
    tile = re.search(r"tile q(\d+) kv(\d+)(, keys split (\d+))?", mappings["attention.sdpa"])
    assert tile is not None
    heads, found = config.attention, orders.attention(0, tokens, context)
    # Rows of a tile are those of all query heads that share a KV head.
    assert found.tile_q == -(-int(tile[1]) // (heads.n_heads // heads.n_kv_heads))
    assert (found.tile_kv, found.split_kv) == (int(tile[2]), int(tile[4] or 1))
    assert orders.warnings == ()


def test_a_split_of_the_mapping_changes_bits_and_is_the_sum_by_hand() -> None:
    config = load_model("smollm2-135m")
    split = _orders("prefill", 64).matmul("ffn_down", 64, *_shape(config, "ffn_down"))
    assert split.split_k > 1
    arithmetic = load_chip("h100_sxm").matrix_arithmetic("bf16")
    k = config.mlp.d_ff  # type: ignore[union-attr]
    a, b = _bf16(64, k, 40)
    found = matmul(a, b, arithmetic, order=split)
    step = -(-k // split.split_k)
    by_hand = matmul(a[:, :step], b[:step], arithmetic)
    for start in range(step, k, step):
        by_hand = by_hand + matmul(a[:, start : start + step], b[start : start + step], arithmetic)
    assert np.array_equal(found, by_hand)
    assert not np.array_equal(found, matmul(a, b, arithmetic, order=SumOrder()))
