"""The owner's calendar: which party is expected next, and when the next slot is free.

A thread reads the calendar now and then; when that fails, the last good copy stays in use and is
called stale after a while. The calendar never opens a door: it only fills in a number on the page
that a person taps.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.mqtt.message import Message, Topics
from web.bookings.download import CalendarError, CalendarSource, run
from web.bookings.slots import (
    Booking,
    SlotQuery,
    due,
    next_free,
    next_party,
    parse_opening_hours,
)
from web.bookings.titles import parse_title

log = logging.getLogger(__name__)

#: The machine's zone: a link, or on some a copy beside which Debian keeps the name.
LOCALTIME, TIMEZONE = Path("/etc/localtime"), Path("/etc/timezone")
ODD_TZ = "bookings: TZ=%r names no time zone; %s is used; set [book] timezone to another one"
#: Who is next changes with time, so it is looked at more often than the calendar is downloaded.
CHECK_EVERY_S = 30.0
CHECKS_PER_DOWNLOAD = 10
#: An older copy is called stale: a table may have been booked since.
STALE_S = 1800.0
PARSE_LIMIT_S = 90.0
#: An unchanged calendar is parsed again only for the days that have come nearer.
PARSE_AGAIN_S = 3600.0
PARSER = Path(__file__).with_name("parse_ics.py")
#: Bookings that began so long ago may still run; of those that ended before no name is kept.
LOOK_BACK = timedelta(days=1)


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone of this IANA name; for "" that of this machine, UTC if nobody knows it.

    `TZ` may be a name, a file, or a rule ("CET-1CEST"), with or without a colon before it; a rule
    has no name, so then the machine's setting counts.
    """
    if name:
        return ZoneInfo(name)
    asked = os.environ.get("TZ", "").strip().removeprefix(":")
    for candidate in (asked, str(LOCALTIME), _first_line(TIMEZONE)):
        zone = _zone(candidate)
        if zone is not None:
            if asked and candidate != asked:
                log.warning(ODD_TZ, asked[:80], zone.key)
            return zone
    return ZoneInfo("UTC")


def _zone(candidate: str) -> ZoneInfo | None:
    """Return the zone of a name, or of a file below a folder `zoneinfo`; None if it is neither."""
    if candidate.startswith("/"):
        candidate = os.path.realpath(candidate).partition("zoneinfo/")[2]
    try:
        return ZoneInfo(candidate) if candidate else None
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None


def _first_line(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace").partition("\n")[0].strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class CalendarSettings:
    """Section ``[book]`` of the configuration, with times as objects."""

    url: str = field(repr=False)
    open: tuple[str, ...]
    zone: ZoneInfo
    horizon: timedelta = timedelta(days=60)
    length: timedelta = timedelta(hours=2)
    names: bool = False
    capacity: int = 4


@dataclass(frozen=True, slots=True)
class CalendarView:
    """What the calendar says at one moment.

    ``due``: a knock at the front door may be ``party``. ``free`` is when the next free slot begins;
    None when there is none, or nothing is known yet. ``has_hours``: the owner set opening hours.
    ``problem`` says why the calendar cannot be read, "" when it can. ``read``: it was read at least
    once; before that nothing is claimed. So many entries are ``unreadable``, some with a title, and
    ``letters_guessed`` when the text is neither UTF-8 nor what its server says.
    """

    party: Booking | None
    due: bool
    free: datetime | None
    has_hours: bool
    problem: str
    stale: bool
    read: bool = True
    unreadable: int = 0
    titles: tuple[str, ...] = ()
    letters_guessed: bool = False


@dataclass(frozen=True, slots=True)
class Doubts:
    """What of the calendar could not be read, as in `CalendarView`."""

    unreadable: int = 0
    titles: tuple[str, ...] = ()
    letters_guessed: bool = False


class Calendar:
    """Reads the calendar in a thread; `view` answers at once from the last good copy."""

    def __init__(self, settings: CalendarSettings, wall: Callable[[], datetime]) -> None:
        self._settings = settings
        self._wall = wall
        self._source = CalendarSource(settings.url)
        self._hours = parse_opening_hours(settings.open)
        self._bookings: list[Booking] = []
        self._doubts = Doubts()
        self._read_at: datetime | None = None
        self._parsed_at: datetime | None = None
        self._problem = ""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.on_check: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Start the thread that reads."""
        threading.Thread(target=self._run, name="calendar", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end at its next check."""
        self._stopped.set()

    def _run(self) -> None:
        checks = 0
        while not self._stopped.is_set():
            try:
                if checks % CHECKS_PER_DOWNLOAD == 0:
                    self.read()
                self.forget_guests()
                self.on_check()
            except Exception:  # a bug here must cost the bookings, not the page
                log.exception("bookings: not updated because of a bug; the page goes on without")
            checks += 1
            self._stopped.wait(CHECK_EVERY_S)

    def read(self) -> None:
        """Read the calendar once; on failure keep the last good copy and remember the reason."""
        try:
            if not self._parsed_lately():
                self._source.forget()  # all again: the text, full of old names, is not kept
            text = self._source.get()
            if text is None and self._parsed_at is not None:
                bookings, doubts = self._bookings, self._doubts
            else:
                bookings, doubts = self._parse(text or b"")
                self._parsed_at = self._wall()
                self._say_once(doubts)
        except CalendarError as error:
            self._source.forget()
            log.warning(
                "bookings: the calendar %s; the last good copy stays in use, see [book] url", error
            )
            with self._lock:
                self._problem = str(error)
            return
        with self._lock:
            self._bookings, self._doubts = bookings, doubts
            self._read_at, self._problem = self._wall(), ""

    def forget_guests(self) -> None:
        """Drop who was here more than a day ago, also while the calendar cannot be read."""
        before = self._wall() - LOOK_BACK
        with self._lock:
            self._bookings = [each for each in self._bookings if each.end > before]
            if self._read_at is not None and self._read_at <= before:
                self._doubts = replace(self._doubts, titles=())

    def _say_once(self, doubts: Doubts) -> None:
        """Log what could not be read, when that changed; without a name, which is private."""
        before = self._doubts
        if doubts.unreadable and doubts.unreadable != before.unreadable:
            log.warning(
                "bookings: entries of the calendar that can't be read: %d; the page names them, "
                "and their times are not offered as far as they say any",
                doubts.unreadable,
            )
        if doubts.letters_guessed and not before.letters_guessed:
            log.warning(
                "bookings: the calendar is not in UTF-8 and its server doesn't say in what; "
                "names may be spelt wrong"
            )

    def _parsed_lately(self) -> bool:
        parsed_at = self._parsed_at
        if parsed_at is None or self._problem:
            return False
        # either way: a clock that was set back has other days before it
        return abs((self._wall() - parsed_at).total_seconds()) < PARSE_AGAIN_S

    def _parse(self, text: bytes) -> tuple[list[Booking], Doubts]:
        """Parse in a process of its own: the text may be made to cost hours or gigabytes."""
        now, settings = self._wall(), self._settings
        arguments = [
            (now - LOOK_BACK).isoformat(),
            (now + settings.horizon).isoformat(),
            settings.zone.key,
            str(settings.length.total_seconds()),
            self._source.charset,
        ]
        found = json.loads(run(PARSER, arguments, text, PARSE_LIMIT_S))
        bookings = [_booking(row, settings.capacity) for row in found["bookings"]]
        return bookings, Doubts(found["unreadable"], tuple(found["titles"]), found["letters"])

    def view(self, session_began: datetime | None, busy_until: datetime | None) -> CalendarView:
        """Return what the calendar says now; ``busy_until`` is when the running session ends."""
        now = self._wall()
        with self._lock:
            bookings, doubts = list(self._bookings), self._doubts
            read_at, problem = self._read_at, self._problem
        party = next_party(bookings, now, session_began)
        if busy_until is not None and busy_until > now:
            bookings.append(Booking(now, busy_until))
        settings = self._settings
        query = SlotQuery(now, settings.length, settings.horizon, self._hours, settings.zone)
        return CalendarView(
            party=party,
            due=due(party, now),
            free=next_free(bookings, query) if read_at is not None else None,
            has_hours=bool(self._hours),
            problem=problem,
            stale=read_at is not None and (now - read_at).total_seconds() > STALE_S,
            read=read_at is not None,
            unreadable=doubts.unreadable,
            titles=doubts.titles,
            letters_guessed=doubts.letters_guessed,
        )

    def message(self, topics: Topics, view: CalendarView) -> Message:
        """Return the retained message ``book/next``; with a name only if the owner allows it."""
        party = view.party
        body: dict[str, Any] = {
            "at": _iso(party.start) if party else None,
            "until": _iso(party.end) if party else None,
            "party": party.size if party else None,
            "next_free": _iso(view.free) if view.free else None,
            "stale": view.stale or bool(view.problem) or not view.read,
            "unreadable": view.unreadable,
        }
        if self._settings.names:
            body["name"] = party.name if party else None
        return Message(topics("book/next"), json.dumps(body).encode(), retain=True)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _booking(row: dict[str, Any], capacity: int) -> Booking:
    start, end = (datetime.fromisoformat(row[key]) for key in ("start", "end"))
    name, size = parse_title(row["title"], capacity)
    if size is None and 1 <= row["guests"] <= capacity:
        size = row["guests"]
    return Booking(start, end, name, size, row["all_day"], row["unreadable"])
