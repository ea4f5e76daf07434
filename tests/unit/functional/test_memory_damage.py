"""Bit flips where values are stored: in codes, elements, scales, caches and accumulators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arithmetic import Chain, FusedSum, IntegerSum, MatrixArithmetic
from accelsim.errors import WorkloadError
from accelsim.formats import BlockFormat, find_format
from accelsim.functional.arithmetics import plain_arithmetic, resolve_arithmetic
from accelsim.functional.block_formats import quantize_blocks
from accelsim.functional.fault_plan import Target
from accelsim.functional.faults import FaultInjector, FaultPlan, FaultTally, Place
from accelsim.functional.formats import decode, encode, round_to
from accelsim.functional.linear import Linear, make_linear
from accelsim.functional.quant.codes import float_scales, quantize_integers
from accelsim.functional.quant.schemes import Scheme, parse_scheme
from accelsim.functional.quant.stored import NarrowWeights, WideWeights
from accelsim.functional.transformer.cache import KvCache, kept_as
from accelsim.functional.transformer.layers import Setting
from tests.unit.functional.transformer.tiny_models import CONFIGS, tiny

Floats = NDArray[np.float32]
N, K = 37, 70
CHAIN = MatrixArithmetic("bf16", Chain())
HOPPER = MatrixArithmetic("bf16", FusedSum(16, 25))
INT8 = MatrixArithmetic("int8", IntegerSum(), "int32")
SCALED = FusedSum(64, 35, group=16)


@dataclass(frozen=True)
class Case:
    """Weights in one form: the unit, the scheme by name, the format of the codes struck."""

    arithmetic: MatrixArithmetic
    scheme: str | None
    fmt: str


CASES = {
    "bf16": Case(CHAIN, None, "bf16"),
    "bf16 aligned": Case(HOPPER, None, "bf16"),
    "fp32": Case(MatrixArithmetic("fp32", Chain()), None, "fp32"),
    "fp16": Case(MatrixArithmetic("fp16", Chain()), None, "fp16"),
    "int8": Case(INT8, "int8", "int8"),
    "int4": Case(replace(INT8, operand="int4"), "int4", "int4"),
    "int8 alone": Case(CHAIN, "int8-weight", "int8"),
    "int4 narrow": Case(CHAIN, "int4-g32", "int4"),
    "int4 wide": Case(HOPPER, "int4-g32", "int4"),
    "int4 with zeros": Case(CHAIN, "int4-g16-asym", "int4"),
    "fp8": Case(MatrixArithmetic("fp8_e4m3", FusedSum(32, 13, 13)), "fp8", "fp8_e4m3"),
    "fp8 unsaid": Case(MatrixArithmetic("fp8_e4m3", FusedSum(32, 13, 13)), None, "fp8_e4m3"),
    "fp8_e5m2": Case(MatrixArithmetic("fp8_e5m2", FusedSum(32, 13, 13)), "fp8_e5m2", "fp8_e5m2"),
    "fp8 alone": Case(CHAIN, "fp8-weight", "fp8_e4m3"),
    "fp8 in groups": Case(HOPPER, "fp8-g16", "fp8_e4m3"),
    "mxfp8": Case(MatrixArithmetic("mxfp8_e4m3", SCALED), "mxfp8", "mxfp8_e4m3"),
    "mxfp8 unsaid": Case(MatrixArithmetic("mxfp8_e4m3", Chain()), None, "mxfp8_e4m3"),
    "nvfp4": Case(MatrixArithmetic("nvfp4", SCALED), "nvfp4", "nvfp4"),
    "mxfp4 alone": Case(CHAIN, "mxfp4-weight", "mxfp4"),
    "nvfp4 alone": Case(HOPPER, "nvfp4-weight", "nvfp4"),
}  # fmt: skip
BLOCKS = [name for name, case in CASES.items() if isinstance(find_format(case.fmt), BlockFormat)]


def weights() -> Floats:
    return np.random.default_rng(1).standard_normal((N, K)).astype(np.float32) * np.float32(0.05)


def activations() -> Floats:
    return np.random.default_rng(2).standard_normal((3, K)).astype(np.float32)


def scheme_of(case: Case) -> Scheme | None:
    return None if case.scheme is None else parse_scheme(case.scheme)


def made(case: Case, plan: FaultPlan | None = None) -> Linear:
    damage = None if plan is None else FaultInjector(plan)
    return make_linear(
        weights(), case.arithmetic, scheme=scheme_of(case), name="w", damage=damage
    )  # fmt: skip


def same(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    """Equal bit for bit, any NaN equal to any other."""
    both = np.isnan(found) & np.isnan(wanted)
    words = [np.where(both, np.float32(0), x).view(np.uint32) for x in (found, wanted)]
    return np.array_equal(*words)


def one_per_row(bits: int, name: str = "w", columns: int = K) -> tuple[Place, ...]:
    """Bit b of a value in row b: far enough apart for a word of memory each."""
    return tuple(Place("weights", name, b * columns + 3 * b % columns, b) for b in range(bits))


def struck(codes: NDArray[Any], places: tuple[Place, ...], fmt: str) -> NDArray[Any]:
    """Flip the bits of codes, by hand; integers are two's complement of their width."""
    out, bits = codes.copy(), find_format(fmt).bits
    for place in places:
        word = int(out.flat[place.index]) & ((1 << bits) - 1) ^ (1 << place.bit)
        if find_format(fmt).kind == "int" and word >> (bits - 1):
            word -= 1 << bits
        out.flat[place.index] = word
    return out


def expected(case: Case, places: tuple[Place, ...]) -> Floats:
    """Return the weights that struck codes stand for."""
    scheme = scheme_of(case)
    if scheme is None and find_format(case.fmt).bits > 8:
        return decode(struck(encode(weights(), case.fmt), places, case.fmt), case.fmt)
    of_weights = parse_scheme("fp8").weights if scheme is None else scheme.weights
    if find_format(case.fmt).kind == "int":
        held = quantize_integers(weights(), of_weights)
        values = replace(held, codes=struck(held.codes, places, case.fmt)).values()
    else:
        scales = float_scales(weights(), of_weights)
        wide = np.repeat(scales, of_weights.group or K, axis=1)[:, :K]
        codes = encode(round_to(weights() / wide, case.fmt, saturate=True), case.fmt)
        values = decode(struck(codes, places, case.fmt), case.fmt) * wide
    alone = scheme is not None and scheme.activations is None
    return round_to(values, "bf16") if alone else values


@pytest.mark.parametrize("name", [name for name in CASES if name not in BLOCKS])
def test_a_flip_changes_its_weight_to_what_the_code_then_means(name: str) -> None:
    case = CASES[name]
    bits = find_format(case.fmt).bits
    places = one_per_row(bits)
    clean, hit = made(case), made(case, FaultPlan(places=places))
    assert same(clean.weight_values(), expected(case, ()))
    assert same(hit.weight_values(), expected(case, places))
    changed = hit.weight_values().view(np.uint32) != clean.weight_values().view(np.uint32)
    assert set(np.flatnonzero(changed)) <= {place.index for place in places}
    assert changed.sum() >= bits - 1  # the sign of a zero may go unseen
    # Rows of weights that were not struck multiply as before.
    x = activations()
    assert same(hit(x)[:, bits:], clean(x)[:, bits:])
    assert not same(hit(x)[:, :bits], clean(x)[:, :bits])


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("part", ["elements", "scales"])
def test_block_formats_are_struck_in_elements_and_scales(name: str, part: str) -> None:
    case = CASES[name]
    known = find_format(case.fmt)
    assert isinstance(known, BlockFormat)
    held = quantize_blocks(weights(), known)
    stored = known.element if part == "elements" else known.scale
    codes = held.codes if part == "elements" else held.scale_codes
    # An ue4m3 has no sign: its byte's highest bit is padding.
    places = one_per_row(stored.bits, f"w.{part}", codes.shape[1])
    hit = codes.copy()
    for place in places:
        hit.flat[place.index] ^= np.uint8(1 << place.bit)
    fields = {"codes": hit} if part == "elements" else {"scale_codes": hit}
    wanted = replace(held, **fields).values()
    if case.scheme is not None and case.scheme.endswith("weight"):
        wanted = round_to(wanted, "bf16")
    found = made(case, FaultPlan(places=places))
    assert np.allclose(found.weight_values(), wanted, rtol=1e-6, atol=0, equal_nan=True)
    clean = made(case)
    touched = np.flatnonzero((found.weight_values() != clean.weight_values()).any(axis=1))
    assert set(touched) <= set(range(stored.bits))
    assert len(touched) >= stored.bits - 1
    x = activations()
    assert same(found(x)[:, stored.bits :], clean(x)[:, stored.bits :])


@pytest.mark.parametrize("name", ["mxfp8", "mxfp4 alone"])
def test_a_scale_that_becomes_no_number_takes_its_block_along(name: str) -> None:
    case = CASES[name]
    scale = int(quantize_blocks(weights(), case.fmt).scale_codes[4, 1])
    places = tuple(
        Place("weights", "w.scales", 4 * 3 + 1, bit) for bit in range(8) if not scale >> bit & 1
    )
    hit, x = made(case, FaultPlan(places=places)), activations()
    bad = np.isnan(hit.weight_values())
    assert bad[4, 32:64].all()
    assert bad.sum() == 32
    assert np.isnan(hit(x)[:, 4]).all()
    assert np.isfinite(np.delete(hit(x), 4, axis=1)).all()


def test_narrow_and_wide_paths_read_the_same_struck_codes() -> None:
    plan = FaultPlan(rate_per_bit=0.01, seed=4)
    narrow, wide = made(CASES["int4 narrow"], plan), made(CASES["int4 wide"], plan)
    assert isinstance(narrow.weights, NarrowWeights)
    assert isinstance(wide.weights, WideWeights)
    assert same(narrow.weight_values(), wide.weight_values())
    x = np.repeat(activations(), 5, axis=0)
    assert same(narrow(x)[:1], narrow(x[:1]))


@pytest.mark.parametrize("name", list(CASES))
def test_memory_that_keeps_everything_changes_no_bit(name: str) -> None:
    case, x = CASES[name], activations()
    clean = made(case)
    for plan in (FaultPlan(), FaultPlan(rate_per_bit=0.5, targets=("kv",))):
        kept = made(case, plan)
        assert same(kept.weight_values(), clean.weight_values())
        assert same(kept(x), clean(x))
        assert type(kept.weights) is type(clean.weights)


@pytest.mark.parametrize("name", list(CASES))
def test_a_seed_is_its_flips(name: str) -> None:
    case, x = CASES[name], activations()
    first, again, other = (
        made(case, FaultPlan(rate_per_bit=2e-3, seed=seed))(x) for seed in (5, 5, 6)
    )
    assert same(first, again)
    assert not same(first, other)
    assert not same(first, made(case)(x))


@pytest.mark.parametrize("name", list(CASES))
def test_error_correction_mends_single_flips(name: str) -> None:
    case, x = CASES[name], activations()
    known = find_format(case.fmt)
    if isinstance(known, BlockFormat):
        places = one_per_row(known.element.bits, "w.elements")
    else:
        places = one_per_row(known.bits)
    injector = FaultInjector(FaultPlan(places=places, ecc="secded"))
    linear = make_linear(
        weights(), case.arithmetic, scheme=scheme_of(case), name="w", damage=injector
    )  # fmt: skip
    assert same(linear(x), made(case)(x))
    flips = len(places)
    assert injector.tally["weights"] == FaultTally(flips=flips, corrected=flips)


def test_a_bit_that_the_stored_code_has_not_is_refused() -> None:
    for name, bits in (("int4 narrow", 4), ("fp8", 8), ("bf16", 16)):
        place = Place("weights", "w", 0, bits)
        with pytest.raises(WorkloadError, match=f"values of {bits} bits"):
            made(CASES[name], FaultPlan(places=(place,)))


def _scaled(x: Floats, fmt: str) -> tuple[NDArray[Any], Floats | float]:
    """Return codes of a cache [..., head_dim] and what they are multiplied by."""
    if find_format(fmt).bits > 8:
        return encode(x, fmt), 1.0
    scale = np.abs(x).max(axis=-1, keepdims=True) / np.float32(find_format(fmt).max)
    return encode(x / scale, fmt, saturate=True), scale


@pytest.mark.parametrize("fmt", ["fp32", "bf16", "int8", "fp8_e4m3", "int4"])
def test_cached_keys_are_struck_as_they_are_stored(fmt: str) -> None:
    keys, values = np.random.default_rng(3).standard_normal((2, 2, 4, 32), dtype=np.float32)
    bits = find_format(fmt).bits
    places = tuple(Place("kv", "blk.1.k", 7 * b, b, 5) for b in range(bits))
    cache = KvCache((2, 2, 32, 32), 70, fmt, FaultInjector(FaultPlan(places=places)))
    for step in (0, 5):
        cache.length = step
        held = cache.append(1, keys, values)
        codes, scale = _scaled(keys, fmt)
        hit = struck(codes, places if step else (), fmt)
        wanted = np.asarray(decode(hit, fmt) * scale, dtype=np.float32)
        assert same(np.ascontiguousarray(held[0][:, step:]), wanted)
        assert same(np.ascontiguousarray(held[1][:, step:]), kept_as(values, fmt))


def test_cached_blocks_are_struck_in_elements_and_scales() -> None:
    keys = np.random.default_rng(3).standard_normal((2, 4, 32), dtype=np.float32)
    held = quantize_blocks(keys, "mxfp8_e4m3")
    places = (Place("kv", "blk.0.k.elements", 33, 6), Place("kv", "blk.0.k.scales", 5, 1))
    cache = KvCache((1, 2, 32, 32), 9, "mxfp8", FaultInjector(FaultPlan(places=places)))
    codes, scales = held.codes.copy(), held.scale_codes.copy()
    codes.flat[33] ^= 1 << 6
    scales.flat[5] ^= 1 << 1
    found, untouched = cache.append(0, keys, keys)
    assert same(found, replace(held, codes=codes, scale_codes=scales).values())
    assert same(untouched, held.values())


TOKENS = [3, 30, 0, 7]
FP32 = plain_arithmetic("fp32")


def _shown(plan: FaultPlan | None, name: str = "llama") -> tuple[Floats, dict[str, Floats]]:
    seen: dict[str, Floats] = {}
    injector = None if plan is None else FaultInjector(plan)
    model = tiny(CONFIGS[name])
    logits = model.logits(TOKENS, Setting(FP32, faults=injector, observe=seen.__setitem__))
    return logits, seen


@pytest.mark.parametrize("bit", [0, 22, 23, 31])
def test_a_flipped_sum_is_that_sum_with_one_bit_changed(bit: int) -> None:
    _, clean = _shown(None)
    _, hit = _shown(FaultPlan(places=(Place("accumulators", "blk.0.ffn_up", 41, bit),)))
    wanted = clean["blk.0.ffn_up"].copy()
    wanted.view(np.uint32).flat[41] ^= np.uint32(1 << bit)
    assert same(hit["blk.0.ffn_up"], wanted)
    for op in ("attn_norm", "attn", "ffn_gate"):
        assert same(hit[f"blk.0.{op}"], clean[f"blk.0.{op}"])
    rows = np.flatnonzero((hit["blk.0.ffn_act"] != clean["blk.0.ffn_act"]).any(axis=1))
    assert rows.tolist() in ([1], [])  # the last bit may be rounded away


@pytest.mark.parametrize("name", ["llama", "like gpt-oss", "like deepseek", "tied"])
def test_models_are_struck_the_same_for_the_same_seed(name: str) -> None:
    runs = [_shown(FaultPlan(rate_per_bit=3e-5, seed=seed, bits="fraction"), name)[0]
            for seed in (1, 1, 2)]  # fmt: skip
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])
    assert same(_shown(FaultPlan(), name)[0], _shown(None, name)[0])


PLACES: dict[str, Callable[[], tuple[Place, ...]]] = {
    "weights": lambda: (Place("weights", "blk.1.ffn_down", 3, 30),),
    "experts": lambda: tuple(
        Place("weights", f"blk.1.ffn_up_exps.{expert}", 3, 30) for expert in range(5)
    ),
    "kv": lambda: (Place("kv", "blk.0.v", 3, 30),),
    "latent": lambda: (Place("kv", "blk.0.k", 3, 30),),
}


@pytest.mark.parametrize(
    ("what", "name"),
    [("weights", "llama"), ("experts", "experts"), ("kv", "llama"), ("latent", "latent")],
)
def test_error_correction_in_a_model(what: str, name: str) -> None:
    places = PLACES[what]()
    target: Target = "kv" if what in ("kv", "latent") else "weights"
    injector = FaultInjector(FaultPlan(places=places, ecc="secded"))
    clean = _shown(None, name)[0]
    logits = tiny(CONFIGS[name]).logits(TOKENS, Setting(FP32, faults=injector))
    assert same(logits, clean)
    assert injector.tally[target].corrected > 0
    assert not same(_shown(FaultPlan(places=places), name)[0], clean)


def test_a_quantised_model_with_flips_is_the_same_in_every_run() -> None:
    arithmetic = resolve_arithmetic("bf16", kv_dtype="int8")
    setting = [
        Setting(arithmetic, parse_scheme("int4-g16"), faults=FaultInjector(FaultPlan(1e-4, seed=8)))
        for _ in range(2)
    ]
    first, second = (tiny().logits(TOKENS, given) for given in setting)
    assert same(first, second)
    assert setting[0].faults.tally == setting[1].faults.tally  # type: ignore[union-attr]
