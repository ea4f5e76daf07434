"""Is what came ahead used as soon as an op is ready?"""

from __future__ import annotations

from tests.unit.engine.event.plans import Times, log, op, program, run


def test_pieces_that_are_there_do_not_wait_for_one_that_still_comes() -> None:
    # The first op ends at 25. Two pieces of the second are there since 10 and 20, its third comes
    # until 30: that is no reason to multiply the first of them at 30.
    first = op("first", Times(matrix=25))
    second = op("second", Times(load=10, matrix=10), 4, after=(0,), ahead=1.0)
    found = run(program(first, second))
    assert log(found, "load", "matrix") == [
        ("load second", 0, 10), ("matrix first", 0, 25), ("load second", 10, 20),
        ("load second", 20, 30), ("matrix second", 25, 35), ("load second", 30, 40),
        ("matrix second", 35, 45), ("matrix second", 45, 55), ("matrix second", 55, 65),
    ]  # fmt: skip
