"""A what-if without a file: where should the next transistor of an inference ASIC go?

The invented chip of the demo is changed one property at a time, by dotted paths of its spec, and
compared on the two phases of an LLM. Decode gains less than half from bandwidth alone: weights
must also be loaded into the arrays, and four cores load no faster than before.
"""

import accelsim

BASE = "teach_systolic_128x128"
CHANGES = {
    "as it is": {},
    "twice the memory bandwidth": {"memory.bandwidth": "1638.4 GB/s"},
    "twice the cores": {"cores": 8},
    "twice both": {"memory.bandwidth": "1638.4 GB/s", "cores": 8},
    "twice the clock": {"clock": "2 GHz"},
    "twice the scratchpad": {"core.scratchpad.capacity": "32 MiB"},
}


def seconds(phase: str, changes: dict[str, object]) -> float:
    result = accelsim.run(
        "llama3.1-8b", BASE, phase=phase, batch=8, input_len=1024, overrides=changes
    )
    return result.latency_s


print(f"{BASE}, llama3.1-8b, batch 8, 1024 tokens")
print(f"{'':28}{'prefill':>12}{'decode step':>14}")
base = {phase: seconds(phase, {}) for phase in ("prefill", "decode")}
for name, changes in CHANGES.items():
    speedup = {phase: base[phase] / seconds(phase, changes) for phase in base}
    print(f"{name:28}{speedup['prefill']:>10.2f} x{speedup['decode']:>12.2f} x")
