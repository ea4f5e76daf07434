"""Small invented machines for the oracles, with the types that the compiled kernels expect."""

from __future__ import annotations

from accelsim.kernels.folds import INPUT_STATIONARY, OUTPUT_STATIONARY, WEIGHT_STATIONARY
from accelsim.kernels.machine import TENSOR_CORE, Machine
from accelsim.kernels.matmul import Problem

STYLES = (WEIGHT_STATIONARY, OUTPUT_STATIONARY, INPUT_STATIONARY)
_INTEGERS = {"style", "cores", "units", "cluster", "tile_m", "tile_n", "tile_k", "rows", "cols",
             "hides_load"}  # fmt: skip
_TENSOR_CORE = {
    "style": TENSOR_CORE, "cores": 4, "units": 1, "cluster": 1, "clock_hz": 1e9,
    "flop_per_cycle": 256, "tile_m": 16, "tile_n": 8, "tile_k": 8, "rows": 1, "cols": 1,
    "macs_per_pe": 1, "hides_load": 1, "scratch_bytes": 65536, "accumulator_bytes": 16384,
    "scratch_bytes_per_s": 128e9, "port_bytes_per_s": 64e9, "shared_bytes": 1 << 20,
    "shared_bytes_per_s": 200e9, "dram_bytes_per_s": 50e9, "latency_s": 3e-7,
    "vector_flop_per_cycle": 64, "special_per_cycle": 8,
}  # fmt: skip
_SYSTOLIC = _TENSOR_CORE | {
    "style": WEIGHT_STATIONARY, "cores": 1, "rows": 8, "cols": 4, "tile_m": 8, "tile_n": 4,
    "tile_k": 8, "flop_per_cycle": 64, "hides_load": 0, "shared_bytes": 0,
    "shared_bytes_per_s": 0,
}  # fmt: skip


def _machine(values: dict[str, float]) -> Machine:
    return Machine(**{k: int(v) if k in _INTEGERS else float(v) for k, v in values.items()})


def tensor_core_machine(**changes: float) -> Machine:
    return _machine(_TENSOR_CORE | changes)


def systolic_machine(**changes: float) -> Machine:
    return _machine(_SYSTOLIC | changes)


def problem(m: int, n: int, k: int, batch: int = 1, **changes: float) -> Problem:
    base = Problem(batch, m, n, k, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0)
    return base._replace(**changes)
