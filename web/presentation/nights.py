"""The history in words and pictures: calendar, charts, tables; and one night as *Tonight* has it.

The charts are drawn by the template from the coordinates that stand here, as *Tonight*'s is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from controller.codec import iso
from web.language import _, decimal, lazy, plural
from web.nights.answers import Answers, Cell, Table
from web.nights.events import Event
from web.nights.spans import Span, span_of
from web.presentation.chart import BOTTOM, LEFT, RIGHT, TOP
from web.presentation.labels import FAULTS, REASONS, event_words

#: Events that tell a person who reads the evening nothing.
SILENT = frozenset({"passage_aborted", "door_opened"})
#: Levels of a chart's scale at most, and labels under it.
MOST_LEVELS, MOST_LABELS = 5, 13
#: A list has so many rows on the page; its file has all.
MOST_ROWS = 20
LISTS = ("overtime", "closed", "missed", "restarts")
AFTER_LAST = timedelta(minutes=10)

#: Not from Babel, whose dates cost 3 MiB for each language.
DAYS = (
    lazy("Monday"),
    lazy("Tuesday"),
    lazy("Wednesday"),
    lazy("Thursday"),
    lazy("Friday"),
    lazy("Saturday"),
    lazy("Sunday"),
)
MONTHS = (
    lazy("January"),
    lazy("February"),
    lazy("March"),
    lazy("April"),
    lazy("May"),
    lazy("June"),
    lazy("July"),
    lazy("August"),
    lazy("September"),
    lazy("October"),
    lazy("November"),
    lazy("December"),
)

COLUMNS: Mapping[str, Any] = {
    "night": lazy("Night"),
    "weekday": lazy("Day"),
    "guests": lazy("Guests"),
    "parties": lazy("Parties"),
    "most": lazy("Most at once"),
    "knocks": lazy("Knocks"),
    "vain": lazy("In vain"),
    "refused": lazy("Refused"),
    "over_time": lazy("Over time"),
    "asked": lazy("Asked"),
    "doubted": lazy("Doubtful"),
    "corrected": lazy("Corrected"),
    "wrong": lazy("Count wrong"),
    "tailgated": lazy("One too many"),
    "over_full": lazy("Over full"),
    "alarms": lazy("Alarms"),
    "restarts": lazy("Restarts"),
    "missing": lazy("Events missing"),
    "exact": lazy("Count exact"),
    "of": lazy("Of nights"),
    "hour": lazy("Hour"),
    "inside": lazy("Inside on average"),
    "full_min": lazy("Full, min a night"),
    "nights": lazy("Nights"),
    "a_night": lazy("Guests a night"),
    "size": lazy("Guests together"),
    "median_min": lazy("Half stay up to, min"),
    "p90_min": lazy("9 of 10 up to, min"),
    "venue": lazy("Bar"),
    "since": lazy("Since"),
    "until": lazy("Until"),
    "over_min": lazy("Over time, min"),
    "minutes": lazy("Minutes"),
    "place": lazy("Where"),
    "answered": lazy("Answered"),
    "median_s": lazy("Half waited up to, s"),
    "p90_s": lazy("9 of 10 up to, s"),
    "reason": lazy("Why"),
    "times": lazy("Times"),
    "kind": lazy("How"),
    "what": lazy("What"),
    "at": lazy("When"),
    "doubt": lazy("Count in doubt"),
    "fault": lazy("Fault"),
}

#: What a table answers, in the order of the page.
TITLES: Mapping[str, Any] = {
    "bars": lazy("The bars compared"),
    "nights": lazy("Night by night"),
    "hours": lazy("How full, by hour"),
    "weekdays": lazy("Which day is the busiest"),
    "week": lazy("When they come"),
    "stays": lazy("How long they stay"),
    "overtime": lazy("Who was over time"),
    "knocks": lazy("Knocks, and how long they waited"),
    "refusals": lazy("Not let in, and why"),
    "closed": lazy("Closed by a person"),
    "questions": lazy("The count in doubt"),
    "missed": lazy("What never reached the history"),
    "restarts": lazy("Starts of the controller"),
    "faults": lazy("Faults"),
}

WORDS: Mapping[tuple[str, str], Any] = {
    ("place", "hatch"): lazy("at the hatch"),
    ("place", "door"): lazy("at the front door"),
    ("kind", "blocked"): lazy("closed to guests"),
    ("kind", "lock_down"): lazy("lock-down"),
    ("kind", "evacuation"): lazy("evacuation"),
    ("what", "party"): lazy("How many came in?"),
    ("what", "everybody_left"): lazy("Has everybody left?"),
    ("what", "doubted"): lazy("a passage that was not clear"),
    ("what", "corrected"): lazy("somebody put the count right"),
    ("what", "wrong"): lazy("the count was wrong"),
    ("what", "tailgated"): lazy("more came in than were let in"),
    **{("reason", name): words for name, words in REASONS.items()},
    **{("fault", name): words for name, words in FAULTS.items()},
    ("exact", "1"): lazy("exact"),
    ("exact", "0"): lazy("not exact"),
    ("doubt", "1"): lazy("in doubt"),
    ("doubt", "0"): "–",
    ("reason", "other"): lazy("for another reason"),
}


class Bar(NamedTuple):
    """One bar of a chart, in the drawing's units; ``title`` is read out and shown on touch."""

    x: float
    y: float
    wide: float
    high: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart: ``labels`` are (x, text), ``levels`` (y, text), of ``what``."""

    bars: list[Bar]
    labels: list[tuple[float, str]]
    levels: list[tuple[float, str]]
    what: str

    @property
    def says(self) -> str:
        """The whole of it in words."""
        return f"{self.what}: {', '.join(bar.title for bar in self.bars)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One answer: its title, its chart if it has one, its table."""

    name: str
    title: str
    chart: Chart | None
    head: list[str]
    rows: list[list[str]]
    #: Older rows that only the file has.
    more: int


class Day(NamedTuple):
    """One cell of the calendar: a date; ``level`` 0 to 4 is how busy; ``name`` is its address.

    ``says`` is the cell in words; ``mark`` is for missing events and a count that was not exact.
    """

    number: int
    name: str
    guests: int | None
    level: int
    mark: str
    says: str


# --- words --------------------------------------------------------------------------------------


def title_of(span: Span) -> str:
    """Return a span in words: ``Wednesday 25 November 2026``, ``Week 48, 2026``."""
    day = span.first
    if span.kind == "week":
        year, week = span.name.split("-W")
        return _("Week %(n)s, %(year)s", n=int(week), year=year)
    if span.kind == "year":
        return span.name
    month = f"{month_name(day.month)} {day.year}"
    return month if span.kind == "month" else f"{DAYS[day.weekday()]} {day.day} {month}"


def weekday_name(number: int) -> str:
    """Return the short name of a weekday, 0 for Monday."""
    return str(DAYS[number])[:3]


def month_name(number: int) -> str:
    """Return the name of a month, 1 to 12."""
    return str(MONTHS[number - 1])


def cell_words(column: str, value: Cell) -> str:
    """Return one cell of a table as a person reads it."""
    if value is None:
        return _("nobody knows") if column in ("missing", "exact") else "–"
    if column == "weekday":
        return weekday_name(int(value))
    if column in ("since", "until", "at"):
        return _moment(str(value))
    if column == "hour":
        return f"{int(value):02d}"
    if isinstance(value, float):
        return decimal(value)
    return str(WORDS.get((column, str(value)), value))


def _moment(text: str) -> str:
    found = datetime.fromisoformat(text)
    return f"{found.day} {month_name(found.month)[:3]}, {found:%H:%M}"


# --- figures ------------------------------------------------------------------------------------


def figures(answers: Answers, one_venue: bool) -> list[Figure]:
    """Return every answer that the span has anything to say to."""
    found = []
    for name, title in TITLES.items():
        if name == "week" or (name == "weekdays" and answers.span.kind in ("night", "week")):
            continue
        if name == "bars" and one_venue:
            continue
        table: Table = getattr(answers, name)()
        if table.rows and not (name == "nights" and answers.span.kind == "night"):
            found.append(_figure(table, str(title), answers.span, one_venue))
    return found


def _figure(table: Table, title: str, span: Span, one_venue: bool) -> Figure:
    hidden = {"venue"} if one_venue else set()
    most = MOST_ROWS if table.name in LISTS else len(table.rows)
    shown = [n for n, column in enumerate(table.columns) if column not in hidden]
    return Figure(
        table.name,
        title,
        CHARTS[table.name](table, span) if table.name in CHARTS else None,
        [str(COLUMNS[table.columns[n]]) for n in shown],
        [[cell_words(table.columns[n], row[n]) for n in shown] for row in table.rows[-most:]],
        max(len(table.rows) - most, 0),
    )


def _nights_chart(table: Table, span: Span) -> Chart:
    guests = {record["night"]: int(record["guests"] or 0) for record in table.records()}
    if span.kind == "year":
        rows = [(f"{month:02d}", 0) for month in range(1, 13)]
        for night, n in guests.items():
            month = int(str(night)[5:7])
            rows[month - 1] = (rows[month - 1][0], rows[month - 1][1] + n)
    else:
        rows = [(str(day.day), guests.get(day.isoformat(), 0)) for day in span.days()]
    return bars(rows, _("Guests"))


def _column_chart(label: str, value: str, words: Any) -> Any:
    def chart(table: Table, _span: Span) -> Chart:
        rows = [
            (cell_words(label, record[label]), float(record[value] or 0))
            for record in table.records()
        ]
        return bars(rows, str(words))

    return chart


CHARTS: Mapping[str, Any] = {
    "nights": _nights_chart,
    "hours": _column_chart("hour", "inside", COLUMNS["inside"]),
    "weekdays": _column_chart("weekday", "a_night", COLUMNS["a_night"]),
    "stays": _column_chart("size", "median_min", COLUMNS["median_min"]),
}


def bars(rows: Sequence[tuple[str, float]], what: str) -> Chart:
    """Return a bar chart of (label, value), from the left to the right."""
    most = max((value for _label, value in rows), default=0.0)
    whole = all(value == int(value) for _label, value in rows)  # as guests are: no half levels
    step = max(_step(most), 1.0) if whole else _step(most)
    top = max(ceil(most / step), 1) * step
    pitch = (RIGHT - LEFT) / max(len(rows), 1)
    drawn, labels = [], []
    every = ceil(len(rows) / MOST_LABELS)
    for number, (label, value) in enumerate(rows):
        x = LEFT + pitch * number
        high = round((BOTTOM - TOP) * value / top, 1)
        wide = round(max(pitch * 0.8, 1.0), 1)
        left, y = round(x + pitch * 0.1, 1), round(BOTTOM - high, 1)
        drawn.append(Bar(left, y, wide, high, f"{label}: {decimal(value)}"))
        if number % every == 0:
            labels.append((round(x + pitch / 2, 1), label))
    count = round(top / step)
    levels = [
        (round(BOTTOM - (BOTTOM - TOP) * n / count, 1), decimal(n * step)) for n in range(count + 1)
    ]
    return Chart(drawn, labels, levels, what)


def _step(most: float) -> float:
    """Return the distance between levels: 1, 2 or 5 times a power of ten; 1 where all is 0."""
    if not most:
        return 1.0
    size = 0.1
    while True:
        for step in (size, 2 * size, 5 * size):
            if most / step <= MOST_LEVELS:
                return step
        size *= 10


# --- calendar -----------------------------------------------------------------------------------


def calendar(table: Table, span: Span) -> list[list[Day | None]]:
    """Return a month's weeks, Monday first; None where the month has no such day."""
    nights = {str(record["night"]): record for record in table.records()}
    most = max((int(record["guests"] or 0) for record in nights.values()), default=0)
    days: list[Day | None] = [None] * span.first.weekday()
    days += [_day(day, nights.get(day.isoformat()), most) for day in span.days()]
    days += [None] * (-len(days) % 7)
    return [days[n : n + 7] for n in range(0, len(days), 7)]


def _day(day: date, night: Mapping[str, Cell] | None, most: int) -> Day:
    name = day.isoformat()
    if night is None:
        return Day(day.day, name, None, 0, "", "")
    guests = int(night["guests"] or 0)
    level = ceil(4 * guests / most) if most else 0
    mark, why = _mark(night)
    says = _("Guests: %(n)s", n=guests)
    return Day(day.day, name, guests, level, mark, f"{says}, {why}" if why else says)


def _mark(night: Mapping[str, Cell]) -> tuple[str, str]:
    if night["missing"]:
        return "!", _("events are missing")
    if night["exact"] == 0:
        return "?", _("the count was not exact")
    return "", ""


def totals_words(totals: Mapping[str, int]) -> list[tuple[int, str]]:
    """Return the totals that stand above the charts, with their names."""
    guests, parties = totals["guests"], totals["parties"]
    knocks, refused = totals["knocks"], totals["refused"]
    return [
        (guests, plural("guest", "guests", guests)),
        (parties, plural("session", "sessions", parties)),
        (knocks, plural("knock", "knocks", knocks)),
        (refused, plural("refused", "refused", refused)),
    ]


def record_words(answers: Answers) -> str:
    """Return this door's own record as a sentence."""
    totals = answers.totals()
    exact, of = totals["exact"], totals["counted"]
    if not of:
        return _("No guests in this time.")
    if answers.span.kind == "night":
        return _("The count was exact all night.") if exact else _("The count was not exact.")
    return _("The count was exact in %(n)s of %(all)s nights.", n=exact, all=of)


def around(span: Span) -> list[tuple[str, str]]:
    """Return the larger spans that this one lies in, as address and words."""
    kinds = ("week", "month", "year")
    larger = kinds if span.kind == "night" else kinds[kinds.index(span.kind) + 1 :]
    return [(found.name, title_of(found)) for found in (span.within(kind) for kind in larger)]


def months(span: Span) -> list[tuple[str, str]]:
    """Return the months of a year, as address and name."""
    of_year = [span_of("month", date(span.first.year, month, 1)) for month in range(1, 13)]
    return [(one.name, month_name(one.first.month)) for one in of_year]


# --- one night ----------------------------------------------------------------------------------


def timeline(events: Iterable[Event]) -> dict[str, Any]:
    """Return a night's events as the `night` message has them, for the chart of *Tonight*."""
    points: list[list[object]] = []
    sessions: list[dict[str, object]] = []
    knocks: list[list[object]] = []
    for event in events:
        at = iso(event.at_s)
        count = event.data.get(_COUNT_IN.get(event.name, ""), event.data)
        if event.name in _COUNT_IN and isinstance(count, dict):
            points.append([at, count.get("count"), count.get("min"), count.get("max")])
        elif event.name == "knock":
            knocks.append([at, event.data.get("place")])
        elif event.name == "session_started":
            sessions.append({"started_at": at, "ended_at": None})
        elif event.name == "session_ended" and sessions:
            sessions[-1]["ended_at"] = at
    return {"points": points, "sessions": sessions, "knocks": knocks}


_COUNT_IN = {
    "entry": "",
    "exit": "",
    "passage_uncertain": "occupancy",
    "count_adjusted": "after",
}


def end_of(events: Sequence[Event], now: datetime) -> datetime:
    """Return where the drawing of a night ends: a little after its last event, or now."""
    if not events:
        return now
    last = datetime.fromtimestamp(max(event.at_s for event in events), UTC) + AFTER_LAST
    return min(last, now) if now > datetime.fromtimestamp(events[0].at_s, UTC) else last


def told(events: Iterable[Event]) -> list[tuple[str, str]]:
    """Return a night's events as time of day and words, oldest first."""
    return [
        (f"{datetime.fromtimestamp(event.at_s, UTC).astimezone():%H:%M}", words)
        for event in events
        if event.name not in SILENT
        for words in (event_words(event.name, event.data),)
    ]
