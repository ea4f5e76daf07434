"""What a result says of itself: short texts, logits that are no numbers, errors with a scale."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from accelsim.functional.faults import FaultPlan
from accelsim.functional.layer_errors import ErrorProbe
from accelsim.functional.quality import LogitQuality
from accelsim.scenarios.numerics_result import spaced_logits
from accelsim.scenarios.numerics_warnings import quality_warnings
from tests.unit.scenarios.tiny_study import (
    CONFIG,
    TEXT,
    VOCABULARY,
    tiny_decoder,
    tiny_study,
    with_context,
)

NO_NUMBERS = FaultPlan(0.5, targets=("weights",), bits="exponent", seed=1)


def test_generation_without_a_next_token_is_told() -> None:
    found = tiny_study(faults=NO_NUMBERS).measure()
    assert found.stopped == f"no next token after 0: {VOCABULARY} of {VOCABULARY} logits are NaN " \
        "and 0 +Inf"  # fmt: skip
    assert f"bf16: {found.stopped}" in found.warnings
    bad = f"logits after {len(TEXT)} of {len(TEXT)} tokens are NaN or infinite"
    assert f"bf16: {bad}: nothing is left to compare" in found.warnings
    again = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert again["stopped"] == found.stopped
    assert set(found.warnings) == set(again["warnings"])


def test_a_run_that_ends_as_it_should_is_not_stopped() -> None:
    found = tiny_study(text=TEXT * 3, eval_tokens=96).measure()
    assert (found.stopped, found.ecc, found.warnings) == ("", "none", ())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"eval_tokens": 63, "text": TEXT * 3},
         ["perplexity over 63 tokens says little: evaluate 64 or more"]),
        ({"eval_tokens": 64, "text": TEXT * 3}, []),
        ({"eval_tokens": 100, "text": TEXT * 3},
         ["the evaluated text has 99 tokens, not the 100 that were asked for"]),
        ({"eval_tokens": 20, "model": tiny_decoder(with_context(CONFIG, 12))},
         ["the context of 12 tokens ends the evaluated text before the 20 that were asked for",
          "perplexity over 12 tokens says little: evaluate 64 or more"]),
    ],
)  # fmt: skip
def test_short_texts_are_told(options, told) -> None:
    assert list(tiny_study(**options).measure().warnings) == told


def test_some_logits_without_numbers_leave_the_others() -> None:
    quality = LogitQuality(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 100, bad_tokens=3)
    (told,) = quality_warnings("fp8", quality)
    assert told == (
        "fp8: logits after 3 of 100 tokens are NaN or infinite: KL and rms are of the others"
    )
    assert quality_warnings("fp8", replace(quality, bad_tokens=0)) == ()


@pytest.mark.parametrize("ecc", ["none", "secded"])
def test_the_code_that_guards_memory_is_kept(ecc) -> None:
    found = tiny_study(faults=FaultPlan(1e-6, ecc=ecc)).measure()
    assert found.ecc == found.as_dict()["ecc"] == ecc


@pytest.mark.parametrize(("tokens", "eval_tokens"), [(0, 12), (4, 12), (4, 24)])
def test_both_texts_are_struck_and_counted(tokens, eval_tokens) -> None:
    # Every bit flips: as many flips as bits that were shown to the injector.
    faults = FaultPlan(1.0, bits=(0,))
    found = tiny_study(faults=faults, tokens=tokens, eval_tokens=eval_tokens).measure().faults
    layers, heads, head_dim = 2, 2, 8
    rows = eval_tokens + (5 + tokens - 1 if tokens else 0)  # text, prompt and all tokens but one
    assert found["kv"]["flips"] == layers * 2 * rows * heads * head_dim
    once = tiny_study(faults=faults, tokens=0, eval_tokens=2).measure().faults
    assert found["weights"] == once["weights"]


def test_logits_are_among_the_errors() -> None:
    found = tiny_study(text=TEXT[:20]).measure("int8")
    last = found.errors[-1]
    assert last.name == "logits"
    assert last.max_abs == pytest.approx(found.quality.max_abs)
    assert found.reference_logits is not None
    rms = float(np.sqrt(np.mean(np.square(found.reference_logits, dtype=np.float64))))
    assert last.relative_max == pytest.approx(last.max_abs / rms)
    assert last.relative_rms == pytest.approx(found.quality.rms / rms)


def test_errors_are_measured_on_rows_from_first_to_last() -> None:
    probe = ErrorProbe()
    wanted = np.ones((63, 2), np.float32)
    wanted[::2] = 3.0  # of 63 rows those with an even number are looked at
    probe("op", wanted)
    probe.measure()
    probe("op", wanted + np.float32(0.75))
    (found,) = probe.errors()
    assert (found.max_abs, found.relative_max, found.relative_rms) == (0.75, 0.25, 0.25)


@pytest.mark.parametrize(("change", "relative"), [(0.0, 0.0), (1.0, math.inf)])
def test_of_a_zero_reference_any_error_is_infinite(change, relative) -> None:
    probe = ErrorProbe()
    probe("op", np.zeros((2, 3), np.float32))
    probe.measure()
    probe("op", np.full((2, 3), change, np.float32))
    assert probe.errors()[0].relative_max == relative


@pytest.mark.parametrize("shape", [(7, 40), (256, 4096), (300, 5000)])
def test_kept_logits_are_few_and_meet_every_token(shape) -> None:
    logits = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    kept = spaced_logits(logits)
    assert kept.ndim == 1
    assert kept.size <= 400_000
    assert kept.base is None  # the rest can be freed
    assert len(np.unique(kept % shape[1])) == shape[1]
    if logits.size <= 400_000:
        assert np.array_equal(kept, logits.ravel())
