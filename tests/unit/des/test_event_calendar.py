"""Do cancelled calls leave no trace: not in what happens, not in the time, not in memory?"""

from __future__ import annotations

import pytest

from accelsim.des.event_calendar import EventCalendar


def test_a_cancelled_call_neither_happens_nor_takes_time() -> None:
    calendar, seen = EventCalendar(), []
    calendar.call(lambda _: seen.append(("kept", calendar.now)), 5)
    late = calendar.call(lambda _: seen.append(("late", calendar.now)), 100)
    early = calendar.call(lambda _: seen.append(("early", calendar.now)), 1)
    calendar.cancel(late)
    calendar.cancel(early)
    assert calendar.peek() == 5
    calendar.run()
    assert (seen, calendar.now, calendar.peek()) == ([("kept", 5)], 5, float("inf"))


def test_step_passes_over_cancelled_calls() -> None:
    calendar, seen = EventCalendar(), []
    calendar.cancel(calendar.call(lambda _: seen.append(1), 1))
    calendar.call(lambda _: seen.append(2), 2)
    calendar.step()
    assert (seen, calendar.now) == ([2], 2)


def test_cancelled_calls_do_not_fill_the_heap() -> None:
    calendar, seen = EventCalendar(), []
    for i in range(100_000):
        calendar.cancel(calendar.call(lambda _: None, 10**9 + i))
        calendar.call(lambda _: None, 1)
        calendar.run(calendar.now + 2)
        assert len(calendar._queue) < 200
    calendar.call(lambda _: seen.append(calendar.now), 5)
    calendar.run()
    assert seen == [200_005]


@pytest.mark.parametrize("stepwise", [False, True])
def test_an_instant_ends_when_all_that_it_brings_has_happened(stepwise: bool) -> None:
    calendar, seen = EventCalendar(), []

    def first(_: object) -> None:
        calendar.at_end(lambda: seen.append(("end", calendar.now)))
        calendar.call(lambda _: brings(), 0)

    def brings() -> None:
        seen.append(("brought", calendar.now))
        calendar.at_end(again)

    def again() -> None:
        seen.append(("second end", calendar.now))
        calendar.call(lambda _: seen.append(("after it", calendar.now)), 0)

    calendar.call(first, 3)
    calendar.cancel(calendar.call(lambda _: None, 3))
    calendar.call(lambda _: seen.append(("later", calendar.now)), 4)
    if stepwise:
        while calendar.peek() < float("inf"):
            calendar.step()
    else:
        calendar.run()
    names = ["brought", "end", "second end", "after it", "later"]
    assert seen == [(name, 4 if name == "later" else 3) for name in names]


def test_what_happened_can_happen_again() -> None:
    calendar, seen = EventCalendar(), []
    event = calendar.call(lambda _: seen.append(calendar.now), 2)
    calendar.run()
    calendar.again(event, [lambda _: seen.append(-calendar.now)], 5)
    calendar.run()
    assert seen == [2, -7]
