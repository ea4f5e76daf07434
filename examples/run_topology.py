"""SCALE-Sim's files, as they are: which dataflow suits a small network, and what limits it?

The same topology on the same 16x16 array, once as the configuration says (weight stationary, 8
words per cycle and operand), then with the two other dataflows, then without a limit of bandwidth.
"""

from dataclasses import replace
from pathlib import Path

import accelsim
from accelsim.arch.scalesim import load_scalesim_config

FILES = Path(__file__).resolve().parent / "scalesim"

array = load_scalesim_config(FILES / "edge_16x16.cfg").array
unlimited = replace(
    array.buffers, a_words_per_cycle=None, b_words_per_cycle=None, c_words_per_cycle=None
)
print(f"{'':20}{'8 words/cycle':>16}{'unlimited':>12}{'waiting':>10}")
for dataflow in ("ws", "os", "is"):
    fed = accelsim.run_layers(FILES / "edge_cnn.csv", replace(array, dataflow=dataflow))
    free = accelsim.run_layers(
        FILES / "edge_cnn.csv", replace(array, dataflow=dataflow, buffers=unlimited)
    )
    share = 1 - fed.compute_cycles / fed.total_cycles
    cycles = f"{fed.total_cycles:>16,}{free.total_cycles:>12,}"
    print(f"{dataflow + ' [cycles]':20}{cycles}{share:>10.0%}")

print("\nWeight stationary, layer by layer")
report = accelsim.run_layers(FILES / "edge_cnn.csv", FILES / "edge_16x16.cfg")
columns = ["name", "m", "n", "k", "total_cycles", "stall_cycles", "bound"]
print(report.table[columns].to_string(index=False))
