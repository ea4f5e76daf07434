"""A bounded memory of mappings, filled one by one or in bulk."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from accelsim.arch.chip import Chip
from accelsim.kernels.attention import AttentionProblem
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.machine import Machine
from accelsim.kernels.matmul import Problem

_Mapping = TypeVar("_Mapping")
_M = TypeVar("_M", Machine, Processor)
_P = TypeVar("_P", Problem, AttentionProblem)
Found = tuple[Sequence[int], Sequence[float], int]
"""Fields of a tiling, fields of its cost, and the candidates tried (0: none is legal)."""
_LIMIT = 200_000
BULK = 64
"""Problems from which a search runs on all threads. Fewer are searched one by one: starting
threads costs more than it saves, and a process that never started them can be forked."""


def search_each(
    machine: _M,
    problems: Sequence[_P],
    one: Callable[[_M, _P], Found],
    bulk: Callable[[_M, Sequence[_P]], Sequence[Found]],
) -> Sequence[Found]:
    """Search one by one, or from `BULK` problems on with the search that runs on all threads."""
    if len(problems) < BULK:
        return [one(machine, problem) for problem in problems]
    return bulk(machine, problems)


class Memo(Generic[_Mapping]):
    """Mappings by chip, dtype and problem; those of a chip go when the chip goes."""

    def __init__(self) -> None:
        self._by_chip: WeakKeyDictionary[Chip, dict[str, dict[Hashable, _Mapping]]] = (
            WeakKeyDictionary()
        )

    def fetch(
        self,
        chip: Chip,
        dtype: str,
        problems: Sequence[_P],
        search: Callable[[Chip, str, Sequence[_P]], tuple[_Mapping, ...]],
    ) -> tuple[_Mapping, ...]:
        """Return the mappings of `problems`, searching only for those not seen before."""
        known = self._by_chip.setdefault(chip, {}).setdefault(dtype, {})
        missing = [p for p in dict.fromkeys(problems) if p not in known]
        if not missing:
            return tuple([known[p] for p in problems])
        results = search(chip, dtype, missing)
        found: dict[Hashable, _Mapping] = dict(zip(missing, results, strict=True))
        known.update(found)
        answer = tuple([known[p] for p in problems])
        if len(known) > _LIMIT:
            known.clear()
            known.update(found)
        return answer
