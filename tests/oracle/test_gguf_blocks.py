"""Does every decoder of GGUF blocks give what the format's own Python package gives?

The package, itself tested against the C code of ggml, is the slow twin here. Blocks are random
bytes, so their scales are of all sizes and signs, subnormal, infinite and NaN.
"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.functional.weights.storage import GGUF_TYPES, StorageType, decode

gguf = pytest.importorskip("gguf")

DECODED = {number: kind for number, kind in GGUF_TYPES.items() if kind.decoder is not None}
WITH_TWIN = {n: k for n, k in DECODED.items() if k.name not in ("I8", "I16", "I32", "I64", "F64")}


@pytest.mark.parametrize("number", DECODED, ids=lambda n: DECODED[n].name)
def test_the_layout_is_that_of_the_format(number: int) -> None:
    kind, known = DECODED[number], gguf.GGMLQuantizationType(number)
    assert kind.name == known.name
    assert (kind.block_elements, kind.block_bytes) == gguf.GGML_QUANT_SIZES[known]


def random_blocks(kind: StorageType, count: int) -> np.ndarray:
    rng = np.random.default_rng([kind.block_bytes, kind.block_elements])
    return rng.integers(0, 256, count * kind.block_bytes, dtype=np.uint8)


@pytest.mark.parametrize("number", WITH_TWIN, ids=lambda n: WITH_TWIN[n].name)
def test_random_blocks_decode_bit_for_bit(number: int) -> None:
    kind = WITH_TWIN[number]
    raw = random_blocks(kind, 3000)
    with np.errstate(all="ignore"):
        twin = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType(number)).reshape(-1)
    assert_same_bits(decode(kind, raw), twin)


def assert_same_bits(ours: np.ndarray, twin: np.ndarray) -> None:
    """Signs of zeros count, payloads of NaN do not."""
    assert ours.dtype == twin.dtype == np.float32
    number = ~np.isnan(twin)
    np.testing.assert_array_equal(np.isnan(ours), ~number)
    np.testing.assert_array_equal(ours[number].view(np.uint32), twin[number].view(np.uint32))


QUANTISED_HERE = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4")


@pytest.mark.parametrize("name", QUANTISED_HERE)
def test_ordinary_weights_survive_the_round_trip(name: str) -> None:
    number = next(n for n, kind in DECODED.items() if kind.name == name)
    weights = np.random.default_rng(5).normal(0, 0.05, 4096).astype(np.float32)
    raw = gguf.quants.quantize(weights, gguf.GGMLQuantizationType(number)).reshape(-1)
    error = np.sqrt(np.mean((decode(DECODED[number], raw) - weights) ** 2)) / weights.std()
    assert error < {"Q8_0": 0.01, "TQ1_0": 0.8, "TQ2_0": 0.8}.get(name, 0.15)
