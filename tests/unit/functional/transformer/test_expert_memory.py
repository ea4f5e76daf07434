"""Experts stay prepared as long as there is room for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.arithmetic import Chain, MatrixArithmetic
from accelsim.functional.arithmetics import plain_arithmetic
from accelsim.functional.linear import Linear, make_linear
from accelsim.functional.transformer import layers
from accelsim.functional.transformer.expert_memory import ExpertMemory
from accelsim.functional.transformer.layers import Setting
from tests.unit.functional.transformer.test_layers import Damage
from tests.unit.functional.transformer.tiny_models import CONFIGS, Table, tiny

TOKENS = [3, 30, 0, 7, 12, 5, 36]


def _linear(n: int = 64) -> Linear:
    return make_linear(np.ones((n, 64), np.float32), MatrixArithmetic("fp32", Chain()))


def test_what_was_used_longest_ago_goes_first() -> None:
    made: list[str] = []

    def get(key: str, n: int = 64) -> None:
        memory.get(key, lambda: (made.append(key), _linear(n))[1])

    size = _linear().stored_bytes
    memory = ExpertMemory(3 * size)
    for key in "abca":
        get(key)
    assert ("".join(made), len(memory), memory.held_bytes) == ("abc", 3, 3 * size)
    get("d")  # in the place of b
    for key in "acd":
        get(key)
    assert ("".join(made), memory.held_bytes) == ("abcd", 3 * size)
    get("b")
    assert "".join(made) == "abcdb"
    get("large", 640)  # more than there is room for: alone
    assert (len(memory), memory.held_bytes) == (1, _linear(640).stored_bytes)


class Counted(Table):
    """Weights that count what is read of experts."""

    read_experts = 0

    def rows(self, name: str, ids: Any) -> Any:
        self.read_experts += "_exps" in name
        return super().rows(name, ids)


@pytest.mark.parametrize("faulty", [False, True])
def test_little_room_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, faulty: bool) -> None:
    wanted = tiny(CONFIGS["experts"]).logits(TOKENS)
    reads = []
    for limit in (10**9, 1):
        monkeypatch.setattr(layers, "EXPERT_MEMORY_BYTES", limit)
        model = tiny(CONFIGS["experts"])
        model.weights = Counted(model.weights.shapes)
        faults = Damage() if faulty else None
        setting = Setting(plain_arithmetic("fp32"), faults=faults)
        session = model.session(setting)
        for token in TOKENS:
            last = session.logits([token])
        if not faulty:
            assert np.array_equal(last[0], wanted[-1])
        reads.append(model.weights.read_experts)
    # What a fault struck is counted once, so with faults nothing is read again.
    assert reads[0] <= 30
    assert reads[1] == reads[0] if faulty else reads[1] > 2 * reads[0]
