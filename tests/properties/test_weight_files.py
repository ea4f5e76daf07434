"""Is every damaged file of weights either read or refused, quickly and within its own size?"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.functional.weights.opening import open_weights
from tests.unit.functional.weights.writer import SMALL_GGUF, SMALL_SAFETENSORS, Gguf, Tensor
from tests.unit.functional.weights.writer import safetensors as written

GGUF = SMALL_GGUF.bytes()
GGUF_HEADER = len(SMALL_GGUF.header())
SAFETENSORS_HEADER = 8 + int.from_bytes(SMALL_SAFETENSORS[:8], "little")
SEEDS = {"gguf": (GGUF, GGUF_HEADER), "safetensors": (SMALL_SAFETENSORS, SAFETENSORS_HEADER)}
MAXED = (b"\xff" * 4, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\0" * 8, b"\x01\0\0\0\0\0\0\x80")
MOST_BYTES = 256 * 1024
"""Of Python objects while a file of a kilobyte is read; a lying count would ask for gigabytes."""


def outcome(path: Path, data: bytes) -> str:
    """Open a file and read all of it: "read", or "refused" with the file's name in the message."""
    path.write_bytes(data)
    try:
        with open_weights(path) as file:
            for name, info in file.tensors.items():
                values = file.read(name)
                assert values.dtype == np.float32
                assert values.shape == info.shape
                assert info.bytes <= len(data)
    except WorkloadError as problem:
        assert path.name in str(problem)
        return "refused"
    return "read"


def outcome_and_memory(path: Path, data: bytes) -> tuple[str, int]:
    """Outcome, and the most memory that was taken on the way beyond what was held before [B]."""
    tracemalloc.reset_peak()
    before_bytes, _ = tracemalloc.get_traced_memory()
    found = outcome(path, data)
    return found, tracemalloc.get_traced_memory()[1] - before_bytes


def mutations(data: bytes, header: int) -> Iterator[bytes]:
    """Every byte of the header flipped, cut off there, and integers at it set to extremes."""
    for at in range(header):
        for flip in (0x01, 0x80, 0xFF):
            yield data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
        yield data[:at]
        extreme = MAXED[at % len(MAXED)]
        yield data[:at] + extreme + data[at + len(extreme) :]


@pytest.mark.parametrize("kind", SEEDS)
def test_every_mutation_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    data, header = SEEDS[kind]
    path = tmp_path / "damaged"
    assert outcome(path, data) == "read"
    counts = {"read": 0, "refused": 0}
    start_s = time.perf_counter()
    tracemalloc.start()
    try:
        for damaged in mutations(data, header):
            found, taken_bytes = outcome_and_memory(path, damaged)
            counts[found] += 1
            if taken_bytes >= MOST_BYTES:  # once, by a module that is loaded when it is needed
                assert outcome_and_memory(path, damaged)[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert sum(counts.values()) == 5 * header > 1000
    assert min(counts.values()) > 0.02 * header
    assert time.perf_counter() - start_s < 60  # a hang would take for ever


DAMAGE = st.lists(
    st.tuples(st.integers(0, 2**16), st.binary(min_size=0, max_size=9), st.integers(0, 9)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=DAMAGE)
def test_cuts_and_insertions(
    tmp_path: Path, kind: str, damage: list[tuple[int, bytes, int]]
) -> None:
    data, header = SEEDS[kind]
    for place, inserted, removed in damage:
        at = place % header
        data = data[:at] + inserted + data[at + removed :]
    outcome(tmp_path / "damaged", data)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=200), head=st.sampled_from((b"GGUF\x03\0\0\0", b"", b"{", b"\x10")))
def test_noise(tmp_path: Path, head: bytes, tail: bytes) -> None:
    outcome(tmp_path / "noise", head + tail)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_what_is_written_is_read(tmp_path: Path, shape: list[int], seed: int) -> None:
    count = int(np.prod(shape))
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    tensor = Tensor("w", tuple(reversed(shape)), 0, values.tobytes())
    fields = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * count]}
    for data in (Gguf(tensors=(tensor,)).bytes(), written({"w": fields}, values.tobytes())):
        path = tmp_path / "honest"
        path.write_bytes(data)
        with open_weights(path) as file:
            np.testing.assert_array_equal(file.read("w"), values)


def test_a_long_vocabulary_takes_little_more_than_its_file(tmp_path: Path) -> None:
    # The worst a count of short texts can do: each is an object, and their number is bounded.
    texts = Gguf(keys=(("k", "array", ("text", [""] * 100_000)),)).bytes()
    path = tmp_path / "texts"
    tracemalloc.start()
    try:
        assert outcome(path, texts) == "read"
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * len(texts)
