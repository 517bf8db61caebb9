"""Who comes next, and the next free two hours: midnight, closed days, and nights of 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.bookings.slots import (
    Booking,
    OpeningHours,
    SlotQuery,
    due,
    next_free,
    next_party,
    opening_windows,
    parse_opening_hours,
)

ROME = ZoneInfo("Europe/Rome")
EVERY_NIGHT = parse_opening_hours(["Mon-Sun 18:00-01:00"])
TWO_HOURS = timedelta(hours=2)


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ROME)


def booked(start: datetime, hours: float = 2, **more: object) -> Booking:
    return Booking(start, start + timedelta(hours=hours), **more)  # type: ignore[arg-type]


def ask(
    now: datetime, *bookings: Booking, hours: tuple[OpeningHours, ...] = EVERY_NIGHT
) -> datetime | None:
    query = SlotQuery(now, TWO_HOURS, timedelta(days=60), hours, ROME)
    return next_free(bookings, query)


def test_opening_hours_of_a_week() -> None:
    hours = parse_opening_hours(["Fri-Mon 18:00-01:00", "Tue 17:30-23:00"])
    assert [h.day for h in hours] == [4, 5, 6, 0, 1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("18:00-01:00", "unpack"),
        ("Mon 18", "unpack"),
        ("Mon-Xyz 18:00-01:00", "not in tuple"),
        ("Mon 25:00-01:00", "hour must be"),
    ],
)
def test_opening_hours_in_another_form_are_refused(wrong: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_opening_hours([wrong])


def test_next_free_now_is_the_next_quarter() -> None:
    assert ask(at(22, 19, 7)) == at(22, 19, 15)
    assert ask(at(22, 19, 15)) == at(22, 19, 15)


def test_next_free_before_opening_is_the_opening() -> None:
    assert ask(at(22, 12)) == at(22, 18)


def test_next_free_between_two_parties_must_fit_whole() -> None:
    first, second = booked(at(22, 18)), booked(at(22, 21, 30))
    assert ask(at(22, 17), first, second) == at(23, 18)
    assert ask(at(22, 17), first, booked(at(22, 22))) == at(22, 20)


def test_next_free_after_midnight_belongs_to_the_night_before() -> None:
    assert ask(at(22, 22, 50), booked(at(22, 22))) == at(23, 18)
    assert ask(at(23, 0, 10)) == at(23, 18)
    assert ask(at(22, 23)) == at(22, 23)


def test_next_free_after_two_full_weeks() -> None:
    full = [booked(at(day, 18), 7) for day in range(8, 22)]
    assert ask(at(8, 12), *full) == at(22, 18)


def test_next_free_skips_closed_days_and_needs_opening_hours() -> None:
    closed = booked(at(22, 0), 24, all_day=True)
    assert ask(at(22, 12), closed) == at(23, 18)
    assert ask(at(22, 12), hours=parse_opening_hours(["Sat 18:00-01:00"])) == at(28, 18)
    assert ask(at(22, 12), hours=()) is None
    assert ask(at(22, 12), booked(at(22, 0), 24 * 90)) is None


def test_opening_windows_when_the_clocks_are_put_back_are_an_hour_longer() -> None:
    """On 25 October 2026 at 3:00 it is 2:00 again; a house open until 3:30 has an hour more."""
    late = parse_opening_hours(["Sat 22:00-03:30"])
    party = booked(datetime(2026, 10, 24, 22, tzinfo=ROME), 4)
    found = ask(datetime(2026, 10, 24, 21, tzinfo=ROME), party, hours=late)
    assert found is not None
    assert found.astimezone(UTC) == datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    spring = parse_opening_hours(
        ["Sat 22:00-03:30"]
    )  # and on 28 March 2026 one less: 22:00 to 3:30 is 4.5 h
    party = booked(datetime(2026, 3, 28, 22, tzinfo=ROME), 3)
    assert ask(datetime(2026, 3, 28, 21, tzinfo=ROME), party, hours=spring) != datetime(
        2026, 3, 29, 1, tzinfo=ROME
    )


def test_next_party_of_each_moment() -> None:
    early, late = booked(at(22, 19), name="Rossi"), booked(at(22, 21), name="Verdi")
    closed = booked(at(22, 0), 24, all_day=True)
    parties = [late, early, closed]
    assert next_party(parties, at(22, 12), None) == early
    assert next_party(parties, at(22, 19, 29), None) == early
    assert next_party(parties, at(22, 19, 31), None) == late
    assert next_party(parties, at(22, 19, 5), at(22, 18, 55)) == late, "they are inside"
    assert next_party(parties, at(22, 23), None) is None


def test_due_for_a_knock_near_the_time() -> None:
    party = booked(at(22, 21))
    assert [due(party, at(22, 20, m)) for m in (30, 45)] == [False, True]
    assert due(party, at(22, 21, 25))
    assert not due(party, at(22, 21, 35))
    assert not due(None, at(22, 21))


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 40)), max_size=30),
    st.integers(0, 200),
)
def test_next_free_is_free_and_open(taken: list[tuple[int, int]], now_quarters: int) -> None:
    base = at(20, 18, month=10).astimezone(UTC)  # the clock is put back within
    bookings = [
        Booking(base + timedelta(minutes=15 * s), base + timedelta(minutes=15 * (s + n)))
        for s, n in taken
    ]
    now = base + timedelta(minutes=15 * now_quarters + 3)
    query = SlotQuery(now, TWO_HOURS, timedelta(days=60), EVERY_NIGHT, ROME)
    found = next_free(bookings, query)
    assert found is not None
    start = found.astimezone(UTC)
    assert start >= now
    assert all(b.end <= start or b.start >= start + TWO_HOURS for b in bookings)
    assert any(o <= start and start + TWO_HOURS <= c for o, c in opening_windows(query))
