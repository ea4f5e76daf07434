"""The exception tree and the suggestions that messages end with."""

from __future__ import annotations

import pytest

from accelsim import errors
from accelsim.errors import AccelsimError, suggest

CHIPS = ["h100_sxm", "h100_pcie", "a100_sxm_80gb", "tpu_v4", "tpu_v5e"]


@pytest.mark.parametrize("name", ["SpecError", "WorkloadError", "MappingError", "SimulationError"])
def test_every_kind_of_mistake_has_one_base(name: str) -> None:
    assert issubclass(getattr(errors, name), AccelsimError)


def test_not_fitting_is_a_way_of_not_mapping() -> None:
    assert issubclass(errors.CapacityError, errors.MappingError)


def test_a_near_word_is_named_first() -> None:
    assert suggest("h10_sxm", CHIPS).startswith("did you mean 'h100_sxm'")


def test_case_does_not_hide_a_near_word() -> None:
    assert "'tpu_v4'" in suggest("TPU_V4", CHIPS)


def test_the_original_spelling_is_suggested() -> None:
    assert suggest("llama-8b", ["Llama-8B"]) == "did you mean 'Llama-8B'?"


def test_at_most_limit_words_are_named() -> None:
    assert suggest("tpu", ["tpu1", "tpu2", "tpu3"], limit=2).count("'tpu") == 2


def test_without_a_near_word_the_short_list_is_shown() -> None:
    assert suggest("zzz", ["beta", "alpha"]) == "known: alpha, beta"


def test_a_long_list_is_cut() -> None:
    text = suggest("!", [f"chip{i:02d}" for i in range(40)])
    assert text.endswith("chip11, ...")


def test_an_empty_list_is_said_to_be_empty() -> None:
    assert suggest("x", []) == "none is known"
