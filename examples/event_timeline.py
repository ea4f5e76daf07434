"""What overlaps: one layer of a decode step on a TPU and on a GPU.

A TPU's compiler plans transfers: while one op computes, the weights of the next come in. Kernels of
a GPU run one after another, and each fetches for itself.
"""

import accelsim
from accelsim.engine.core import Target
from accelsim.engine.event.engine import Detail, EventRun
from accelsim.engine.graph import ENGINES, cost_graph
from accelsim.results.execution_tables import op_table
from accelsim.workload.phases import PhaseOptions, build_graph

MODEL, CHIPS, LAYER = "llama3.1-8b", ("tpu_v5e", "h100_sxm"), "layers.0"
STEP = {
    "phase": "decode", "batch": 64, "input_len": 512, "weight_dtype": "int8", "kv_dtype": "int8",
}  # fmt: skip
ON_CHIP = "core.scratchpad.capacity"


def one_layer(result, repeat=16):
    """Times of the ops of one layer in the middle [us after its first input]."""
    ops = op_table(result.executions[0].execution)
    layer = ops[(ops["block"] == LAYER) & (ops["repeat"] == repeat)].copy()
    times = ["ready_s", "start_s", "end_s"]
    layer[times] = 1e6 * (layer[times] - layer["ready_s"].min())
    return layer


# 1. When the inputs of each op are there, when its first work begins, and when it ends. What begins
#    before its inputs are there is the transfer of weights or cache.
print(f"{MODEL}, a decode step of 64 sequences, 512 tokens in the cache; weights, cache int8")
for chip in CHIPS:
    print(f"\n{chip + ', one layer [us]':34}{'ready':>8}{'begins':>8}{'ends':>8}")
    for op in one_layer(accelsim.run(MODEL, chip, **STEP)).itertuples():
        print(f"  {op.name:32}{op.ready_s:8.1f}{op.start_s:8.1f}{op.end_s:8.1f}")

# 2. The whole step: one op after another (analytic), with what overlaps (event), where the critical
#    path lies, and how long the step would be if one resource were infinitely fast.
print(f"\nWhole step [ms]\n{'':22}" + "".join(f"{chip:>22}" for chip in CHIPS))
after = {chip: accelsim.run(MODEL, chip, engine="analytic", **STEP) for chip in CHIPS}
runs = {chip: accelsim.run(MODEL, chip, what_if=True, **STEP) for chip in CHIPS}
print(f"{'one after another':22}" + "".join(f"{after[c].latency_s * 1e3:22.3f}" for c in CHIPS))
print(f"{'with overlap':22}" + "".join(f"{runs[c].latency_s * 1e3:22.3f}" for c in CHIPS))
passes = {chip: runs[chip].executions[0] for chip in CHIPS}
paths = {chip: dict(passes[chip].execution.path) for chip in CHIPS}
print(f"{'resource':22}" + 2 * f"{'on path':>10}{'if infinite':>12}")
for name in ("memory", "shared", "matrix", "vector", "launch", "memory_latency"):
    line = f"  {name:20}"
    for chip in CHIPS:
        ideal_s = passes[chip].ideal_s.get(name)
        ideal = f"{ideal_s * 1e3:12.3f}" if ideal_s is not None else f"{'-':>12}"
        line += f"{paths[chip].get(name, 0) / 1e9:10.3f}{ideal}"
    print(line)

# 3. A counterfactual: what is fetched ahead has to lie somewhere. With half of the memory on the
#    chip less of it comes early, though each op alone takes as long as before.
print(f"\n{CHIPS[0]} with less memory on the chip")
print(f"{'':10}{'one after another [ms]':>24}{'with overlap [ms]':>20}{'fetched ahead':>16}")
for capacity in ("128 MiB", "64 MiB", "32 MiB", "16 MiB"):
    changed = {"overrides": {ON_CHIP: capacity}, **STEP}
    event = accelsim.run(MODEL, CHIPS[0], **changed)
    apart = accelsim.run(MODEL, CHIPS[0], engine="analytic", **changed)
    times = f"{apart.latency_s * 1e3:24.3f}{event.latency_s * 1e3:20.3f}"
    print(f"{capacity:10}{times}{event.fetched_ahead.share:16.0%}")

# 4. The short cuts: repeats are folded, and an op is cut into a few pieces. Both can be undone.
EXACT = {"as usual": Detail(), "not folded": Detail(fold=False), "768 pieces": Detail(pieces=768)}
print(f"\n{'Short cuts: time, work':25}" + "".join(f"{name:>24}" for name in EXACT))
for chip in CHIPS:
    target = Target(accelsim.load_system(chip))
    for phase in ("prefill", "decode"):
        options = PhaseOptions(phase, 4, 512, dtype="bf16", weight_dtype="int8")
        costed = cost_graph(
            build_graph(accelsim.load_model(MODEL), options), ENGINES["analytic"], target
        )
        run = EventRun(phase, costed, target)
        line = f"  {chip:10}{phase:13}"
        for detail in EXACT.values():
            done = run.execute(detail).execution
            line += f"{done.end_ps / 1e9:12.3f} ms{len(done.work):9,}"
        print(line)
