"""Who comes next, and when the room is free for the next who asks: pure, on bookings and hours.

All arithmetic is in UTC, so a night on which the clock is put back is an hour longer and nothing
else. Opening hours are the house's local time and may cross midnight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: Nobody books for 20:07.
STEP = timedelta(minutes=15)
#: A party that is later than this is not coming; one that is earlier waits.
LATE = timedelta(minutes=30)
EARLY = timedelta(minutes=20)
#: How far from its time a session may begin and still be this party's.
NEAR = timedelta(minutes=45)


@dataclass(frozen=True, slots=True)
class Booking:
    """The room is taken; by a party, unless it lasts all day (then the house is closed)."""

    start: datetime
    end: datetime
    name: str = ""
    size: int | None = None
    all_day: bool = False


@dataclass(frozen=True, slots=True)
class Hours:
    """Open on weekday ``day`` (0 is Monday), perhaps into the next day."""

    day: int
    opens: time
    closes: time


def hours_of(texts: Iterable[str]) -> tuple[Hours, ...]:
    """Read ``Mon-Sat 18:00-01:00``; raises ValueError for anything else."""
    return tuple(hours for text in texts for hours in _hours(text))


def _hours(text: str) -> Iterator[Hours]:
    days, times = text.split()
    first, _, last = days.partition("-")
    begin, count = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7 + 1
    opens, closes = times.split("-")
    for day in range(begin, begin + count):
        yield Hours(day % 7, time.fromisoformat(opens), time.fromisoformat(closes))


def next_party(
    bookings: Iterable[Booking], now: datetime, session_began: datetime | None
) -> Booking | None:
    """Return the party that is expected next; one whose session runs already is not."""
    parties = sorted((b for b in bookings if not b.all_day), key=lambda b: b.start)
    for party in parties:
        came = session_began is not None and abs(session_began - party.start) <= NEAR
        if party.start >= now - LATE and not came:
            return party
    return None


def due(party: Booking | None, now: datetime) -> bool:
    """Tell whether a knock at the door may be this party."""
    return party is not None and -LATE <= party.start - now <= EARLY


@dataclass(frozen=True, slots=True)
class Question:
    """What a guest asks: from when on, for how long, how far ahead; and the house's hours."""

    now: datetime
    length: timedelta
    horizon: timedelta
    hours: Sequence[Hours]
    zone: ZoneInfo


def next_free(bookings: Iterable[Booking], question: Question) -> datetime | None:
    """Return when the room is next free for that long within opening hours, in local time."""
    taken = sorted(
        (b.start.astimezone(UTC), b.end.astimezone(UTC)) for b in bookings if b.end > question.now
    )
    for opens, closes in windows(question):
        start = _rounded(max(opens, question.now.astimezone(UTC)))
        for begin, end in taken:
            if begin < start + question.length and end > start:
                start = _rounded(end)
        if start + question.length <= closes:
            return start.astimezone(question.zone)
    return None


def windows(question: Question) -> Iterator[tuple[datetime, datetime]]:
    """Yield the stretches in UTC in which the house is open, the earliest first."""
    today = question.now.astimezone(question.zone).date()
    for day in range(-1, question.horizon.days + 1):
        at = today + timedelta(days=day)
        for hours in sorted(question.hours, key=lambda h: h.opens):
            if hours.day == at.weekday():
                yield _window(at, hours, question.zone)


def _window(at: date, hours: Hours, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = at if hours.closes > hours.opens else at + timedelta(days=1)
    opens = datetime.combine(at, hours.opens, zone)
    closes = datetime.combine(last, hours.closes, zone)
    return opens.astimezone(UTC), closes.astimezone(UTC)


def _rounded(at: datetime) -> datetime:
    """Return the next full quarter of an hour."""
    past = (at - datetime.min.replace(tzinfo=UTC)) % STEP
    return at if not past else at + STEP - past
