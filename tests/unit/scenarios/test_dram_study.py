"""Do studies and sweeps of a memory simulate what they say?"""

from __future__ import annotations

import numpy as np
import pytest

import accelsim
from accelsim.arch.loader import MEMORY_GRADES, load_memory
from accelsim.errors import SimulationError
from accelsim.scenarios.dram_study import (
    SWEEPS,
    DramSetting,
    DramStudy,
    pattern_of_sweep,
    sweep_dram,
)
from accelsim.timing.dram.controller import Controller
from accelsim.timing.dram.patterns import Traffic

HBM3 = load_memory("hbm3")
SETTING = DramSetting(HBM3)


def test_a_family_stands_for_a_grade() -> None:
    for family, grade in MEMORY_GRADES.items():
        memory = load_memory(family)
        assert memory.name == grade
        assert grade.startswith(f"{family}_")
    addresses = np.arange(0, 6400, 64)
    by_family, by_grade = (
        accelsim.simulate_dram(name, addresses) for name in ("hbm3", "hbm3_6400")
    )
    assert by_family.to_dict() == by_grade.to_dict()


def test_capacity_is_that_of_what_is_simulated() -> None:
    assert SETTING.capacity_bytes == HBM3.channel_capacity_bytes
    one = DramSetting(HBM3, channels=4, pseudo_channels=1)
    assert one.capacity_bytes == 2 * HBM3.channel_capacity_bytes


def test_what_is_no_setting_is_refused() -> None:
    with pytest.raises(SimulationError, match="channels 0"):
        DramSetting(HBM3, channels=0)
    with pytest.raises(SimulationError, match="pseudo_channels 17"):
        DramSetting(HBM3, pseudo_channels=17)


def test_the_refresh_bound_is_of_the_datasheet_and_holds() -> None:
    study = DramStudy(SETTING, Traffic(accesses=20_000).addresses(SETTING.capacity_bytes))
    assert SETTING.refresh_bound == pytest.approx(1 - 350 / 3900, abs=1e-3)
    assert study.result.bandwidth_fraction <= SETTING.refresh_bound + 0.01
    assert study.unrefreshed_fraction is not None
    assert study.unrefreshed_fraction > 0.98
    idle = DramSetting(HBM3, Controller(refresh="none"))
    assert idle.refresh_bound == 1.0
    assert DramStudy(idle, study.accesses).unrefreshed_fraction is None


def test_a_whole_trace_holds_every_command() -> None:
    study = DramStudy(SETTING, Traffic("random", accesses=500).addresses(SETTING.capacity_bytes))
    trace = study.traced().trace
    assert trace is not None
    assert trace["command"].value_counts().to_dict() == {
        name: count for name, count in study.result.commands.items() if count
    }


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_runs_and_turns_its_parameter(name: str) -> None:
    told = []
    traffic = Traffic(pattern_of_sweep(name, None), accesses=300)
    swept = sweep_dram(SETTING, traffic, name, tell=lambda *step: told.append(step))
    assert len(swept.values) == len(swept.results) == len(told) >= 8
    assert len({round(result.time_s, 12) for result in swept.results}) > 2
    assert all(0 < result.bandwidth_fraction <= 1 for result in swept.results)
    assert len(swept.to_dict()["points"]) == len(swept.values)


def test_a_point_of_a_sweep_is_a_run() -> None:
    swept = sweep_dram(SETTING, Traffic("strided", accesses=300), "stride")
    at = swept.values.index(4096)
    alone = Traffic("strided", accesses=300, stride_bytes=4096).addresses(SETTING.capacity_bytes)
    assert swept.results[at].to_dict() == SETTING.run(alone).to_dict()


def test_more_accesses_under_way_never_move_less() -> None:
    swept = sweep_dram(SETTING, Traffic("random", accesses=2000), "outstanding")
    fractions = [result.bandwidth_fraction for result in swept.results]
    assert fractions == sorted(fractions)


def test_written_streams_keep_their_share() -> None:
    swept = sweep_dram(SETTING, Traffic(accesses=600, streams=2, write_streams=1), "streams")
    at = swept.values.index(4)
    assert swept.results[at].is_write.mean() == 0.5


def test_a_sweep_refuses_a_pattern_without_its_parameter() -> None:
    with pytest.raises(SimulationError, match="has no stride to sweep: take strided"):
        pattern_of_sweep("stride", "random")
    with pytest.raises(SimulationError, match="did you mean 'stride'"):
        pattern_of_sweep("strides", None)
    assert pattern_of_sweep("block", "mixed") == "mixed"
