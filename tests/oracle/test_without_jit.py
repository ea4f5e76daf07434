"""Every kernel runs once as plain Python, in a process of its own, and answers the same."""

from __future__ import annotations

from tests.oracle.without_jit import printed

_SCRIPT = """
import json
import numpy as np
from accelsim.arch.array import TEXTBOOK, ArrayBuffers, ArrayFeatures, Sparsity, SystolicArray
from accelsim.kernels.attention import search_attention_many
from accelsim.kernels.matmul import search_many
from accelsim.timing.pe_level import simulate_array
from accelsim.timing.systolic import systolic_cycles
from accelsim.timing.systolic_buffers import buffered_cycles
from tests.oracle.machines import systolic_machine, tensor_core_machine

answers = []
sizes = np.array([[1, 5, 7, 9], [2, 20, 9, 40]])
traits = np.array([[2.0, 2.0, 4.0, 1.0, 1.0, 1.0], [1.0, 0.5, 2.0, 0.0, 1.0, 1.0]])
shapes = np.array([[2, 12, 20, 1, 4, 20, 16, 16, 32, 0],
                   [3, 4, 90, 0, 4, 90, 16, 16, 32, 1]])
kinds = np.array([[0.5, 2.0, 2.0, 2.0, 1.0, 1.0], [1.0, 2.0, 1.0, 2.0, 0.0, 1.0]])
for machine in (tensor_core_machine(), systolic_machine(), systolic_machine(style=2, hides_load=1)):
    tilings, costs = np.empty((2, 6), np.int64), np.empty((2, 9))
    search_many(machine, sizes, traits, tilings, costs)
    answers += [tilings.tolist(), costs.tolist()]
    tilings, costs = np.empty((2, 4), np.int64), np.empty((2, 10))
    search_attention_many(machine, shapes, kinds, tilings, costs)
    answers += [tilings.tolist(), costs.tolist()]
a = np.arange(35, dtype=np.float32).reshape(5, 7) / 3
b = np.arange(28).reshape(7, 4).astype(np.float32) % np.float32(5) - 2
b[::2] = 0
sparse = ArrayFeatures(arrays=2, double_buffer=True, mac_latency_cycles=2, packing=2, packed="rows",
                       sparsity=Sparsity(1, 2))
for dataflow, features in (("ws", TEXTBOOK), ("os", TEXTBOOK), ("ws", sparse), ("os", sparse)):
    run = simulate_array(a, b, SystolicArray(dataflow, 3, 2, features), trace=features == sparse)
    reads = [run.sram_reads_a, run.sram_reads_b, run.sram_writes_c]
    answers += [run.result.tolist(), [run.active_per_cycle.tolist(), reads]]
    counted = systolic_cycles(dataflow, 3, 2, np.array([5, 40]), 4, 7, features)
    answers += [[np.asarray(values).tolist() for values in counted]]
    array = SystolicArray(dataflow, 3, 2, features, ArrayBuffers(60, 60, 60, 1, "2/3", 2))
    fed = buffered_cycles(array, 5, 4, 7, repeat=2)
    answers += [[int(fed.total_cycles), int(fed.dram_reads_a), fed.turn_stall_cycles.tolist()]]
print(json.dumps(answers))
"""


def test_compiled_and_plain_python_agree_to_the_last_bit() -> None:
    assert printed(_SCRIPT) == printed(_SCRIPT, jit=True)
