"""Weights stay prepared as long as there is room for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.arithmetic import Chain, MatrixArithmetic
from accelsim.functional.arithmetics import plain_arithmetic
from accelsim.functional.faults import FaultInjector, FaultPlan
from accelsim.functional.linear import Linear, make_linear
from accelsim.functional.transformer import layers, weight_memory
from accelsim.functional.transformer.layers import Setting
from accelsim.functional.transformer.weight_memory import WeightMemory
from tests.unit.functional.transformer.tiny_models import CONFIGS, Table, tiny

Patch = pytest.MonkeyPatch
TOKENS = [3, 30, 0, 7, 12, 5, 36]


def _linear(n: int = 64) -> Linear:
    return make_linear(np.ones((n, 64), np.float32), MatrixArithmetic("fp32", Chain()))


def test_what_was_used_longest_ago_goes_first() -> None:
    made: list[str] = []

    def get(key: str, n: int = 64) -> None:
        memory.expert(key, lambda: (made.append(key), _linear(n))[1])

    size = _linear().stored_bytes
    memory = WeightMemory(3 * size)
    for key in "abca":
        get(key)
    assert ("".join(made), memory.held_bytes) == ("abc", 3 * size)
    get("d")  # in the place of b
    for key in "acd":
        get(key)
    assert ("".join(made), memory.held_bytes) == ("abcd", 3 * size)
    get("b")
    assert "".join(made) == "abcdb"
    get("large", 640)  # more than there is room for: alone
    assert memory.held_bytes == _linear(640).stored_bytes


def test_the_first_weights_of_layers_stay() -> None:
    size, made = _linear().stored_bytes, []
    memory = WeightMemory(2.5 * size)
    for _ in range(3):
        for key in "abcd":
            memory.layer(key, lambda key=key: (made.append(key), _linear())[1])
    assert "".join(made) == "abcdcdcd"
    assert (memory.held_bytes, memory.is_full) == (2 * size, True)


def test_the_limit_is_a_share_of_what_there_is(tmp_path: Path, monkeypatch: Patch) -> None:
    whole = weight_memory.weight_limit_bytes()
    assert 10**8 < whole < 10**14
    monkeypatch.setattr(weight_memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(weight_memory, "_OWN_GROUPS", tmp_path / "own")
    (tmp_path / "own").write_text("9:name=systemd:/x\n7:memory:/job/step\n0::/user/one\n")
    for place in ("memory.max", "memory/job/step/memory.limit_in_bytes", "user/memory.max"):
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        for text, wanted in (("1000000", 600_000), ("max\n", None), ("", None)):
            file.write_text(text)
            found = weight_memory.weight_limit_bytes()
            assert found == wanted if wanted else found >= whole


class Counted(Table):
    """Weights that count what is read."""

    reads = 0

    def read(self, name: str) -> Any:
        self.reads += 1
        return super().read(name)

    def rows(self, name: str, ids: Any) -> Any:
        self.reads += "_exps" in name
        return super().rows(name, ids)


@pytest.mark.parametrize("config", ["experts", "llama"])
@pytest.mark.parametrize("faulty", [False, True])
def test_little_room_gives_the_same_bits(monkeypatch: Patch, faulty: bool, config: str) -> None:
    answers, reads, tallies = [], [], []
    for limit in (10**9, 1):
        monkeypatch.setattr(layers, "weight_limit_bytes", lambda limit=limit: limit)
        model = tiny(CONFIGS[config])
        model.weights = Counted(model.weights.shapes)
        faults = FaultInjector(FaultPlan(1e-4, bits="fraction")) if faulty else None
        session = model.session(Setting(plain_arithmetic("fp32"), faults=faults))
        answers.append(b"".join(session.logits([token]).tobytes() for token in TOKENS))
        reads.append(model.weights.reads)
        tallies.append(faults and faults.tally)
    assert answers[0] == answers[1]
    assert reads[1] > 2 * reads[0]
    assert tallies[0] == tallies[1]
    assert not faulty or tallies[0]["weights"].flips > 0
