"""What do models that share a chip do to each other, where a pencil finds it?

One chip, of the smallest design: cores with an array of 16 x 16 each on one LPDDR4X memory. Its
clock decides what binds the same layers: at 4 GHz the memory, at 100 MHz the arrays.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

import accelsim
from accelsim.arch.loader import load_system
from accelsim.engine.event.simulate import simulate
from accelsim.errors import AccelsimError, CapacityError, MappingError, SpecError, WorkloadError
from accelsim.results.execution_tables import power
from accelsim.results.together import TenantResult, TogetherResult
from accelsim.scenarios.options import RunOptions
from accelsim.scenarios.together import Tenant, _place, run_together
from accelsim.workload.layers import FcLayer, Features
from accelsim.workload.networks import Network

CHIP = "teach_systolic_16x16"
FAST, SLOW = "4 GHz", "100 MHz"
EDGES = 0.015
"""What two streams do not share: their launches, first bytes, and last pieces of work."""


def layer(features: int, batch: int) -> Network:
    """One square layer."""
    only = FcLayer(name="fc", out=features)
    return Network(f"fc{features}", Features(features), (only,), batch=batch)


READER = layer(4096, batch=1)
"""33.6 MB of weights, each used once."""
MAKER = layer(1024, batch=1024)
"""1.07e9 multiply-adds, 256 at a time: 42 ms at 100 MHz, and the weights of each tile to load."""


def together(*tenants: Tenant, clock: str, cores: int = 2) -> tuple[TenantResult, ...]:
    return run_together(tenants, CHIP, overrides={"cores": cores, "clock": clock}).tenants


def test_alone_is_the_time_that_the_memory_or_the_array_needs() -> None:
    (reader,) = together(Tenant(READER, 1), clock=FAST)
    bandwidth = accelsim.load_chip(CHIP).bandwidth_bytes_per_s
    assert 4096 * 4096 * 2 / bandwidth < reader.alone_s < 1.2 * 4096 * 4096 * 2 / bandwidth
    (maker,) = together(Tenant(MAKER, 1), clock=SLOW)
    assert 1024**3 / 256 / 100e6 < maker.alone_s < 1.5 * 1024**3 / 256 / 100e6
    assert (reader.slowdown, maker.slowdown) == (1.0, 1.0)
    assert (reader.start_s, reader.end_s) == (0.0, reader.alone_s)


def test_alone_is_what_run_says_of_a_chip_with_as_many_cores() -> None:
    (maker,) = together(Tenant(MAKER, 1), clock=SLOW)
    run = accelsim.run(MAKER, CHIP, overrides={"clock": SLOW})
    assert maker.alone_s == pytest.approx(run.latency_s, rel=1e-9)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_equal_tenants_that_the_memory_binds_take_as_often_as_long(count: int) -> None:
    found = together(*[Tenant(READER, 1)] * count, clock=FAST, cores=count)
    assert len({(one.alone_s, one.together_s, one.end_s) for one in found}) == 1
    assert found[0].slowdown == pytest.approx(count, rel=EDGES)


def test_tenants_that_compute_do_not_disturb_each_other() -> None:
    pairs = [(MAKER, MAKER), (MAKER, READER)]
    for one, other in pairs:
        found = together(Tenant(one, 1), Tenant(other, 1), clock=SLOW)
        assert all(1.0 <= tenant.slowdown < 1.002 for tenant in found)


def test_who_starts_later_shares_only_what_is_left() -> None:
    alone_s = together(Tenant(READER, 1), clock=FAST)[0].alone_s
    # The first has half of its weights when the second comes; each then gets half of the memory,
    # so the first ends at 1.5, when the second has half of its own and half a time alone to go.
    early, late = together(
        Tenant(READER, 1), Tenant(READER, 1, start_s=alone_s / 2), clock=FAST
    )  # fmt: skip
    assert late.start_s == pytest.approx(alone_s / 2, abs=1e-12)
    assert early.end_s == pytest.approx(1.5 * alone_s, rel=EDGES)
    assert late.end_s == pytest.approx(2.0 * alone_s, rel=EDGES)
    assert late.together_s == pytest.approx(late.end_s - late.start_s, rel=1e-12)
    assert early.slowdown == pytest.approx(late.slowdown, rel=EDGES)


def test_who_starts_when_all_is_over_is_alone() -> None:
    alone_s = together(Tenant(READER, 1), clock=FAST)[0].alone_s
    early, late = together(Tenant(READER, 1), Tenant(READER, 1, start_s=0.5), clock=FAST)
    assert early.slowdown == 1.0
    assert late.slowdown == pytest.approx(1.0, rel=1e-9)
    assert (late.start_s, late.end_s) == pytest.approx((0.5, 0.5 + alone_s), rel=1e-9)


def test_passes_follow_one_another() -> None:
    # Until 2 both have half of the memory and one pass each; then two passes alone.
    alone_s = together(Tenant(READER, 1), clock=FAST)[0].alone_s
    once, thrice = together(Tenant(READER, 1), Tenant(READER, 1, passes=3), clock=FAST)
    assert once.slowdown == pytest.approx(2.0, rel=EDGES)
    assert thrice.end_s == pytest.approx(4.0 * alone_s, rel=EDGES)
    assert thrice.together_s == pytest.approx(thrice.end_s / 3, rel=1e-12)
    assert thrice.passes * thrice.alone_s <= 3 * alone_s * (1 + 1e-9)


def test_a_pass_of_many_alone_takes_no_longer_than_one() -> None:
    # It may take less: the first bytes of all but the first may come ahead.
    (one,) = together(Tenant(READER, 1), clock=FAST)
    (many,) = together(Tenant(READER, 1, passes=40), clock=FAST)
    assert 0.98 * one.alone_s < many.alone_s <= one.alone_s * (1 + 1e-9)
    assert many.end_s == pytest.approx(40 * many.together_s)


def test_the_result_as_a_table_and_as_plain_data() -> None:
    result = run_together([Tenant(READER, 1), Tenant(MAKER, 2)], CHIP, overrides={"cores": 3})
    assert isinstance(result, TogetherResult)
    assert result.chip == CHIP
    assert result.table["model"].tolist() == ["fc4096", "fc1024"]
    assert result.table["cores"].tolist() == [1, 2]
    plain = json.loads(json.dumps(result.to_dict()))
    for row, tenant in zip(plain["tenants"], result.tenants, strict=True):
        facts = {k: v for k, v in asdict(tenant).items() if not k.endswith("_path")}
        assert facts.items() <= row.items() and row["slowdown"] == tenant.slowdown
    assert plain["energy_j"] == pytest.approx(
        plain["idle_j"] + sum(row["dynamic_j"] for row in plain["tenants"])
    )
    power_j = result.power.eval("power_w * (end_s - start_s)").sum()
    assert plain["energy_j"] == pytest.approx(power_j)
    assert {op.name for op in result.execution.ops} == {"fc"}
    assert result.execution.end_ps * 1e-12 == pytest.approx(max(t.end_s for t in result.tenants))


def test_bytes_energy_and_exclusive_engines_of_all_together() -> None:
    tenants = [Tenant(READER, 1, passes=2), Tenant(MAKER, 1)]
    both = run_together(tenants, CHIP, overrides={"cores": 2}).execution
    each = [run_together([one], CHIP, overrides={"cores": 2}).execution for one in tenants]
    for column in ("amount", "energy_j"):
        sums = [getattr(execution.work, column).sum() for execution in each]
        assert getattr(both.work, column).sum() == pytest.approx(sum(sums), rel=1e-9)
    exclusive = [place for place, track in enumerate(both.tracks) if track.exclusive]
    assert len(exclusive) == 4
    for place in exclusive:
        work = both.work.where(both.work.track == place)
        order = np.lexsort((work.end_ps, work.start_ps))
        assert np.all(work.start_ps[order][1:] >= work.end_ps[order][:-1])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cores": 0}, "cores is 0, expected a whole number from 1"),
        ({"cores": True}, "cores is True, expected a whole number from 1"),
        ({"cores": 1.5}, "cores is 1.5, expected a whole number from 1"),
        ({"passes": 0}, "passes is 0, expected a whole number from 1"),
        ({"passes": "2"}, "passes is '2', expected a whole number from 1"),
        ({"options": {"batch": 1}}, "options is a dict, expected RunOptions"),
        ({"start_s": -1.0}, "start_s is -1.0, expected seconds from 0"),
        ({"start_s": float("nan")}, "start_s is nan, expected seconds from 0"),
        ({"start_s": float("inf")}, "start_s is inf, expected seconds from 0"),
        ({"start_s": True}, "start_s is True, expected seconds from 0"),
        ({"start_s": "1 s"}, "start_s is '1 s', expected seconds from 0"),
        (
            {"options": RunOptions(tp=2)},
            "one graph on one device, got tp 2 and phase prefill: use tp 1, and prefill or decode",
        ),
        ({"options": RunOptions(phase="generate")}, "got tp 1 and phase generate"),
        (
            {"options": RunOptions(engine="analytic")},
            "engine of a tenant: models that run together are simulated by the event engine, as "
            "usual otherwise; leave it out",
        ),
        ({"options": RunOptions(what_if=True)}, "what_if of a tenant"),
        (
            {"options": RunOptions(buffers=3, dram="bank", every_chip=True)},
            "every_chip and dram and buffers of a tenant",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_tenant_that_makes_no_sense_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkloadError) as problem:
        Tenant(READER, **{"cores": 1, **fields})
    assert told in str(problem.value)


@pytest.mark.parametrize(
    ("tenants", "on", "kind", "told"),
    [
        (Tenant(READER, 1), CHIP, WorkloadError, "tenants: expected a list of Tenant(model, cores"),
        (None, CHIP, WorkloadError, "tenants: expected a list of Tenant(model, cores, ...)"),
        ([READER], CHIP, WorkloadError, "tenants: expected a list of Tenant(model, cores, ...)"),
        ([], CHIP, WorkloadError, "no tenants: give one or more"),
        (
            [Tenant(READER, 1)], "dgx_h100", WorkloadError,
            "dgx_h100 has 8 chips: give the name of one, h100_sxm",
        ),
        (
            [Tenant(READER, 100), Tenant(READER, 33)], "h100_sxm", MappingError,
            "133 cores asked for, but h100_sxm has 132: give the tenants fewer",
        ),
        ([Tenant(READER, 1)], "no_such_chip", SpecError, "unknown chip or system 'no_such_chip'"),
        ([Tenant("no_such_model", 1)], CHIP, WorkloadError, "unknown model 'no_such_model'"),
        (
            [Tenant(READER, 1, RunOptions(phase="decode"))], CHIP, WorkloadError,
            "fc4096 is a network without tokens: it has no decode phase",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_run_together_says_why(
    tenants: Any, on: str, kind: type[AccelsimError], told: str
) -> None:
    with pytest.raises(kind) as problem:
        run_together(tenants, on)
    assert told in str(problem.value)


def test_tenants_that_fit_alone_but_not_together_are_refused_with_their_sizes() -> None:
    # 2^29 weights of 2 bytes each: 1.07 GB, in a memory of 2.15 GB.
    big = Network(
        "big", Features(2**14),
        (FcLayer(name="fc0", out=2**14), FcLayer(name="fc1", out=2**14)),
    )  # fmt: skip
    run_together([Tenant(big, 1)], CHIP, overrides={"cores": 2})
    with pytest.raises(CapacityError) as problem:
        run_together([Tenant(big, 1), Tenant(big, 1)], CHIP, overrides={"cores": 2})
    assert str(problem.value) == (
        "the tenants need 2.15 GB (1.07 GB and 1.07 GB) of teach_systolic_16x16, which has "
        "2.15 GB: use smaller batches or fewer tenants, or allow_oversubscribe of all of them"
    )
    anyway = Tenant(big, 1, RunOptions(allow_oversubscribe=True))
    run_together([anyway, anyway], CHIP, overrides={"cores": 2})
    # Weights count for every tenant, passes do not.
    run_together([Tenant(big, 1, passes=3)], CHIP, overrides={"cores": 2})


def test_what_all_draw_together_stays_within_the_limit_of_the_board() -> None:
    # One half of a T4 alone could draw what its limit leaves; two halves draw no more than that.
    options = RunOptions(phase="prefill", batch=4, input_len=512, dtype="fp16")
    halves = [Tenant("gpt2", 20, options), Tenant("gpt2", 20, options)]
    found = run_together(halves, "t4")
    board_w = power(found.execution)["board_w"]
    assert board_w.max() < 70.0 * 1.03  # edges of bins cut pieces whose energy is spread evenly
    assert board_w.mean() > 0.9 * 70.0
    assert all(tenant.together_s > 1.8 * tenant.alone_s for tenant in found.tenants)
    # Where the limit is far, they are as they are without one.
    free = run_together(halves, "t4", overrides={"power.tdp": "700 W"})
    assert power(free.execution)["board_w"].max() > 70.0
    assert free.tenants[0].together_s < 0.7 * found.tenants[0].together_s


def test_the_buffer_that_software_manages_is_split_like_the_cores() -> None:
    # 66 MB of results stay in the 144 MiB of a core and the whole buffer until they are read, and
    # not in half of it; alone on its part, a tenant takes what a chip of that size takes.
    big = Network(
        "big",
        Features(4096),
        (FcLayer(name="a", out=8000), FcLayer(name="b", out=512)),
        batch=4096,
    )
    part = {"cores": 1, "shared.capacity": "64 MiB"}
    (tenant,) = run_together([Tenant(big, 1)], "tpu_v4").tenants
    alone = accelsim.run(big, "tpu_v4", overrides=part)
    assert tenant.alone_s == pytest.approx(alone.latency_s, rel=1e-6)


def test_the_paths_say_what_a_tenant_waits_for_alone_and_together() -> None:
    late = Tenant(READER, 1, start_s=1e-3)
    result = run_together(
        [Tenant(READER, 1, passes=2), late], CHIP, overrides={"cores": 2, "clock": FAST}
    )
    for tenant in result.tenants:
        path = result.paths[result.paths["name"] == tenant.name].set_index("resource")
        assert path["alone_s"].sum() == pytest.approx(tenant.alone_s, rel=1e-6)
        assert path["together_s"].sum() == pytest.approx(tenant.together_s, rel=1e-6)
        assert "gaps" not in path.index
        # The neighbour takes half of the memory, and nothing else.
        grown = path["together_s"] - path["alone_s"]
        assert grown["memory"] > 0.98 * (tenant.together_s - tenant.alone_s)


def test_tenants_with_too_much_work_are_refused_before_it_begins() -> None:
    with pytest.raises(WorkloadError, match=r"pieces of work .* limit 2,000,000: use fewer passes"):
        run_together([Tenant(READER, 1, passes=10**6)], CHIP)


def test_progress_goes_with_simulated_time() -> None:
    seen: list[tuple[str, int, int]] = []
    run_together([Tenant(READER, 1, passes=5)], CHIP, progress=lambda *told: seen.append(told))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1] >= 0.99 * seen[-1][2] and "ms simulated" in seen[-1][0]


def test_tenants_divide_the_memory_of_the_chip() -> None:
    halves = [Tenant(MAKER, 1), Tenant(MAKER, 1)]
    whole = load_system("tpu_v4").chip.on_chip_bytes
    placed = [
        _place(tenant, load_system("tpu_v4"), "tpu_v4", {}, i) for i, tenant in enumerate(halves)
    ]
    outcome = simulate([load_system("tpu_v4").chip], [one.placement(one.name, 0) for one in placed])
    rooms = [one.group.memory.capacity_bytes for one in outcome.sequencers if one.group.memory]
    assert rooms == [whole // 2, whole // 2]
