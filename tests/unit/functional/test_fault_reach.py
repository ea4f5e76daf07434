"""Do flips reach every array of a model, and do they do what the same flips by hand do?"""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arithmetic import Arithmetic, IntegerSum, MatrixArithmetic
from accelsim.errors import WorkloadError
from accelsim.formats import find_format
from accelsim.functional.arithmetics import plain_arithmetic, resolve_arithmetic
from accelsim.functional.fault_places import check_plan, struck_arrays
from accelsim.functional.fault_plan import TARGETS, Target
from accelsim.functional.faults import FaultInjector, FaultPlan, Place
from accelsim.functional.formats import code_dtype, decode, encode
from accelsim.functional.linear import make_linear
from accelsim.functional.quant.codes import quantize_integers
from accelsim.functional.quant.schemes import Scheme, parse_scheme
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.layers import Setting
from accelsim.functional.transformer.spec import Spec
from accelsim.workload.config import ModelConfig
from accelsim.workload.models import load_model
from tests.unit.functional.transformer.tiny_models import (
    CONFIGS,
    LLAMA,
    WIDTH,
    Table,
    tiny,
    tiny_encoder,
)

Floats = NDArray[np.float32]
FP32 = plain_arithmetic("fp32")
BF16 = plain_arithmetic("bf16")
INT8 = MatrixArithmetic("int8", IntegerSum(), "int32")
TOKENS = [3, 30, 0, 7]
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "faults.md").read_text("utf-8")


def all_experts(config: ModelConfig) -> ModelConfig:
    """Send every token to every expert, so that each is met."""
    moe = config.moe
    if moe is None:
        return config
    routing = replace(moe.routing, n_groups=1, topk_groups=1)
    return replace(config, moe=replace(moe, topk=moe.n_experts, routing=routing))


FORMS: dict[str, tuple[Arithmetic, Scheme | None]] = {
    "fp32": (FP32, None),
    "bf16": (BF16, None),
    "int8": (replace(BF16, linear=INT8, kv="int8"), parse_scheme("int8")),
    "int4 alone": (replace(BF16, kv="fp8_e4m3"), parse_scheme("int4-g16")),
    "integers alone": (Arithmetic("int8", INT8, INT8, stored="bf16", kv="int8"), None),
}
MODELS = ["tied", "gpt2", "like deepseek"]
CASES = [(name, "fp32") for name in [*CONFIGS, "bert"]] + [
    (name, form) for name in MODELS for form in FORMS if form != "fp32"
]


@pytest.mark.parametrize(("name", "form"), CASES)
def test_every_array_is_struck_once_and_is_listed(name: str, form: str) -> None:
    model = tiny_encoder() if name == "bert" else tiny(all_experts(CONFIGS[name]))
    arithmetic, scheme = FORMS[form]
    injector = FaultInjector(FaultPlan(1.0, bits="sign", max_events=10**6))
    setting = Setting(arithmetic, scheme, faults=injector)
    if isinstance(model, DecoderModel):
        model.logits(TOKENS, setting)
    else:
        model.hidden([TOKENS], setting)
    listed = struck_arrays(model.spec, arithmetic, scheme, tokens=len(TOKENS))
    for target in TARGETS:
        found = Counter(event.name for event in injector.events if event.target == target)
        assert found == {name: array.codes for name, array in listed[target].items()}
    places = {(e.target, e.name, e.step, e.index) for e in injector.events}
    assert len(places) == len(injector.events) == sum(t.flips for t in injector.tally.values())
    tensors = {name.removesuffix(".weight") for name in model.weights.shapes}
    assert {re.sub(r"(_exps)\.\d+", r"\1", name) for name in listed["weights"]} >= tensors


@pytest.mark.parametrize("kv", ["mxfp8", "nvfp4"])
def test_block_formats_are_listed_by_elements_and_scales(kv: str) -> None:
    operand = find_format(kv).name
    unit = replace(BF16.linear, operand=operand)
    arithmetic = replace(BF16, linear=unit, kv=kv)
    injector = FaultInjector(FaultPlan(1.0, bits=(0,), max_events=10**6))
    tiny().logits(TOKENS, Setting(arithmetic, faults=injector))
    listed = struck_arrays(tiny().spec, arithmetic, tokens=len(TOKENS))
    for target in TARGETS:
        found = Counter(event.name for event in injector.events if event.target == target)
        assert found == {name: array.codes for name, array in listed[target].items()}
    assert "blk.0.k.scales" in listed["kv"]
    assert "blk.1.ffn_up.elements" in listed["weights"]


def flipped_by_hand(model: DecoderModel, arithmetic: Arithmetic, injector: FaultInjector) -> None:
    """Flip the bits of events in the weights that a model is made of."""
    assert isinstance(model.weights, Table)
    listed = struck_arrays(model.spec, arithmetic)["weights"]
    for event in injector.events:
        known = listed[event.name].format
        stem = re.sub(r"(_exps)\.\d+", r"\1", event.name)
        tensor = stem if stem.endswith(".bias") else f"{stem}.weight"
        part = model.weights.held[tensor]
        if stem != event.name:
            part = part[int(re.findall(r"_exps\.(\d+)", event.name)[0])]
        code = encode(part.flat[event.index], known)
        part.flat[event.index] = decode(code ^ code_dtype(known).type(1 << event.bit), known)


@pytest.mark.parametrize("form", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["llama", "tied", "gpt2", "opt", "like gpt-oss", "like deepseek"])
def test_a_struck_run_equals_a_run_of_weights_flipped_by_hand(name: str, form: str) -> None:
    arithmetic = FORMS[form][0]
    config = all_experts(CONFIGS[name])
    plan = FaultPlan(3e-3, targets=("weights",), bits="fraction", seed=2, max_events=10**6)
    injector = FaultInjector(plan)
    found = tiny(config).logits(TOKENS, Setting(arithmetic, faults=injector))
    twin = tiny(config)
    assert isinstance(twin.weights, Table)
    clean = twin.logits(TOKENS, arithmetic)
    flipped_by_hand(twin, arithmetic, injector)
    wanted = DecoderModel("twin", twin.spec, twin.weights).logits(TOKENS, arithmetic)
    assert found.tobytes() == wanted.tobytes() != clean.tobytes()
    kinds = {re.sub(r"blk\.\d+\.", "", event.name) for event in injector.events}
    assert "token_embd" in kinds
    assert ("output" in kinds) == (not config.head.tied)


def test_a_tied_head_of_codes_has_a_copy_of_its_own() -> None:
    arithmetic, _ = FORMS["integers alone"]
    injector = FaultInjector(FaultPlan(places=(Place("weights", "output", 5, 7),)))
    tiny(CONFIGS["tied"]).logits(TOKENS, Setting(arithmetic, faults=injector))
    assert injector.unmet_places == []
    assert injector.tally["weights"].flips == 1


def test_struck_embeddings_do_not_depend_on_the_text() -> None:
    plan = FaultPlan(0.02, targets=("weights",), bits="fraction", seed=3)
    held = tiny().weights.read("token_embd.weight")
    alone = FaultInjector(plan)
    whole = alone.weights("token_embd", held, "fp32")
    assert (whole != held).any(axis=1).all()
    texts = ([3, 30, 0, 7, 3], [7], [36, 3], list(range(30)))
    for text in texts:
        injector = FaultInjector(plan)
        ops = tiny().ops(Setting(FP32, faults=injector))
        before = injector.tally["weights"]
        found = np.concatenate([ops.embeddings(np.array([token])) for token in text])
        assert np.array_equal(found, whole[text])
        assert np.array_equal(ops.embeddings(np.array(text)), whole[text])
        added = injector.tally["weights"].flips - before.flips
        assert added == alone.tally["weights"].flips


def test_tables_are_read_where_they_are_struck_and_nowhere_else() -> None:
    rows, width, fmt = 900, 700, "bf16"
    held = np.random.default_rng(1).normal(size=(rows, width)).astype(np.float32)
    asked: list[NDArray[np.int64]] = []

    def read(numbers: NDArray[np.int64]) -> Floats:
        asked.append(numbers)
        found: Floats = held[numbers]
        return found

    for ecc in ("none", "secded"):
        plan = FaultPlan(2e-5, seed=7, ecc=ecc)  # type: ignore[arg-type]
        one, other = FaultInjector(plan), FaultInjector(plan)
        wanted = one.weights("t", held, fmt)
        changes = other.table("t", (rows, width), fmt, read)
        assert np.array_equal(changes.whole(held), wanted, equal_nan=True)
        assert one.tally == other.tally
        assert [str(e) for e in one.events] == [str(e) for e in other.events]
        struck = {event.index // width for event in one.events}
        assert set(asked.pop().tolist()) >= struck
        assert not asked


def test_a_table_without_flips_is_not_read() -> None:
    def read(numbers: NDArray[np.int64]) -> Floats:
        raise AssertionError(numbers)

    elsewhere = FaultPlan(places=(Place("weights", "w", 0, 0),))
    for plan in (FaultPlan(), elsewhere, FaultPlan(1.0, targets=("kv",))):
        changes = FaultInjector(plan).table("t", (5, 4), "bf16", read)
        assert not len(changes.indices)


def test_tables_on_threads_and_in_any_order() -> None:
    plan = FaultPlan(1e-3, seed=4, max_events=10**6)
    tables = {f"t{i}": np.full((40 + i, 30), i + 1, np.float32) for i in range(6)}

    def struck(injector: FaultInjector, name: str) -> bytes:
        held = tables[name]
        found = injector.table(name, held.shape, "bf16", lambda rows: held[rows])
        return found.whole(held).tobytes()

    forward, backward, threaded = (FaultInjector(plan) for _ in range(3))
    wanted = {name: struck(forward, name) for name in tables}
    assert {name: struck(backward, name) for name in reversed(tables)} == wanted
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: struck(threaded, name), tables)
        assert dict(zip(tables, found, strict=True)) == wanted
    assert forward.tally == backward.tally == threaded.tally


def test_integer_registers_are_struck_before_scales() -> None:
    x, w = np.random.default_rng(2).standard_normal((2, 5, 16), dtype=np.float32)
    bias = np.arange(5, dtype=np.float32)
    places = tuple(Place("accumulators", "w", 7 * i, bit) for i, bit in enumerate((0, 13, 30)))
    injector = FaultInjector(FaultPlan(places=places))
    scheme = parse_scheme("int8")
    linear = make_linear(w, INT8, scheme=scheme, bias=bias, name="w")
    found = linear(x, lambda sums: injector.accumulators("w", sums))
    assert scheme.activations is not None
    left, right = quantize_integers(x, scheme.activations), quantize_integers(w, scheme.weights)
    sums = left.codes.astype(np.int32) @ right.codes.astype(np.int32).T
    for place in places:
        sums.flat[place.index] ^= np.int32(1 << place.bit)
    wanted = sums.astype(np.float32) * left.scales * right.scales[:, 0] + bias
    assert np.array_equal(found, wanted)
    assert not np.array_equal(found, linear(x))


def test_float_registers_are_struck_before_the_bias() -> None:
    x, w = np.random.default_rng(2).standard_normal((2, 5, 16), dtype=np.float32)
    bias = np.float32([1, 2, 3, 4, 5])
    injector = FaultInjector(FaultPlan(places=(Place("accumulators", "w", 8, 31),)))
    plain, linear = (make_linear(w, FP32.linear, bias=b, name="w") for b in (None, bias))
    wanted = plain(x)
    wanted[1, 3] = -wanted[1, 3]
    assert np.array_equal(linear(x, lambda s: injector.accumulators("w", s)), wanted + bias)


def test_results_of_attention_are_struck_whatever_its_tiles() -> None:
    place = Place("accumulators", "blk.0.attn", WIDTH + 5, 22)
    runs: dict[str, dict[str, Floats]] = {"clean": {}, "hit": {}}
    for name, seen in runs.items():
        faults = FaultInjector(FaultPlan(places=(place,))) if name == "hit" else None
        tiny().logits(TOKENS, Setting(FP32, faults=faults, observe=seen.__setitem__))
    wanted = runs["clean"]["blk.0.attn"].copy()
    wanted.view(np.uint32)[1, 5] ^= np.uint32(1 << 22)
    assert runs["hit"]["blk.0.attn"].tobytes() == wanted.tobytes()


def test_experts_have_sums_of_their_own() -> None:
    plan = FaultPlan(0.01, targets=("accumulators",), bits=(0,), max_events=10**5)
    injector = FaultInjector(plan)
    config = all_experts(CONFIGS["experts"])
    tiny(config).logits(TOKENS, Setting(FP32, faults=injector))
    struck = [
        {e.index for e in injector.events if e.name == f"blk.0.ffn_up_exps.{expert}"}
        for expert in range(5)
    ]
    assert len({frozenset(s) for s in struck}) > 1


def test_batches_of_an_encoder_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.functional.transformer.encoder._TOKENS_AT_ONCE", 4)
    injector = FaultInjector(FaultPlan(1.0, targets=("accumulators",), bits=(0,), max_events=10**6))
    tiny_encoder().hidden([[3, 1], [2, 5], [7, 1, 2]], Setting(FP32, faults=injector))
    assert {event.step for event in injector.events} == {0, 4}


def test_infinite_embeddings_and_biases_are_carried() -> None:
    for name, config in (("token_embd", "gpt2"), ("blk.0.ffn_up.bias", "gpt2")):
        model = tiny(CONFIGS[config])
        assert isinstance(model.weights, Table)
        tensor = name if name.endswith("bias") else f"{name}.weight"
        model.weights.held[tensor].flat[:2] = [1.0, -1.0]
        model.weights.held["position_embd.weight"].flat[:2] = [1.0, -1.0]
        places = tuple(
            Place("weights", n, i, 30) for n in (name, "position_embd") for i in range(2)
        )
        injector = FaultInjector(FaultPlan(places=places))
        found = model.logits([0, 1], Setting(FP32, faults=injector))
        assert np.isnan(found[0]).any()


LISTED = struck_arrays(Spec(LLAMA), BF16, tokens=10)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (Place("weights", "blk.0.ffn_uq", 0, 0), "did you mean 'blk.0.ffn_up'"),
        (Place("weights", "blk.0.ffn_up.weight", 0, 0), "did you mean 'blk.0.ffn_up'"),
        (Place("weights", "blk.2.ffn_up", 0, 0), "no array of weights"),
        (Place("kv", "blk.0.ffn_up", 0, 0), "no array of kv"),
        (Place("accumulators", "token_embd", 0, 0), "no array of accumulators"),
        (Place("weights", "token_embd", 37 * 24, 0), "at most 888 values of 16 bits"),
        (Place("weights", "output_norm", 0, 32), "at most 24 values of 32 bits"),
        (Place("weights", "blk.0.attn_q", 0, 16), "16 bits"),
        (Place("weights", "blk.0.attn_q", 0, 0, 3), "weights are struck once"),
        (Place("weights", "blk.0.attn_q", 0, 0, 0), "leave the step out"),
        (Place("kv", "blk.1.v", 10 * 2 * 6, 0), "at most 120 values"),
        (Place("accumulators", "blk.1.attn", 10 * 24, 0), "at most 240 values"),
    ],
)
def test_places_that_cannot_be_are_refused_before_a_run(place: Place, wrong: str) -> None:
    with pytest.raises(WorkloadError, match=re.escape(wrong)):
        check_plan(FaultPlan(places=(place,)), LISTED)


def test_places_that_can_be_pass() -> None:
    places = (
        Place("weights", "token_embd", 887, 15), Place("weights", "output_norm", 23, 31),
        Place("kv", "blk.1.v", 119, 15, 7), Place("accumulators", "blk.1.attn", 239, 31),
    )  # fmt: skip
    check_plan(FaultPlan(places=places), LISTED)


def test_bits_that_no_code_has_are_refused_before_a_run() -> None:
    with pytest.raises(WorkloadError, match="bit 20 of the fault plan is not in bf16"):
        check_plan(FaultPlan(0.1, bits=(20,)), LISTED)
    check_plan(FaultPlan(0.1, bits=(20,), targets=("accumulators",)), LISTED)
    integers = struck_arrays(Spec(LLAMA), *FORMS["int8"])
    with pytest.raises(WorkloadError, match="int32 has no exponent bits"):
        check_plan(FaultPlan(0.1, bits="exponent", targets=("accumulators",)), integers)
    doubles = struck_arrays(Spec(LLAMA), replace(FP32, kv="fp64"))
    with pytest.raises(WorkloadError, match="kv are fp64"):
        check_plan(FaultPlan(0.1), doubles)


@pytest.mark.parametrize("target", ["kv", "accumulators"])
def test_a_place_beyond_the_tokens_of_a_step_waits_for_more(target: Target) -> None:
    injector = FaultInjector(FaultPlan(places=(Place(target, "w", 5, 31),)))
    strike = {
        "kv": lambda x: injector.kv("w", x, "fp32"),
        "accumulators": lambda x: injector.accumulators("w", x),
    }[target]
    few, many = np.ones(5, np.float32), np.ones(6, np.float32)
    assert strike(few) is few
    assert len(injector.unmet_places) == 1
    assert strike(many)[5] == -1
    assert not injector.unmet_places


def test_check_bits_are_an_eighth() -> None:
    assert FaultPlan(ecc="secded").ecc_overhead == 0.125
    assert FaultPlan().ecc_overhead == 0.0


def test_the_places_of_the_page_are_in_the_model_that_it_names() -> None:
    spec, arithmetic = Spec(load_model("smollm2-135m")), resolve_arithmetic("h100_sxm")
    listed = struck_arrays(spec, arithmetic)
    found = re.findall(r"`Place\((.*?)\)`", PAGE)
    assert len(found) >= 8
    for text in found:
        target, name, index, bit, *step = (part.strip().strip('"') for part in text.split(","))
        place = Place(target, name, int(index), int(bit), int(step[0]) if step else None)  # type: ignore[arg-type]
        check_plan(FaultPlan(places=(place,)), listed)
