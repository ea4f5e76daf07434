"""Do packed codes lie where the docs say, and come back?"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.packing import pack, unpack


def test_the_even_index_is_in_the_low_nibble() -> None:
    assert pack(np.array([1, 2, 15], np.uint8), "fp4").tolist() == [0x21, 0x0F]
    assert pack([-1, 7], "int4").tolist() == [0x7F]


def test_four_codes_of_6_bits_are_three_bytes() -> None:
    codes = np.array([0x3F, 0x01, 0x20, 0x15], np.uint8)
    word = 0x3F | 0x01 << 6 | 0x20 << 12 | 0x15 << 18
    assert pack(codes, "fp6").tolist() == list(word.to_bytes(3, "little"))


@pytest.mark.parametrize("name", ["fp4", "int4", "fp6_e3m2", "fp6_e2m3"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 33])
def test_codes_come_back(name: str, count: int) -> None:
    bits = 6 if "6" in name else 4
    low = -8 if name == "int4" else 0
    rng = np.random.default_rng(count)
    codes = rng.integers(low, low + 2**bits, (2, 3, count)).astype(np.int8)
    packed = pack(codes, name)
    assert packed.shape == (2, 3, -(-count * bits // 8))
    assert np.array_equal(unpack(packed, name, count), codes)
    assert unpack(pack(codes[:0], name), name, count).shape == (0, 3, count)
    assert np.array_equal(pack(codes.transpose(1, 0, 2), name), packed.transpose(1, 0, 2))


def test_nonsense_is_refused() -> None:
    with pytest.raises(WorkloadError, match="bf16 has 16 bits: only codes of 4 and 6"):
        pack([1], "bf16")
    with pytest.raises(WorkloadError, match="codes go from 1 to 16, but those of fp4_e2m1"):
        pack([1, 16], "fp4")
    with pytest.raises(WorkloadError, match="expected an array of integers"):
        pack([1.0], "fp4")
    with pytest.raises(WorkloadError, match="5 of fp4_e2m1 are uint8 with a last axis of 3"):
        unpack(np.zeros(2, np.uint8), "fp4", 5)
