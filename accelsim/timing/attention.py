"""Time of attention: fused (online softmax) from its mapping, unfused as three kernels."""

from __future__ import annotations

from accelsim.arch.chip import Chip
from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.attention import AttentionProblem
from accelsim.mapping.attention import AttentionMapping, map_attention
from accelsim.mapping.fusion import Group
from accelsim.mapping.processor import runs_thread_blocks
from accelsim.results.costs import Activity
from accelsim.timing.circle import share_gone
from accelsim.timing.gpu_attention import NOTHING_BESIDE, kernels_beside
from accelsim.workload.ops import Attention, MatMul, Op, Vector


def attention_problem(
    op: Attention, activations_on_chip: bool, shared_bytes: float = 0.0
) -> AttentionProblem:
    """State fused attention to the search; query heads of a KV head are packed into rows.

    A cache that is replayed is found in the `shared_bytes` of the chip's L2 as far as it fits [B].
    """
    share = op.heads // op.kv_heads
    traffic = op.traffic
    cached = traffic.cache_read
    visible = op.visible_kv_len
    fresh_keys = min(op.q_len, visible) if op.cached else visible
    fresh = op.batch * op.cache_elements_per_position * fresh_keys * find_dtype(op.dtype).bytes
    gone = 1.0
    if op.replayed and shared_bytes > 0.0:
        gone = share_gone(traffic.total, shared_bytes)
    from_dram = cached * gone + (0.0 if activations_on_chip else fresh)
    return AttentionProblem(
        tasks=op.batch * op.kv_heads,
        rows=op.q_len * share,
        kv_len=visible,
        density=min(1.0, op.pairs / (op.q_len * visible)),
        masked=int((op.causal or op.window is not None) and op.q_len > 1),
        share=share,
        span=visible if op.window is None else min(op.window, visible),
        head_dim=op.head_dim,
        v_head_dim=op.v_head_dim,
        q_bytes=find_dtype(op.dtype).bytes,
        # Fresh keys arrive in the arithmetic's dtype, older ones in the cache's: the mean.
        kv_bytes=(cached + fresh) / (op.batch * op.cache_elements_per_position * visible),
        o_bytes=find_dtype(op.dtype).bytes,
        kv_elements=op.cache_elements_per_position // op.kv_heads,
        activations_dram=0.0 if activations_on_chip else 1.0,
        kv_dram_share=min(1.0, from_dram / (cached + fresh)),
        decode=int(op.is_decode),
    )


def attention_times(
    group: Group, chip: Chip, dtype: str
) -> tuple[dict[str, float], float, Activity, AttentionMapping]:
    """Times by resource [s], latency without launch overhead [s], activity and mapping."""
    op = group.head
    if not isinstance(op, Attention):
        raise TypeError(f"{op.name} is not attention")
    mapping = map_attention(
        chip, dtype, attention_problem(op, group.input_on_chip, chip.shared_bytes)
    )
    cost = mapping.cost
    # The search lets the result follow its inputs; one that is kept is written all the same.
    kept = op.traffic.outputs if group.input_on_chip and not group.output_on_chip else 0.0
    around = NOTHING_BESIDE
    if runs_thread_blocks(chip):
        around = kernels_beside(op, chip, group.input_on_chip)
    # Where the append to the cache is a kernel of its own, that one is charged for it.
    written = kept + (op.traffic.cache_write if around == NOTHING_BESIDE else 0.0)
    memory_s = cost.dram_s + chip.transfers.seconds(0.0, written)
    times = {
        "compute": cost.compute_s,
        "special": cost.special_s,
        "l2": cost.shared_s,
        "memory": memory_s + around.transfer_s,
        "overhead": around.overhead_s,
    }
    activity = Activity(
        macs={dtype: group.flop / 2},
        vector_flop=group.vector_flop,
        special=group.special,
        dram_read_bytes=cost.dram_read_bytes + around.read_bytes,
        dram_write_bytes=cost.dram_write_bytes + written + around.write_bytes,
        shared_bytes=cost.shared_bytes,
        scratchpad_bytes=cost.scratch_bytes,
    )
    latency_s = max(cost.latency_s, memory_s + chip.calibration.memory_latency_s)
    latency_s += around.overhead_s + around.transfer_s
    return times, latency_s, activity, mapping


def unfused_ops(op: Attention) -> tuple[Op, ...]:
    """Split attention into scores, softmax and weighted sum, each a kernel of its own.

    Notes
    -----
    The scores of all query-key pairs, masked or not, are written and read again. FLOP are
    counted for whole tiles, as an unfused kernel computes them; useful are those that `op` has.
    K and V come from the main memory, in the cache's dtype, where any of them were cached;
    appending to the cache is left to the kernel that produced them.
    """
    share = op.heads // op.kv_heads
    rows, keys = op.q_len * share, op.visible_kv_len
    groups = op.batch * op.kv_heads
    names = (f"{op.name}.scores", f"{op.name}.softmax", f"{op.name}.values")
    stored = op.kv_dtype if op.traffic.cache_read else None
    whole_tiles = 2.0 * groups * rows * keys * (op.head_dim + op.v_head_dim)
    useful = op.useful * op.flop / whole_tiles
    scores = MatMul(names[0], after=op.after, batch=groups, m=rows, n=keys, k=op.head_dim,
                    dtype=op.dtype, weight_dtype=stored, owns_parameters=False,
                    recalled=op.recalled, useful=useful)  # fmt: skip
    softmax = Vector(names[1], fn="softmax", rows=groups * rows, cols=keys, dtype=op.dtype)
    values = MatMul(names[2], batch=groups, m=rows, n=op.v_head_dim, k=keys, dtype=op.dtype,
                    weight_dtype=stored, owns_parameters=False, kept=op.kept,
                    useful=useful)  # fmt: skip
    return scores, softmax, values
