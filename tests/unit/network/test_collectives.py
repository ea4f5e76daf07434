"""Collective times reckoned by hand, and what must hold for all of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.arch.loader import load_chip, load_system
from accelsim.arch.system import Level, System
from accelsim.errors import MappingError
from accelsim.files import find_data
from accelsim.network.collectives import collective_cost, spanned_levels
from accelsim.workload.ops import COLLECTIVES, Collective

SYSTEMS = tuple(sorted(find_data("arch_specs/systems", ".yaml")))
MB = 1e6


def level(topology: str, shape: tuple[int, ...], bandwidth: str, latency: str) -> Level:
    basis = {"value": bandwidth, "basis": "per_direction"}
    return Level.model_validate(
        {"name": topology, "topology": topology, "shape": list(shape), "bandwidth": basis,
         "latency": latency}
    )  # fmt: skip


def system(*levels: Level) -> System:
    return System("s", "s", load_chip("teach_systolic_128x128"), levels)


def op(fn: str, size_bytes: float, devices: int) -> Collective:
    return Collective(fn, fn=fn, size_bytes=size_bytes, devices=devices)


SWITCH = level("switch", (8,), "100 GB/s", "1 us")
RING = level("ring", (8,), "100 GB/s", "1 us")
TORUS = level("torus2d", (4, 4), "100 GB/s", "1 us")
MESH = level("mesh2d", (4, 4), "100 GB/s", "1 us")
CUBE = level("torus3d", (4, 4, 4), "300 GB/s", "1 us")
FULL = level("fully_connected", (8,), "70 GB/s", "1 us")
OUTER = level("fat_tree", (4,), "10 GB/s", "5 us")


@pytest.mark.parametrize(
    ("fn", "on", "devices", "want_us"),
    [
        ("all_reduce", SWITCH, 8, 2 * 1 + 2 * 7 / 8 * 1000),  # 100 MB at 100 GB/s is 1 ms
        ("all_reduce", SWITCH, 2, 2 * 1 + 2 * 1 / 2 * 1000),
        ("all_reduce", RING, 8, 14 * 1 + 2 * 7 / 8 * 1000),
        ("all_reduce", TORUS, 16, 2 * 6 * 1 + 2 * 15 / 16 * 1000),
        ("all_gather", RING, 8, 7 * 1 + 7 / 8 * 1000),
        ("reduce_scatter", SWITCH, 8, 1 + 7 / 8 * 1000),
        ("all_reduce", RING, 4, 6 * 1 + 2 * 3 / 4 * 2000),  # half a ring: one link of two
        ("all_reduce", MESH, 16, 2 * 6 * 1 + 2 * 15 / 16 * 2000),  # a corner: two links of four
        ("all_reduce", TORUS, 5, 2 * 4 * 1 + 2 * 4 / 5 * 4000),  # a line: one link of four
        ("all_reduce", FULL, 2, 2 * 1 + 2 * 1 / 2 * 10_000),  # one link of seven: 10 GB/s
        ("all_to_all", SWITCH, 8, 1 + 7 / 8 * 1000),
        ("all_to_all", FULL, 4, 1 + 3 / 4 * 100e6 / 30e9 * 1e6),
        ("all_to_all", RING, 8, 7 + 4 * 4 * 1000 / 8),  # 4 x 4 x S/8 cross 2 links of 50 GB/s
        ("all_to_all", RING, 4, 3 + 2 * 2 * 2000 / 4),  # 2 x 2 x S/4 cross 1 link
        ("all_to_all", RING, 3, 2 + 1 * 2 * 2000 / 3),  # both others send to the end: S/3 each
        ("all_to_all", TORUS, 16, 6 + 8 * 8 * 4000 / 16 / 8),  # 8 links of 25 GB/s: two per ring
        ("all_to_all", MESH, 16, 6 + 8 * 8 * 4000 / 16 / 4),
        ("all_to_all", TORUS, 12, 5 + 4 * 8 * 4000 / 12 / 4),  # 3 open rows are the narrow way
        ("send_recv", SWITCH, 2, 1 + 1000),
    ],
)
def test_one_level_by_hand(fn: str, on: Level, devices: int, want_us: float) -> None:
    cost = collective_cost(op(fn, 100 * MB, devices), system(on))
    assert cost.latency_s == pytest.approx(want_us * 1e-6, rel=1e-12)


def test_two_levels_by_hand() -> None:
    """Reduce-scatter and all-gather of 100 MB inside; all-reduce of 12.5 MB shards outside."""
    cost = collective_cost(op("all_reduce", 100 * MB, 32), system(SWITCH, OUTER))
    inside = 2 * 1e-6 + 2 * 7 / 8 * 100e6 / 100e9
    outside = 2 * 5e-6 + 2 * 3 / 4 * 12.5e6 / 10e9
    assert cost.latency_s == pytest.approx(inside + outside, rel=1e-12)
    assert cost.sent_bytes == pytest.approx(2 * 31 / 32 * 100 * MB)  # no algorithm sends less


def test_a_message_across_levels_is_sent_once_at_the_slowest_rate() -> None:
    cost = collective_cost(op("send_recv", 100 * MB, 32), system(SWITCH, OUTER))
    assert cost.sent_bytes == 100 * MB
    assert cost.latency_s == pytest.approx(1e-6 + 5e-6 + 100e6 / 10e9)


def test_one_device_talks_to_nobody() -> None:
    cost = collective_cost(op("all_reduce", MB, 1), system(SWITCH))
    assert (cost.latency_s, cost.sent_bytes) == (0.0, 0.0)


@given(
    name=st.sampled_from(SYSTEMS),
    fn=st.sampled_from(COLLECTIVES),
    size=st.floats(1, 1e12),
    factor=st.floats(1, 1e3),
    devices=st.integers(2, 64),
)
def test_more_bytes_never_take_less_time(
    name: str, fn: str, size: float, factor: float, devices: int
) -> None:
    on = load_system(name)
    try:
        spanned_levels(on, devices)
    except MappingError:
        return
    small = collective_cost(op(fn, size, devices), on)
    large = collective_cost(op(fn, size * factor, devices), on)
    assert 0 < small.latency_s <= large.latency_s * (1 + 1e-12)
    assert small.wire_s <= small.latency_s


def test_more_devices_behind_a_switch_never_take_less_time() -> None:
    times = [
        collective_cost(op("all_reduce", MB, devices), system(SWITCH)).latency_s
        for devices in range(1, SWITCH.size + 1)
    ]
    assert times == sorted(times)


def test_a_part_of_a_ring_slows_down_until_the_ring_closes() -> None:
    times = [
        collective_cost(op("all_reduce", MB, devices), system(RING)).latency_s
        for devices in range(1, RING.size + 1)
    ]
    assert times[:-1] == sorted(times[:-1])
    assert times[-1] < times[-2]  # a whole ring has two links per chip, a part only one


def bus_bytes_per_s(on: System, devices: int) -> float:
    """Rate that nccl-tests calls bus bandwidth, of an all_reduce too large for latency."""
    size = 1e12
    cost = collective_cost(op("all_reduce", size, devices), on)
    return 2 * (devices - 1) / devices * size / cost.wire_s


@pytest.mark.parametrize(
    ("on", "devices", "links", "of"),
    [
        (RING, 2, 1, 2),
        (RING, 4, 1, 2),  # half of it
        (RING, 8, 2, 2),
        (MESH, 2, 1, 4),
        (MESH, 4, 1, 4),  # a row, not closed
        (MESH, 16, 2, 4),
        (CUBE, 8, 3, 6),  # a ring along one axis, a pair along the next
        (CUBE, 27, 3, 6),  # 3 x 3 x 3: no ring is whole
        (CUBE, 32, 5, 6),  # a plane of rings, twice
        (TORUS, 6, 2, 4),  # 3 x 2
        (TORUS, 7, 1, 4),  # a line
        (level("torus3d", (4, 1, 4), "1 GB/s", "1 us"), 4, 2, 4),  # no links along a length of 1
    ],
)
def test_links_in_use_by_hand(on: Level, devices: int, links: int, of: int) -> None:
    want = on.bandwidth_bytes_per_s * links / of
    assert bus_bytes_per_s(system(on), devices) == pytest.approx(want)


@pytest.mark.parametrize("name", SYSTEMS)
def test_bus_bandwidth_stays_within_the_chip(name: str) -> None:
    on = load_system(name)
    into_level = on.levels[0].bandwidth_bytes_per_s
    for tp in (count for count in (2, 4, 8) if count <= on.chips):
        assert bus_bytes_per_s(on, tp) <= into_level * (1 + 1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_doubling_a_group_never_leaves_it_less_bandwidth(name: str) -> None:
    """Along powers of two; counts between them may close fewer rings (see below)."""
    inner = load_system(name).levels[0]
    counts = [2**k for k in range(1, inner.size.bit_length()) if 2**k <= inner.size]
    rates = [bus_bytes_per_s(system(inner), count) for count in counts]
    assert all(less <= more * (1 + 1e-12) for less, more in itertools.pairwise(rates))


@pytest.mark.parametrize("on", [SWITCH, FULL, RING], ids=lambda on: on.topology)
def test_one_more_member_never_leaves_less_bandwidth_on_one_axis(on: Level) -> None:
    rates = [bus_bytes_per_s(system(on), count) for count in range(2, on.size + 1)]
    assert all(less <= more * (1 + 1e-12) for less, more in itertools.pairwise(rates))


def test_a_count_that_closes_no_ring_has_less_than_a_smaller_one_that_does() -> None:
    """The exception: 8 of 4 x 4 are two closed rows, 9 are 3 x 3, and 5 only make a line."""
    rates = {count: bus_bytes_per_s(system(TORUS), count) for count in (4, 5, 8, 9)}
    assert rates[5] < rates[4]
    assert rates[9] < rates[8]


@pytest.mark.parametrize("topology", ["ring", "fully_connected", "switch"])
def test_a_level_of_one_member_costs_no_bandwidth(topology: str) -> None:
    one = level(topology, (1,), "1 GB/s", "1 us")
    for fn in ("all_reduce", "all_to_all"):
        with_it = collective_cost(op(fn, MB, 8), system(one, SWITCH))
        without = collective_cost(op(fn, MB, 8), system(SWITCH))
        assert with_it.wire_s == pytest.approx(without.wire_s)


@pytest.mark.parametrize(
    ("name", "devices", "links", "of"),
    [
        ("mi300x_8", 2, 1, 7),  # one pair: one of seven links
        ("mi300x_8", 8, 7, 7),
        ("tpu_v4_4x4x4", 2, 1, 6),  # neighbours on one axis
        ("tpu_v4_4x4x4", 4, 2, 6),  # a ring along one axis
        ("tpu_v4_4x4x4", 16, 4, 6),  # a plane of rings
        ("tpu_v4_4x4x4", 64, 6, 6),
        ("tpu_v5e_2x2", 4, 2, 2),  # every chip of 2 x 2 has two links and uses both
        ("tpu_v5e_2x2", 2, 1, 2),
        ("tpu_v5e_4x4", 16, 2, 4),  # a mesh: its corner has one link per axis
        ("dgx_h100", 2, 1, 1),  # a switch gives any pair everything
    ],
)
def test_a_part_of_a_network_has_only_its_own_links(
    name: str, devices: int, links: int, of: int
) -> None:
    on = load_system(name)
    into_level = on.levels[0].bandwidth_bytes_per_s
    assert bus_bytes_per_s(on, devices) == pytest.approx(into_level * links / of)


@pytest.mark.parametrize("fn", ["all_reduce", "all_gather", "reduce_scatter"])
def test_no_device_sends_less_than_the_lower_bound(fn: str) -> None:
    for name in SYSTEMS:
        on = load_system(name)
        devices = on.chips
        cost = collective_cost(op(fn, MB, devices), on)
        rounds = 2 if fn == "all_reduce" else 1
        assert cost.sent_bytes >= rounds * (devices - 1) / devices * MB * (1 - 1e-12)


@pytest.mark.parametrize(("devices", "told"), [(33, "has 32"), (12, "multiple of 8")])
def test_counts_that_do_not_fit_are_refused_with_a_way_out(devices: int, told: str) -> None:
    with pytest.raises(MappingError, match=told):
        collective_cost(op("all_reduce", MB, devices), system(SWITCH, OUTER))
