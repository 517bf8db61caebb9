"""An owner's questions about a night, a week, a month or a year, each answered by one table.

Pure over what `queries` reads, so the page, the files and the terminal say the same. Words are the
machine's; the page has them in two languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

from web.nights.events import begin_of
from web.nights.fold import by_hour
from web.nights.queries import BarRow, HourRow, Listed, NightRow, Reader
from web.nights.spans import Span

Cell = int | float | str | None
#: From noon to noon, on all nights but two of the year.
USUAL_NIGHT_S = 86_400.0
#: A door that somebody closed so long before a span may be closed in it still.
CLOSED_BEFORE = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Table:
    """One answer: its name, the names of its columns, its rows."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def records(self) -> list[dict[str, Cell]]:
        """Return each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def percentile(counts: Mapping[int, int], part: float) -> int | None:
    """Return the smallest value that at least this part of all reach not over (nearest rank)."""
    wanted = part * sum(counts.values())
    reached = 0
    for value in sorted(counts):
        reached += counts[value]
        if reached >= wanted:
            return value
    return None


def iso_local(at_s: float) -> str | None:
    """Return a moment by the local clock, ISO 8601 with its offset; None for one not known."""
    return (
        datetime.fromtimestamp(at_s, UTC).astimezone().isoformat(timespec="seconds")
        if at_s
        else None
    )


NIGHT_COLUMNS = (
    "guests", "parties", "most", "knocks", "vain", "refused", "over_time", "asked", "doubted",
    "corrected", "wrong", "tailgated", "over_full", "alarms", "restarts", "missing",
)  # fmt: skip


BAR_COLUMNS = (
    "guests", "parties", "knocks", "vain", "refused", "over_time", "over_full", "alarms", "missing",
)  # fmt: skip


class Answers:
    """All answers for one span; each question is asked of the store when it is first needed."""

    def __init__(self, reader: Reader, span: Span) -> None:
        self._reader = reader
        self.span = span

    @cached_property
    def _nights(self) -> list[NightRow]:
        return self._reader.nights(self.span)

    @cached_property
    def _hours(self) -> list[HourRow]:
        return self._reader.hours(self.span)

    @cached_property
    def _tallies(self) -> dict[tuple[str, str], dict[int, int]]:
        return self._reader.tallies(self.span)

    def _words(self, kind: str) -> list[tuple[str, dict[int, int]]]:
        return [(word, counts) for (found, word), counts in self._tallies.items() if found == kind]

    def _counts(self, kind: str, word: str) -> dict[int, int]:
        return self._tallies.get((kind, word), {})

    # --- how many, and when ---------------------------------------------------------------------

    def totals(self) -> dict[str, int]:
        """Return the sums over all nights; ``open`` is how many nights had a guest or a knock."""
        found = {
            name: sum(row.totals[name] for row in self._nights)
            for name in NIGHT_COLUMNS
            if name != "most"
        }
        found["most"] = max((row.totals["most"] for row in self._nights), default=0)
        for name in ("open", "counted", "exact"):
            found[name] = sum(getattr(row, name) for row in self._nights)
        return found

    def nights(self) -> Table:
        """How many guests: night by night; ``exact`` says whether the count was right all night."""
        rows = [
            (row.night, row.weekday, *(row.totals[name] for name in NIGHT_COLUMNS), _exact(row))
            for row in self._nights
        ]
        return Table("nights", ("night", "weekday", *NIGHT_COLUMNS, "exact"), tuple(rows))

    def bars(self) -> Table:
        """The bars compared, first the one with most guests a night; ``exact`` ``of`` nights."""
        rows = []
        for row in sorted(self._reader.bars(self.span), key=_a_night, reverse=True):
            sums: list[Cell] = [row.totals[name] for name in BAR_COLUMNS]
            rows.append((row.venue, row.open, *sums, _a_night(row), row.exact, row.counted))
        columns = ("venue", "nights", *BAR_COLUMNS, "a_night", "exact", "of")
        return Table("bars", columns, tuple(rows))

    def hours(self) -> Table:
        """How full by hour: who was ``inside`` on average, how long it was full in a night."""
        nights = sum(row.open for row in self._nights)
        lasted_s = self._hours_last()
        rows = []
        for hour in _clock(row.hour for row in self._hours):
            found = [row for row in self._hours if row.hour == hour]
            guest_s = sum(row.guest_s for row in found)
            full_min = sum(row.full_s for row in found) / 60
            rows.append(
                (
                    hour,
                    sum(row.guests for row in found),
                    sum(row.parties for row in found),
                    round(guest_s / lasted_s[hour], 3) if lasted_s[hour] else 0.0,
                    round(full_min / nights, 2) if nights else 0.0,
                )
            )
        return Table("hours", ("hour", "guests", "parties", "inside", "full_min"), tuple(rows))

    def _hours_last(self) -> list[float]:
        """Return for each hour of the clock how long it was in all open nights, in seconds.

        On two nights of the year one hour comes twice, or not at all.
        """
        lasted_s = [0.0] * 24
        for row in self._nights:
            for hour, seconds in hours_of(row.night):
                lasted_s[hour] += seconds * row.open
        return lasted_s

    def weekdays(self) -> Table:
        """Which weekday is the busiest: guests of an open night."""
        rows = []
        for day in range(7):
            of_day = [row for row in self._nights if row.weekday == day]
            nights = sum(row.open for row in of_day)
            guests = sum(row.totals["guests"] for row in of_day)
            parties = sum(row.totals["parties"] for row in of_day)
            rows.append(
                (day, nights, guests, parties, round(guests / nights, 2) if nights else 0.0)
            )
        return Table("weekdays", ("weekday", "nights", "guests", "parties", "a_night"), tuple(rows))

    def week(self) -> Table:
        """When they come: guests by weekday and hour."""
        rows = [(row.weekday, row.hour, row.guests, row.parties) for row in self._hours]
        return Table("week", ("weekday", "hour", "guests", "parties"), tuple(rows))

    # --- how long -------------------------------------------------------------------------------

    def stays(self) -> Table:
        """How long do fours stay: by the most who were inside at once; minutes."""
        rows = []
        for word, counts in sorted(self._words("stay"), key=lambda found: int(found[0])):
            over = sum(self._counts("over", word).values())
            parties = sum(counts.values())
            rows.append(
                (int(word), parties, percentile(counts, 0.5), percentile(counts, 0.9), over)
            )
        columns = ("size", "parties", "median_min", "p90_min", "over_time")
        return Table("stays", columns, tuple(rows))

    def overtime(self) -> Table:
        """Who was over time: since when they were there, how many, by how many minutes."""
        rows = [
            (found.venue, found.night, iso_local(found.at_s), int(found.word), found.value)
            for found in self._reader.incidents(self.span, "overtime")
        ]
        return Table("overtime", ("venue", "night", "since", "size", "over_min"), tuple(rows))

    # --- knocks, refusals -----------------------------------------------------------------------

    def knocks(self) -> Table:
        """How many knocked in vain, and how long the others waited; seconds."""
        rows = []
        for place, counts in self._words("knock"):
            waited = self._counts("waited", place)
            rows.append(
                (
                    place,
                    sum(counts.values()),
                    sum(waited.values()),
                    percentile(waited, 0.5),
                    percentile(waited, 0.9),
                    sum(self._counts("vain", place).values()),
                )
            )
        columns = ("place", "knocks", "answered", "median_s", "p90_s", "vain")
        return Table("knocks", columns, tuple(rows))

    def refusals(self) -> Table:
        """How often did we refuse and why."""
        return self._often("refusals", "refused", "reason")

    def _often(self, name: str, kind: str, column: str) -> Table:
        rows = sorted(
            ((word, sum(counts.values())) for word, counts in self._words(kind)),
            key=lambda row: (-row[1], row[0]),
        )
        return Table(name, (column, "times"), tuple(rows))

    def closed(self) -> Table:
        """When were we closed by a person; ``until`` and ``minutes`` are empty while it lasts."""
        span = self.span
        longer = Span(span.kind, span.name, span.first - CLOSED_BEFORE, span.last)
        incidents = self._reader.incidents(longer, "closed", "opened")
        begin_s = begin_of(span.first).timestamp()
        rows = [
            (found.venue, found.word, iso_local(found.at_s), iso_local(until_s), minutes)
            for found, until_s, minutes in closures(incidents)
            if not until_s or until_s >= begin_s
        ]
        return Table("closed", ("venue", "kind", "since", "until", "minutes"), tuple(rows))

    # --- how right ------------------------------------------------------------------------------

    def questions(self) -> Table:
        """How often was the count in doubt: questions asked, doubtful passages, corrections."""
        totals = self.totals()
        asked = {word: sum(counts.values()) for word, counts in self._words("asked")}
        rows = (
            ("party", asked.get("party", 0)),
            ("everybody_left", asked.get("everybody_left", 0)),
            *((name, totals[name]) for name in ("doubted", "corrected", "wrong", "tailgated")),
        )
        return Table("questions", ("what", "times"), rows)

    def record(self) -> Table:
        """Return this door's own record: nights whose count was exact, of how many."""
        totals = self.totals()
        return Table("record", ("exact", "of"), ((totals["exact"], totals["counted"]),))

    def missed(self) -> Table:
        """What did the controller miss: gaps in the events' numbers; None where nobody knows."""
        rows = [
            (gap.venue, iso_local(gap.from_s), iso_local(gap.until_s), gap.missing)
            for gap in self._reader.gaps(self.span)
        ]
        return Table("missed", ("venue", "since", "until", "missing"), tuple(rows))

    def restarts(self) -> Table:
        """When did the controller start; ``doubt`` says that the door may have moved unseen."""
        rows = [
            (found.venue, iso_local(found.at_s), found.value)
            for found in self._reader.incidents(self.span, "restart")
        ]
        return Table("restarts", ("venue", "at", "doubt"), tuple(rows))

    def faults(self) -> Table:
        """Which faults there were."""
        return self._often("faults", "fault", "fault")

    def tables(self) -> list[Table]:
        """Return every answer."""
        return [getattr(self, name)() for name in TABLES]

    def as_dict(self) -> dict[str, Any]:
        """Return everything for a JSON file."""
        span = self.span
        return {
            "span": span.name,
            "first": span.first.isoformat(),
            "last": span.last.isoformat(),
            "totals": self.totals(),
            **{table.name: table.records() for table in self.tables()},
        }


@lru_cache(maxsize=4096)
def hours_of(night: str) -> tuple[tuple[int, float], ...]:
    """Return the hours of the clock from one noon to the next, each with its length in seconds."""
    begin = begin_of(date.fromisoformat(night))
    end_s = begin_of(begin.date() + timedelta(days=1)).timestamp()
    length_s = end_s - begin.timestamp()
    if length_s == USUAL_NIGHT_S:
        return tuple((hour, 3600.0) for hour in range(24))
    return tuple(by_hour(begin.timestamp(), length_s))


TABLES = (
    "record", "nights", "hours", "weekdays", "week", "stays", "overtime", "knocks", "refusals",
    "closed", "questions", "missed", "restarts", "faults", "bars",
)  # fmt: skip


def _a_night(row: BarRow) -> float:
    return round(row.totals["guests"] / row.open, 2) if row.open else 0.0


def _exact(row: NightRow) -> int | None:
    """Return how many doors were exact that night; None when none had a party."""
    return row.exact if row.counted else None


def _clock(hours: Iterable[int]) -> list[int]:
    """Return the hours from the first to the last as a night has them: from noon to noon."""
    places = sorted({(hour - 12) % 24 for hour in hours})
    return [(place + 12) % 24 for place in range(places[0], places[-1] + 1)] if places else []


def closures(incidents: Sequence[Listed]) -> list[tuple[Listed, float, int | None]]:
    """Pair each closing with the end of its kind: (closing, until, minutes); 0 and None: lasts.

    A second closing of the same kind changes nothing: it is closed already.
    """
    found: list[tuple[Listed, float, int | None]] = []
    standing: dict[tuple[str, str], int] = {}
    for one in incidents:
        key = (one.venue, one.word)
        if one.kind == "closed" and key not in standing:
            standing[key] = len(found)
            found.append((one, 0.0, None))
        elif one.kind == "opened" and key in standing:
            place = standing.pop(key)
            since = found[place][0]
            found[place] = (since, one.at_s, round((one.at_s - since.at_s) / 60))
    return found
