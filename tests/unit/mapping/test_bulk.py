"""One by one, in bulk, before and after a fork: the same mappings."""

from __future__ import annotations

import multiprocessing

from accelsim.arch.loader import load_chip
from accelsim.kernels.attention import AttentionProblem
from accelsim.kernels.matmul import Problem
from accelsim.mapping.attention import map_attentions
from accelsim.mapping.matmul import map_matmuls
from accelsim.mapping.memo import BULK, Memo

CHIP = load_chip("a100_sxm_80gb")
MATMULS = [
    Problem(1, 1 + 37 * i, 64 + 61 * i, 128 + 13 * i, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0)
    for i in range(BULK + 8)
]
ATTENTIONS = [
    AttentionProblem(1 + i % 5, 1 + 7 * i, 64 + 9 * i, 1.0, 0, 1, 64 + 9 * i, 64, 64, 2.0, 2.0, 2.0,
                     128, 1.0, 1.0, i % 2)
    for i in range(BULK + 8)
]  # fmt: skip


def test_matmuls_in_bulk_are_those_one_by_one() -> None:
    assert map_matmuls(CHIP, "bf16", MATMULS) == tuple(
        map_matmuls(CHIP, "bf16", [problem])[0] for problem in MATMULS
    )


def test_attentions_in_bulk_are_those_one_by_one() -> None:
    assert map_attentions(CHIP, "bf16", ATTENTIONS) == tuple(
        map_attentions(CHIP, "bf16", [problem])[0] for problem in ATTENTIONS
    )


def test_no_problems_give_no_mappings() -> None:
    assert map_matmuls(CHIP, "bf16", []) == ()


def _candidates(index: int) -> int:
    return map_matmuls(CHIP, "bf16", [MATMULS[index]])[0].candidates


def test_a_new_process_maps_too() -> None:
    # Spawned, not forked: this process may have started threads (pytest runs other tests in it).
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_candidates, [0, 1]) == [_candidates(0), _candidates(1)]


def test_a_full_memory_forgets_only_after_it_has_answered(monkeypatch) -> None:
    monkeypatch.setattr("accelsim.mapping.memo._LIMIT", 2)
    memo: Memo = Memo()
    first = memo.fetch(CHIP, "bf16", MATMULS[:2], map_matmuls)
    # One is known, two are new and do not fit beside it: all three are answered.
    assert memo.fetch(CHIP, "bf16", MATMULS[1:4], map_matmuls)[0] == first[1]
