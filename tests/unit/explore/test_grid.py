"""The grid: which point has which number, and what a key of the file sets."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from accelsim.explore.grid import Parameter, Space, override_path, role_of


def grid(base: dict, **axes: tuple) -> Space:
    parameters = tuple(Parameter(path, values) for path, values in axes.items())
    return Space("folder/space.yaml", "", base, parameters, ())


BASE = {"chip": "h100_sxm", "model": "gpt2", "phase": "decode"}


def test_points_are_the_cartesian_product_in_file_order() -> None:
    space = grid(BASE, batch=(1, 2), input_len=(10, 20, 30), tp=(1, 2))
    expected = list(itertools.product((1, 2), (10, 20, 30), (1, 2)))
    assert [space.choice(i) for i in range(space.size)] == expected
    with pytest.raises(IndexError):
        space.choice(12)


def test_keys_are_sorted_into_target_model_options_and_overrides() -> None:
    space = grid({**BASE, "power.tdp": "500 W"}, batch=(4,), cores=(64,))
    point = space.point(0)
    assert (point.on, point.model) == ("h100_sxm", "gpt2")
    assert point.options == {"phase": "decode", "batch": 4}
    assert point.overrides == {"power.tdp": "500 W", "chip.cores": 64}


def test_a_parameter_wins_over_the_base_whatever_the_target_is_called() -> None:
    space = grid({**BASE, "batch": 1}, batch=(16,), system=("dgx_h100",))
    point = space.point(0)
    assert point.on == "dgx_h100"
    assert point.options["batch"] == 16


def test_paths_are_relative_to_the_space_file() -> None:
    space = grid({**BASE, "chip": "my_chip.yaml", "model": "sub/config.json"}, batch=(1,))
    point = space.point(0)
    assert Path(point.on) == Path("folder/my_chip.yaml")
    assert Path(point.model) == Path("folder/sub/config.json")


@pytest.mark.parametrize(
    ("path", "override"),
    [
        ("memory.bandwidth", "chip.memory.bandwidth"),
        ("chip.memory.bandwidth", "chip.memory.bandwidth"),
        ("cores", "chip.cores"),
        ("levels.0.bandwidth", "levels.0.bandwidth"),
    ],
)
def test_spec_paths_reach_the_chip_of_a_system_too(path: str, override: str) -> None:
    assert role_of(path) == "spec"
    assert override_path(path) == override
