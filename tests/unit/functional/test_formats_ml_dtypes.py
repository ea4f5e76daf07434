"""Do codes and roundings equal those of ml_dtypes: every code, every tie, random bit patterns?"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from accelsim.formats import FORMATS
from accelsim.functional.formats import decode, encode, round_to

PEERS = {
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "fp8_e4m3": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "fp8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "fp6_e3m2": ml_dtypes.float6_e3m2fn,
    "fp6_e2m3": ml_dtypes.float6_e2m3fn,
    "fp4_e2m1": ml_dtypes.float4_e2m1fn,
    "ue8m0": ml_dtypes.float8_e8m0fnu,
}
WITH_ZERO = [name for name in PEERS if name != "ue8m0"]
BITS_OF = {1: np.uint8, 2: np.uint16, 4: np.uint32}
each = pytest.mark.parametrize("name", PEERS)


def all_codes(name: str) -> np.ndarray:
    bits = FORMATS[name].bits
    return np.arange(2**bits).astype(np.uint16 if bits > 8 else np.uint8)


def by_peer(values: np.ndarray, name: str) -> np.ndarray:
    """Codes as the peer gives them."""
    with np.errstate(all="ignore"):
        stored = values.astype(PEERS[name])
    return stored.view(BITS_OF[stored.dtype.itemsize])


def same(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal as bits, any NaN equal to any other."""
    return np.array_equal(ours.view(np.uint32), theirs.view(np.uint32)) or (
        np.array_equal(ours, theirs, equal_nan=True)
        and np.array_equal(np.signbit(ours)[ours == 0], np.signbit(theirs)[ours == 0])
    )


@each
def test_every_code_decodes_to_the_same_value(name: str) -> None:
    codes = all_codes(name)
    assert same(decode(codes, name), codes.view(PEERS[name]).astype(np.float32))


@each
def test_every_code_comes_back(name: str) -> None:
    codes = all_codes(name)
    values = decode(codes, name)
    numbers = ~np.isnan(values)
    assert np.array_equal(encode(values[numbers], name), codes[numbers])
    assert np.isnan(decode(encode(values[~numbers], name), name)).all()
    assert same(round_to(values, name), values)


def test_every_tie_goes_to_the_even_code_and_its_neighbours_to_theirs() -> None:
    for name in WITH_ZERO:
        known = FORMATS[name]
        values = np.array([known.magnitude(c) for c in range(known.max_code + 1)])
        middle = ((values[:-1] + values[1:]) / 2).astype(np.float32)
        lower = np.arange(known.max_code)
        even = lower + lower % 2
        below, above = np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))
        for sign in (1, -1):
            high = (1 << (known.bits - 1)) if sign < 0 else 0
            for x, code in ((middle, even), (below, lower), (above, lower + 1)):
                found = encode(sign * x, name)
                negative_zero = 0 if known.specials == "fnuz" else high
                wanted = np.where(code == 0, negative_zero, code + high)
                assert np.array_equal(found, wanted), (name, sign)
                assert np.array_equal(found, by_peer(sign * x, name)), (name, sign)


@pytest.mark.parametrize("name", WITH_ZERO)
def test_overflow_begins_half_a_step_above_the_largest_value(name: str) -> None:
    top, step = (
        FORMATS[name].max,
        FORMATS[name].max - FORMATS[name].magnitude(FORMATS[name].max_code - 1),
    )
    edge = np.float32(top + step / 2)
    x = np.array([np.nextafter(edge, np.float32(0)), edge, np.nextafter(edge, np.float32(np.inf))])
    both = np.concatenate([x, -x, [np.float32(np.inf), -np.float32(np.inf)]])
    assert np.array_equal(encode(both, name), by_peer(both, name))
    assert decode(encode(x[0], name), name) == top
    saturated = round_to(both, name, saturate=True)
    assert np.array_equal(np.abs(saturated), np.full(8, top, np.float32))


@each
def test_random_bit_patterns_encode_equal(name: str) -> None:
    bits = np.random.default_rng(4).integers(0, 2**32, 100_000, dtype=np.uint32)
    x = bits.view(np.float32)
    if name == "ue8m0":
        # ml_dtypes takes fp32 subnormals between 2^-127 and 2^-126 up, whatever is nearest.
        x = x[(x <= 0) | (x >= 2.0**-126) | np.isnan(x)]
    ours, theirs = encode(x, name), by_peer(x, name)
    differ = ours != theirs
    if name in ("fp16", "bf16"):  # payloads of NaN are a matter of taste
        differ &= ~np.isnan(x)
    assert not differ.any(), x[differ][:5]


@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2", "fp6_e3m2", "fp4_e2m1", "fp16"])
def test_float64_rounds_once(name: str) -> None:
    known = FORMATS[name]
    values = np.array([known.magnitude(c) for c in range(known.max_code + 1)])
    middle = (values[:-1] + values[1:]) / 2
    # Through float32 these are ties; straight they are not.
    assert np.array_equal(encode(middle * (1 + 2.0**-50), name), np.arange(1, known.max_code + 1))
    assert np.array_equal(encode(middle * (1 - 2.0**-50), name), np.arange(known.max_code))


def test_values_around_the_ends_of_ue8m0() -> None:
    x = np.array([2.0**-127, 2.0**-149, 1.5, 1.49, 1.7 * 2.0**127, 0.0, -1.0, np.nan, np.inf])
    assert encode(x, "ue8m0").tolist() == [0, 0, 128, 127, 255, 255, 255, 255, 255]
    saturated = encode(x, "ue8m0", saturate=True)
    assert saturated.tolist() == [0, 0, 128, 127, 254, 0, 0, 255, 254]


def test_all_values_of_int4_and_ue4m3() -> None:
    x = np.arange(-20, 20, 0.25)
    inside = np.clip(np.rint(x), -8, 7)
    assert np.array_equal(encode(x, "int4"), inside.astype(ml_dtypes.int4).astype(np.int8))
    codes = np.arange(256, dtype=np.uint8)
    unsigned = decode(codes, "ue4m3")
    assert np.array_equal(unsigned, np.abs(decode(codes, "fp8_e4m3")), equal_nan=True)
    assert np.array_equal(encode(unsigned[:127], "ue4m3"), codes[:127])
    assert encode([-1.0, -0.0, 1e9, np.nan], "ue4m3").tolist() == [127, 0, 127, 127]
