"""The next party, and the next free slot: pure functions of bookings and opening hours.

All arithmetic is in UTC, so the night on which the clocks are put back is one hour longer and
nothing else changes. Opening hours are local time of the bar and may cross midnight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: A free slot begins at a full quarter of an hour.
STEP = timedelta(minutes=15)
#: A party that is later than this does not come; a knock earlier than `EARLY` is not theirs.
LATE = timedelta(minutes=30)
EARLY = timedelta(minutes=20)
#: A session that began within this time of the booking is that party's.
SESSION_MATCH = timedelta(minutes=45)


@dataclass(frozen=True, slots=True)
class Booking:
    """A time at which the room is taken: by a party, or all day (then the bar is closed).

    ``unreadable``: what it says can't be read for certain, so nobody is expected because of it.
    """

    start: datetime
    end: datetime
    name: str = ""
    size: int | None = None
    all_day: bool = False
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Opening hours of weekday ``day`` (0 is Monday); they may end on the next day."""

    day: int
    opens: time
    closes: time


def parse_opening_hours(texts: Iterable[str]) -> tuple[OpeningHours, ...]:
    """Return opening hours from texts like ``Mon-Sat 18:00-01:00``; raise ValueError for others."""
    return tuple(hours for text in texts for hours in _hours(text))


def _hours(text: str) -> Iterator[OpeningHours]:
    days, times = text.split()
    first, _, last = days.partition("-")
    begin, count = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7 + 1
    opens, closes = times.split("-")
    for day in range(begin, begin + count):
        yield OpeningHours(day % 7, time.fromisoformat(opens), time.fromisoformat(closes))


def next_party(
    bookings: Iterable[Booking], now: datetime, session_began: datetime | None
) -> Booking | None:
    """Return the party that is expected next, or None; not one whose session has begun."""
    parties = [b for b in bookings if not (b.all_day or b.unreadable)]
    parties.sort(key=lambda b: b.start)
    for party in parties:
        came = session_began is not None and abs(session_began - party.start) <= SESSION_MATCH
        if party.start >= now - LATE and not came:
            return party
    return None


def due(party: Booking | None, now: datetime) -> bool:
    """Return whether a knock at the front door may be this party."""
    return party is not None and -LATE <= party.start - now <= EARLY


@dataclass(frozen=True, slots=True)
class SlotQuery:
    """A question for a free slot: from ``now`` on, so long, within ``horizon``, when it is open."""

    now: datetime
    length: timedelta
    horizon: timedelta
    hours: Sequence[OpeningHours]
    zone: ZoneInfo


def next_free(bookings: Iterable[Booking], query: SlotQuery) -> datetime | None:
    """Return the local time at which the next free slot begins, or None within the horizon."""
    taken = sorted(
        (b.start.astimezone(UTC), b.end.astimezone(UTC)) for b in bookings if b.end > query.now
    )
    for opens, closes in opening_windows(query):
        start = _rounded(max(opens, query.now.astimezone(UTC)))
        for begin, end in taken:
            if begin >= start + query.length:
                break
            if end > start:
                start = _rounded(end)
        if start + query.length <= closes:
            return start.astimezone(query.zone)
    return None


def opening_windows(query: SlotQuery) -> Iterator[tuple[datetime, datetime]]:
    """Yield the times between which the bar is open, in UTC, the earliest first."""
    today = query.now.astimezone(query.zone).date()
    for day in range(-1, query.horizon.days + 1):
        at = today + timedelta(days=day)
        for hours in sorted(query.hours, key=lambda h: h.opens):
            if hours.day == at.weekday():
                yield _window(at, hours, query.zone)


def _window(at: date, hours: OpeningHours, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = at if hours.closes > hours.opens else at + timedelta(days=1)
    opens = datetime.combine(at, hours.opens, zone)
    closes = datetime.combine(last, hours.closes, zone)
    return opens.astimezone(UTC), closes.astimezone(UTC)


def _rounded(at: datetime) -> datetime:
    """Return the next full quarter of an hour."""
    past = (at - datetime.min.replace(tzinfo=UTC)) % STEP
    return at if not past else at + STEP - past
