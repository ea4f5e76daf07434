"""What `simulate_dram` refuses, and whether it says what was wrong and what to try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.loader import load_memory
from accelsim.errors import AccelsimError, SimulationError, SpecError
from accelsim.results.dram import DramResult
from accelsim.scenarios.dram import simulate_dram
from accelsim.timing.dram.controller import Controller

STREAM = 64 * np.arange(30)


def run(addresses: Any = STREAM, is_write: Any = False, **options: Any) -> DramResult:
    return simulate_dram(options.pop("memory", "hbm2_2000"), addresses, is_write, **options)


TRAFFIC: list[tuple[Any, Any, str]] = [
    ([], False, r"shape \(0,\): expected a list of one or more"),
    (64, False, r"shape \(\): expected a list"),
    (STREAM.reshape(5, 6), False, r"shape \(5, 6\): expected a list"),
    ([[64], [64, 128]], False, "no list of numbers"),
    (STREAM * 1.0, False, "addresses are float64, expected whole numbers of bytes"),
    (STREAM > 0, False, "addresses are bool"),
    ([1 << 80], False, "addresses are object"),
    (["64"], False, "addresses are <U2"),
    (STREAM - 64, False, r"address -64 \(access 0\) is outside the 536870912 B"),
    (
        [0, 536870912],
        False,
        r"address 536870912 \(access 1\) is outside .*: simulate more channels",
    ),
    ([536870912 - 32], False, "is outside"),
    ([(1 << 63) - 1], False, "address 9223372036854775807"),
    (np.array([1 << 63], np.uint64), False, "address 9223372036854775808"),
    ([0, 65], False, r"address 65 \(access 1\) is no multiple of 32 B"),
    (STREAM, [True, False], r"is_write has shape \(2,\), addresses \(30,\): expected one for each"),
    (STREAM, np.zeros((30, 1), bool), "is_write has shape"),
    (STREAM, ["w"] * 30, "is_write is <U1, expected bool"),
    (STREAM, np.full(30, np.nan), "is_write is float64, expected bool"),
    (STREAM, None, "is_write is object, expected bool"),
]


@pytest.mark.parametrize(("addresses", "is_write", "message"), TRAFFIC)
def test_traffic(addresses: Any, is_write: Any, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        run(addresses, is_write)


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"scheduler": "frfcfs"}, "scheduler 'frfcfs' is unknown: did you mean 'fr-fcfs'"),
    ({"scheduler": None}, "scheduler 'None' is unknown: known: fcfs, fr-fcfs"),
    ({"scheduler": ["fcfs"]}, "scheduler .* is unknown"),
    ({"page_policy": "close"}, "page_policy 'close' is unknown: did you mean 'closed'"),
    ({"refresh": "allbank"}, "refresh 'allbank' is unknown: did you mean 'all-bank'"),
    ({"address_map": "bgxi"}, "address map 'bgxi' is unknown: did you mean 'bgi' or 'bgix'"),
    ({"address_map": ""}, "address map '' is unknown: known: bgi, .* or give fields such as"),
    ({"address_map": None}, "address map None is no text"),
    ({"read_queue": 0}, "read_queue 0 is not between 1 and 4096"),
    ({"write_queue": 1 << 30}, "write_queue 1073741824 is not between 1 and 4096"),
    ({"write_queue": 8.0}, "write_queue 8.0 is not a whole number"),
    ({"read_queue": True}, "read_queue True is not a whole number"),
    ({"stage_depth": 0}, "stage_depth 0 is not between"),
    ({"outstanding": -1}, "outstanding -1 is not between"),
    ({"write_low": 0.9}, "write_low 0.9 and write_high 0.8: expected 0 <= write_low < write_high"),
    ({"write_low": 0.8}, "expected 0 <= write_low < write_high <= 1"),
    ({"write_low": float("nan")}, "write_low nan"),
    ({"write_high": float("inf")}, "write_high inf"),
    ({"write_high": "most"}, "write_high 'most'"),
    ({"channels": 0}, "channels 0 is not between 1 and 1024"),
    ({"channels": 1 << 20}, "channels 1048576 is not between 1 and 1024"),
    ({"channels": 2.0}, "channels 2.0 is not a whole number"),
    ({"pseudo_channels": 0}, "pseudo_channels 0 is not between 1 and 2"),
    ({"pseudo_channels": 1.5}, "pseudo_channels 1.5 is not a whole number"),
    ({"pseudo_channels": "2"}, "pseudo_channels '2' is not a whole number"),
    ({"pseudo_channels": 3}, "pseudo_channels 3 is not between 1 and 2"),
    ({"access_bytes": 0}, "access_bytes 0 is not between 1 and"),
    ({"access_bytes": 48}, "access_bytes 48 is no multiple of a burst of 'hbm2_2000', 32 B"),
    ({"access_bytes": 64.0}, "access_bytes 64.0 is not a whole number"),
    ({"trace_commands": -1}, "trace_commands -1 is not between"),
    ({"trace_commands": 1.5}, "trace_commands 1.5 is not a whole number"),
    ({"trace_commands": 10**12}, "trace_commands 1000000000000 is not between"),
    ({"channel_interleave_bytes": 0}, "channel_interleave_bytes 0 is not between"),
    ({"channels": 2, "channel_interleave_bytes": 100}, "cuts bursts of 'hbm2_2000': take a multi"),
    ({"memory": "ddr4_3200", "refresh": "per-bank"}, "DDR4 has no refresh of one bank here: take"),
    ({"memory": "ddr5_4800", "refresh": "per-bank"}, "DDR5 has no refresh of one bank here: take"),
    ({"outstandin": 3}, "no option 'outstandin': did you mean 'outstanding'"),
    ({"memory": "ddr3_2133", "refresh": "per-bank"}, "DDR3 has no refresh of one bank here: take"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        run(**options)


MAPS: list[tuple[str, str]] = [
    (":", "':' is no field such as 'bank:2'"),
    ("column:5 group:2 bank:2 row", "0 bits of rank, but 'hbm2_2000' has 2"),
    ("column:5 group:3 rank:1 bank:2 row", r"3 bits of group, but 'hbm2_2000' has 4 \(2 bits\)"),
    ("column:5 group:2 rank:1 bank:2", "the last is 'row' without"),
    ("row column:5 group:2 rank:1 bank:2", "every field but the last has bits"),
    ("column:5 groop:2 rank:1 bank:2 row", "unknown field 'groop': did you mean 'group'"),
    ("column:5 group:2 rank:1 bank:2 stack:0 row", "'stack:0': a field has 1 to 40 bits"),
    ("column:5 group:2 rank:1 row:80 bank:2 row", "'row:80': a field has 1 to 40 bits"),
    ("column:5 group:2 rank:1 bank:2 row; row^bank[0]", "rows with none"),
    ("column:5 group:2 rank:1 bank:2 row; bank^bank[0]", "hashed with another one"),
    ("column:5 group:2 rank:1 bank:2 row; stack^row[0]", "hashes no bits of this memory"),
    ("column:5 group:2 rank:1 bank:2 row; bank^row[70]", "hashes no bits of this memory"),
    ("column:5 group:2 rank:1 bank:2 row; bank^column[5]", "hashes no bits of this memory"),
    ("column:5 group:2 rank:1 bank:2 row; bank+row", "'bank[+]row' is no hash such as"),
]


@pytest.mark.parametrize(("text", "message"), MAPS)
def test_address_maps(text: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        run(address_map=text)


def test_a_field_without_bits_does_not_take_the_rest() -> None:
    """It did once, and banks beyond the last were written to."""
    with pytest.raises(SimulationError, match="'rank:0'"):
        run(pseudo_channels=1, address_map="column:1 rank:0 group:2 column:4 bank:2 row")


MEMORIES: list[tuple[dict[str, Any], type[AccelsimError], str]] = [
    ({"timing": None}, SpecError, "'hbm2_2000' has no timing: give it the section 'timing'"),
    ({"capacity_bytes": None}, SpecError, "capacity: not stated"),
    ({"standard": "HBM9"}, SpecError, "standard 'HBM9' is unknown: did you mean 'HBM4'"),
    ({"bank_groups": 0}, SimulationError, "banks of a channel 0 is not between 1 and 1024"),
    ({"bank_groups": 3}, SimulationError, "3 bank groups: address maps need a power of two"),
    ({"banks_per_group": 6}, SimulationError, "6 banks per group: address maps need"),
    ({"stack_ids": 3}, SimulationError, "3 stack ids: address maps need"),
    ({"ranks": 2}, SimulationError, "'hbm2_2000' has ranks and pseudo-channels: not modelled"),
    ({"stack_ids": 128}, SimulationError, "banks of a channel 4096 is not between 1 and 1024"),
]


@pytest.mark.parametrize(("change", "error", "message"), MEMORIES)
def test_memories_that_no_bank_model_can_have(
    change: dict[str, Any], error: type[AccelsimError], message: str
) -> None:
    memory = load_memory("hbm2_2000").model_copy(update=change)
    with pytest.raises(error, match=message):
        run(memory=memory)


def test_an_unknown_memory_is_named_with_its_neighbours() -> None:
    with pytest.raises(SpecError, match="hbm3_6400"):
        run(memory="hbm3_640")


def test_a_short_row_has_room_for_every_map() -> None:
    for page_bytes in (32, 64):
        memory = load_memory("hbm2_2000").model_copy(update={"page_bytes": page_bytes})
        for name in ("robaracoch", "mop4clxor", "bgi", "bgix", "bgixp"):
            assert run(memory=memory, address_map=name).reads == 60


def test_writes_drain_to_the_last_where_the_low_watermark_is_zero() -> None:
    """It waited for less than none once, for ever."""
    mixed = run(64 * np.arange(100), np.arange(100) % 2 == 0, write_low=0.0)
    assert (mixed.reads, mixed.writes) == (100, 100)


words = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 5), st.floats(allow_nan=True), st.text(max_size=6),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@given(st.sampled_from(sorted(vars(Controller()))), words)
def test_no_value_of_an_option_breaks_the_controller(name: str, value: Any) -> None:
    """Either a controller or a named error."""
    allowed_or_named(lambda: run(STREAM[:3], **{name: value}))


piece = st.sampled_from(
    ["column:1", "column:4", "column:5", "group:2", "rank:1", "bank:2", "row", "row:3", "bank:0",
     "stack:1", ";", "group^row[0]", "bank^row[44]", "rank^column[1]", "row^bank[0]", "x", ","]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(piece, max_size=9))
def test_no_address_map_breaks_the_model(pieces: list[str]) -> None:
    allowed_or_named(lambda: run(STREAM[:3], address_map=" ".join(pieces)))


def allowed_or_named(attempt: Callable[[], DramResult]) -> None:
    try:
        result = attempt()
    except AccelsimError as problem:
        assert len(str(problem)) > 20
    else:
        assert result.ticks > 0
