"""A small folder shaped like the data of the extra [silicon], with one row per rule."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

BIG = {"m": 4096, "n": 8192, "k": 8192}
GEMMS = [
    {"gemm_dtype": "bfloat16", **BIG, "latency": 2.0},
    {"gemm_dtype": "bfloat16", **BIG, "m": 1, "latency": 0.06},
    {"gemm_dtype": "sq", **BIG, "latency": 1.0},
    {"gemm_dtype": "bfloat16", **BIG, "latency": 0.001},
    {"gemm_dtype": "bfloat16", "m": 16, "n": 64, "k": 64, "latency": 0.004},
    {"gemm_dtype": "fp8", **BIG, "latency": 1.0},
    {"gemm_dtype": "fp8_block", **BIG, "latency": 0.9},
    {"gemm_dtype": "int4_wo", **BIG, "latency": 1.0},
    {"gemm_dtype": "fp4x", **BIG, "latency": 1.0},
]
ATTENTION = {
    "batch_size": 2, "isl": 1024, "num_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "window_size": 0, "attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16", "step": 0,
    "latency": 0.2,
}  # fmt: skip
FP8 = {**ATTENTION, "attn_dtype": "fp8", "kv_cache_dtype": "fp8", "latency": 0.1}
CONTEXT = [
    ATTENTION,
    {**ATTENTION, "window_size": 128},
    {**ATTENTION, "latency": 0.001},
    FP8,
    {**FP8, "attn_dtype": "bfloat16", "latency": 0.101},
]
GENERATION = [{**ATTENTION, "isl": 1, "step": 4095, "latency": 0.02}]
EXPERTS = {
    "moe_dtype": "bfloat16", "num_tokens": 64, "hidden_size": 4096, "inter_size": 1536, "topk": 8,
    "num_experts": 128, "moe_tp_size": 2, "moe_ep_size": 4, "distribution": "balanced",
    "kernel_source": "cutlass", "latency": 0.3,
}  # fmt: skip
MOE = [
    EXPERTS,
    {**EXPERTS, "distribution": "power_law_1.2"},
    {**EXPERTS, "moe_dtype": "w4a16"},
    {**EXPERTS, "kernel_source": "torch_nongated"},
    {**EXPERTS, "latency": 0.005},
]
COLLECTIVES = [
    {"nccl_dtype": dtype, "op_name": op, "num_gpus": 8, "message_size": 2**20, "latency": 0.05}
    for dtype, op in (("half", "all_reduce"), ("int8", "all_reduce"), ("half", "alltoall"))
]
CUSTOM = [
    {"allreduce_dtype": "bfloat16", "num_gpus": devices, "message_size": 2**20, "latency": 0.03}
    for devices in (2, 16)
]


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path, index=False)


def silicon_like(root: Path) -> Path:
    """A device with a chip, in two versions and two backends, and one without."""
    card = root / "h100_sxm"
    write_table(card / "gemm/trtllm/1.3.0rc20/gemm_perf.parquet", GEMMS)
    write_table(card / "gemm/vllm/0.9.0/gemm_perf.parquet", GEMMS * 40)
    attention = card / "attention/trtllm/1.3.0rc20"
    write_table(attention / "context_attention_perf.parquet", CONTEXT)
    write_table(attention / "generation_attention_perf.parquet", GENERATION)
    write_table(card / "moe/trtllm/1.3.0rc20/moe_perf.parquet", MOE)
    write_table(card / "comm/nccl/2.9.2/nccl_perf.parquet", COLLECTIVES * 2)
    write_table(card / "comm/nccl/2.29.2/nccl_perf.parquet", COLLECTIVES)
    write_table(card / "comm/trtllm/1.3.0rc20/custom_allreduce_perf.parquet", CUSTOM)
    write_table(root / "no_such_card" / "gemm/trtllm/1.0.0/gemm_perf.parquet", GEMMS)
    return root
