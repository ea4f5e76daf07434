"""When does batching stop being free? Decode of Llama-3.1-8B on three chips.

Every decode step reads all weights once, so more sequences per step cost almost nothing until
the KV cache, or the matrix units, take over.
"""

import accelsim

CHIPS = ("h100_sxm", "mi300x", "teach_systolic_128x128")
BATCHES = (1, 8, 64, 256)

print("Llama-3.1-8B, 1024 tokens in the cache: one decode step\n")
for chip in CHIPS:
    print(chip)
    for batch in BATCHES:
        try:
            step = accelsim.run("llama3.1-8b", chip, phase="decode", batch=batch, input_len=1024)
        except accelsim.CapacityError as error:
            print(f"  batch {batch:3}: {str(error).split(', so ')[1].split(';')[0]}")
            continue
        print(
            f"  batch {batch:3}: {step.latency_s * 1e3:5.1f} ms, {step.tokens_per_s:6.0f} tokens/s,"
            f" {step.energy_j / batch:5.2f} J/token, limited by {step.bottleneck}"
        )
