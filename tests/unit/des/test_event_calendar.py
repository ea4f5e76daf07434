"""Do cancelled calls leave no trace: not in what happens, not in the time, not in memory?"""

from __future__ import annotations

from accelsim.des.event_calendar import LAST, EventCalendar


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


def test_what_is_last_comes_after_what_the_instant_brings() -> None:
    calendar, seen = EventCalendar(), []
    calendar.call(lambda _: seen.append("last"), 3, LAST)

    def brings(_: object) -> None:
        seen.append("first")
        calendar.call(lambda _: seen.append("brought"), 0)

    calendar.call(brings, 3)
    calendar.run()
    assert seen == ["first", "brought", "last"]
