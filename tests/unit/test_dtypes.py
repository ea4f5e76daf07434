"""Number formats: widths, aliases and what may stand in for what."""

from __future__ import annotations

import pytest

from accelsim.dtypes import DTYPES, dtype
from accelsim.errors import WorkloadError

# Exponent and stored mantissa bits. fp8 stands for E4M3 and E5M2, fp6 for E2M3 and E3M2
# (OCP Microscaling Formats specification v1.0), so each has the larger of both.
FLOAT_BITS = {
    "fp64": (11, 52), "fp32": (8, 23), "tf32": (8, 10), "bf16": (8, 7), "fp16": (5, 10),
    "fp8": (5, 3), "fp6": (3, 3), "fp4": (2, 1),
}  # fmt: skip
INT_BITS = {"int32": 32, "int16": 16, "w8a16": 16, "int8": 8, "int4": 4}


@pytest.mark.parametrize(
    ("name", "element_bits", "block", "scale_bits"),
    [("mxfp8", 8, 32, 8), ("mxfp6", 6, 32, 8), ("mxfp4", 4, 32, 8), ("nvfp4", 4, 16, 8)],
)
def test_block_formats_count_their_scales(
    name: str, element_bits: int, block: int, scale_bits: int
) -> None:
    # OCP MX v1.0: an 8-bit scale per 32 elements; NVFP4: an E4M3 scale per 16.
    assert dtype(name).bits == element_bits + scale_bits / block


@pytest.mark.parametrize(("name", "width"), [("fp64", 8), ("tf32", 4), ("bf16", 2), ("int4", 0.5)])
def test_bytes_in_memory(name: str, width: float) -> None:
    assert dtype(name).bytes == width


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("float32", "fp32"),
        ("BFloat16", "bf16"),
        (" half ", "fp16"),
        ("e4m3", "fp8"),
        ("w8a8", "int8"),
    ],
)
def test_aliases(alias: str, name: str) -> None:
    assert dtype(alias).name == name


def test_names_are_their_own() -> None:
    assert all(dtype(name) is DTYPES[name] and d.name == name for name, d in DTYPES.items())


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(WorkloadError, match=r"unknown dtype 'fp9': did you mean .*'fp8'"):
        dtype("fp9")


def test_fallbacks_exist_and_differ() -> None:
    for name, entry in DTYPES.items():
        assert name not in entry.fallbacks
        assert set(entry.fallbacks) <= set(DTYPES)
        assert len(set(entry.fallbacks)) == len(entry.fallbacks)


def holds(stand_in: str, name: str) -> bool:
    """Whether every value of a plain format is a value of another."""
    exponent, mantissa = FLOAT_BITS[stand_in]
    if name in FLOAT_BITS:
        return exponent >= FLOAT_BITS[name][0] and mantissa >= FLOAT_BITS[name][1]
    # -2^(n-1) .. 2^(n-1)-1: n-1 significant bits, one of them implicit.
    return mantissa + 1 >= INT_BITS[name] - 1 and 2 ** (exponent - 1) - 1 >= INT_BITS[name] - 1


@pytest.mark.parametrize("name", [*FLOAT_BITS, *INT_BITS])
def test_a_fallback_of_a_plain_format_holds_every_value(name: str) -> None:
    # bf16 and fp16 trade range for precision: each is the other's last resort, not a superset.
    traded = {("bf16", "fp16"), ("fp16", "bf16")}
    assert all(DTYPES[a].fallbacks[-1] == b for a, b in traded)
    # Activations of w8a16 keep their width, its 8-bit weights their values.
    traded |= {("w8a16", "fp16"), ("w8a16", "bf16"), ("w8a16", "tf32")}
    assert all(holds(stand_in, "int8") for name, stand_in in traded if name == "w8a16")
    for stand_in in DTYPES[name].fallbacks:
        if (name, stand_in) in traded:
            continue
        if stand_in in INT_BITS:
            assert INT_BITS[stand_in] >= INT_BITS[name]
        else:
            assert holds(stand_in, name), f"{stand_in} does not hold every {name}"


@pytest.mark.parametrize(
    ("name", "bits"), [("int4-g128", 4.25), ("int4-g32", 5.0), ("INT8-g64", 8.5)]
)
def test_groups_of_integers_carry_their_scales(name: str, bits: float) -> None:
    found = dtype(name)
    assert (found.bits, found.kind) == (bits, "int")


@pytest.mark.parametrize("name", ["int4-g0", "int5-g128", "fp8-g32", "int4-g", "int4-g9999999"])
def test_other_groups_are_unknown(name: str) -> None:
    with pytest.raises(WorkloadError, match="unknown dtype"):
        dtype(name)
