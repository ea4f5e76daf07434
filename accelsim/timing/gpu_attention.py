"""What a GPU runs beside the attention kernel: rotation, the cache's append, copies of heads."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.arch.chip import Chip
from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.gpu.attention import FLASH
from accelsim.mapping.attention import attention_library
from accelsim.workload.ops import Attention

# A kernel of a few microseconds: the gap before it, and one load after another.
_SMALL_KERNEL_WAITS = 1.0
# Kernels that a serving library launches beside attention, as many as the times of the smallest
# problems on H100 imply: for a prompt about four (tables of sequences, rotation with append,
# counters, clearing); for decode one, the rotation with append. Kernels that keep sums in a memory
# of their own (Blackwell) are also told tables of sequences, by one more, and their counters are
# cleared by another (TensorRT-LLM: xqaDispatcher.cpp; FlashInfer: trtllm_fmha_kernel_launcher.cu).
_PROMPT_KERNELS, _DECODE_KERNELS, _CLUSTER_DECODE_KERNELS = 4, 1, 3
# With FlashAttention, from the same on A100: the append, and one that prepares lengths.
_FLASH_KERNELS = 2
# Its append runs one block of up to 512 threads per token, each thread a chain of dependent
# accesses (slot, load, store) of seven latencies; a core holds 2048 threads.
_APPEND_THREADS, _CORE_THREADS, _APPEND_WAITS = 512, 2048, 7.0
# Rows of packed heads that are not already in order are copied before and after, by strided
# kernels at half of the memory's rate: each byte counts as two read and two written.
_COPY_TRAFFIC = 4.0


class Beside(NamedTuple):
    """Gaps and waits [s], transfers [s], and their traffic with the main memory [B]."""

    overhead_s: float
    transfer_s: float
    read_bytes: float
    write_bytes: float


NOTHING_BESIDE = Beside(0.0, 0.0, 0.0, 0.0)


def kernels_beside(op: Attention, chip: Chip, on_chip: bool) -> Beside:
    """Cost what serving libraries run around attention over a cache.

    Parameters
    ----------
    op : Attention
    chip : Chip
        A GPU.
    on_chip : bool
        Whether fresh activations are in the L2.

    Returns
    -------
    Beside
        `NOTHING_BESIDE` where the op is the kernel alone.
    """
    if not (op.served and op.cached):
        return NOTHING_BESIDE
    if attention_library(chip) == FLASH:
        return _flash(op, chip, on_chip)
    prompt = not op.is_decode
    decode = (
        _CLUSTER_DECODE_KERNELS if chip.spec.core.scratchpad.accumulator_bytes else _DECODE_KERNELS
    )
    kernels = _PROMPT_KERNELS if prompt else decode
    # Q, K and V are read, rotated, and written: Q in the arithmetic's type, K and V to the cache.
    width = find_dtype(op.dtype).bytes if prompt else _fresh_bytes(op)
    tokens = float(op.batch) * op.q_len
    queries = tokens * op.heads * op.head_dim
    fresh = queries + tokens * op.cache_elements_per_position
    moved = _transfer(
        chip, fresh * _fresh_bytes(op), queries * width, op.traffic.cache_write, on_chip
    )
    return moved._replace(overhead_s=kernels * _small_kernel_s(chip))


def _flash(op: Attention, chip: Chip, on_chip: bool) -> Beside:
    """Append of K and V, and copies of packed heads."""
    tokens = float(op.batch) * op.q_len
    fresh = tokens * op.cache_elements_per_position
    moved = _transfer(chip, fresh * _fresh_bytes(op), 0.0, op.traffic.cache_write, on_chip)
    scalars = chip.calibration
    width = op.kv_heads * op.head_dim
    waves = tokens * min(_APPEND_THREADS, width) / _CORE_THREADS / chip.spec.cores
    waiting = waves * _APPEND_WAITS * scalars.memory_latency_s - moved.transfer_s
    overhead = _FLASH_KERNELS * _small_kernel_s(chip) + max(0.0, waiting)
    if op.q_len > 1 or op.heads == op.kv_heads:
        return moved._replace(overhead_s=overhead)
    overhead += scalars.kernel_overhead_s  # of one more launch, to gather packed rows
    if op.kv_heads == 1 or op.batch == 1:
        return moved._replace(overhead_s=overhead)
    rows = tokens * op.heads * _fresh_bytes(op)
    copied = _COPY_TRAFFIC * rows * (op.head_dim + op.v_head_dim)
    copied_s = chip.transfers.seconds(copied, 0.0)
    return Beside(
        overhead + 2 * _small_kernel_s(chip),
        moved.transfer_s + copied_s,
        moved.read_bytes,
        moved.write_bytes,
    )


def _fresh_bytes(op: Attention) -> float:
    """Width of an activation before it is converted for 8-bit arithmetic [B]."""
    return max(2.0, find_dtype(op.dtype).bytes)


def _small_kernel_s(chip: Chip) -> float:
    scalars = chip.calibration
    return scalars.kernel_overhead_s + _SMALL_KERNEL_WAITS * scalars.memory_latency_s


def _transfer(
    chip: Chip, reads: float, writes: float, cache_writes: float, on_chip: bool
) -> Beside:
    """Move bytes from and to the main memory, or the L2, from which the cache is written back."""
    shared = chip.spec.shared
    if on_chip and shared is not None:
        rate = shared.bandwidth_bytes_per_s * chip.calibration.shared_efficiency
        moved_s = (reads + writes + cache_writes) / rate
        back_s = chip.transfers.seconds(0.0, cache_writes)
        return Beside(0.0, max(moved_s, back_s), 0.0, cache_writes)
    writes += cache_writes
    return Beside(0.0, chip.transfers.seconds(reads, writes), reads, writes)
