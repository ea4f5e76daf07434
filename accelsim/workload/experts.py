"""How serving libraries bring tokens to the experts they chose: the kernels before the matmuls."""

from __future__ import annotations

from math import ceil

_MOST_OF_ONE_BLOCK = 256
"""Tokens up to which one block of threads sorts all choices (CUTLASS kernels of TensorRT-LLM)."""
SORTED_TOGETHER = 256
"""Choices that one block of threads counts or places."""


def sort_kernels(tokens: int) -> tuple[str, ...]:
    """Names of the kernels that sort choices by expert, in order.

    Notes
    -----
    One block places the choices of few tokens. For more, a kernel counts them by block and
    expert, one sums the counts, and one places. Not counted: one that writes problem sizes for the
    grouped matmuls, as it can run beside the permute (dependent launches).

    References
    ----------
    TensorRT-LLM, fused MoE with CUTLASS back end (github.com/NVIDIA/TensorRT-LLM).
    """
    if tokens <= _MOST_OF_ONE_BLOCK:
        return ("moe.sort",)
    return ("moe.count", "moe.offsets", "moe.sort")


def sort_shape(tokens: int, topk: int) -> tuple[int, int]:
    """Rows and columns of the choices that one of those kernels passes over."""
    choices = tokens * topk
    return ceil(choices / SORTED_TOGETHER), min(choices, SORTED_TOGETHER)
