"""Search for the mappings of many groups at once, on all threads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from accelsim.engine.core import Target
from accelsim.errors import MappingError
from accelsim.kernels.attention import AttentionProblem
from accelsim.kernels.matmul import Problem
from accelsim.mapping.attention import map_attentions_remembered
from accelsim.mapping.fusion import Group
from accelsim.mapping.matmul import MatmulMapping, map_remembered
from accelsim.timing.attention import attention_problem
from accelsim.timing.matmul import matmul_problem
from accelsim.workload.ops import Attention, GroupedMatMul, MatMul

_PLAIN = (MatMul, GroupedMatMul)


def map_groups(groups: Sequence[Group], target: Target) -> list[MatmulMapping | None]:
    """Map the matmuls among `groups`, and remember the mappings of attention.

    None stands for what is no matmul, and for what has to be handled, or refused, with its group:
    an emulated or unsupported dtype, or a problem that does not fit.
    """
    chip = target.system.chip
    matmuls: dict[str, dict[int, Problem]] = {}
    attentions: dict[str, list[AttentionProblem]] = {}
    for place, group in enumerate(groups):
        head = group.head
        if getattr(head, "dtype", "") not in chip.matrix_flop_per_cycle:
            continue
        if isinstance(head, _PLAIN):
            problem = matmul_problem(group, chip.matrix_unit(head.dtype))
            matmuls.setdefault(head.dtype, {})[place] = problem
        elif isinstance(head, Attention) and group.flop:
            stated = attention_problem(head, group.input_on_chip, chip.shared_bytes)
            attentions.setdefault(head.dtype, []).append(stated)
    found: list[MatmulMapping | None] = [None] * len(groups)
    with suppress(MappingError):
        for dtype, placed in matmuls.items():
            mappings = map_remembered(chip, dtype, list(placed.values()))
            for place, mapping in zip(placed, mappings, strict=True):
                found[place] = mapping
        for dtype, problems in attentions.items():
            map_attentions_remembered(chip, dtype, problems)
    return found
