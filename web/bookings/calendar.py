"""Tonight's book: who is expected next, and the next free two hours, from the owner's calendar.

A thread of its own reads the calendar now and then; when that fails the last good copy stays, and
its age is said. The calendar never opens a door: it only fills in a number that a person taps.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from controller.mqtt.message import Message, Topics
from web.bookings.download import FetchError, Source
from web.bookings.slots import Booking, Question, due, hours_of, next_free, next_party

log = logging.getLogger(__name__)

#: Who is next changes with time; the calendar is asked every tenth turn.
TURN_S = 30.0
TURNS = 10
#: Older than this, the copy is called old: a table may have been given away since.
STALE_S = 1800.0
READ_LIMIT_S = 90.0
#: An unchanged calendar is gone through again only for the days that have come nearer.
AGAIN_S = 3600.0
AGENDA = Path(__file__).with_name("parse_ics.py")
BACK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner says about the book."""

    url: str
    open: tuple[str, ...]
    zone: ZoneInfo
    horizon: timedelta = timedelta(days=60)
    length: timedelta = timedelta(hours=2)
    names: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What the book says at this moment."""

    party: Booking | None
    due: bool
    free: datetime | None
    hours: bool
    problem: str
    stale: bool


class Book:
    """Reads the calendar in the background; `page` answers at once from the last good copy."""

    def __init__(self, settings: Settings, wall: Callable[[], datetime]) -> None:
        self._settings = settings
        self._wall = wall
        self._source = Source(settings.url)
        self._hours = hours_of(settings.open)
        self._text: bytes | None = None
        self._bookings: list[Booking] = []
        self._read_at: datetime | None = None
        self._gone_through: datetime | None = None
        self._problem = ""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.on_turn: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._run, name="book", daemon=True).start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()

    def _run(self) -> None:
        turn = 0
        while not self._stopped.is_set():
            try:
                if turn % TURNS == 0:
                    self.read()
                self.on_turn()
            except Exception:  # a bug here must cost the book, not the page
                log.exception("book: not read")
            turn += 1
            self._stopped.wait(TURN_S)

    def read(self) -> None:
        """Read the calendar once; what can't be read leaves the last good copy and a reason."""
        try:
            text = self._source.get()
            if text is None and self._fresh():
                bookings = self._bookings
            else:
                self._text = self._text if text is None else text
                bookings = self._parsed(self._text or b"")
                self._gone_through = self._wall()
        except FetchError as error:
            self._source.forget()
            log.warning("book: the calendar %s; the last good copy is kept", error)
            with self._lock:
                self._problem = str(error)
            return
        with self._lock:
            self._bookings, self._read_at, self._problem = bookings, self._wall(), ""

    def _fresh(self) -> bool:
        """Tell whether what we have was gone through a short while ago, and could be."""
        through = self._gone_through
        recent = through is not None and (self._wall() - through).total_seconds() < AGAIN_S
        return recent and not self._problem

    def _parsed(self, text: bytes) -> list[Booking]:
        """Let a program of its own read the text: it may be a bomb."""
        now = self._wall()
        stretch = [(now - BACK).isoformat(), (now + self._settings.horizon).isoformat()]
        command = [sys.executable, "-I", str(AGENDA), *stretch, self._settings.zone.key]
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, timeout=READ_LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise FetchError("takes too long to read") from None
        if done.returncode < 0:
            raise FetchError("takes too long to read: its rules repeat too often")
        if done.returncode:
            raise FetchError(
                f"can't be read: {done.stderr.decode(errors='replace').strip()[-160:]}"
            )
        return [_booking(told) for told in json.loads(done.stdout)]

    def page(self, session_began: datetime | None, busy_until: datetime | None) -> Page:
        """Return who is next and when the room is free; ``busy_until`` is the session's end."""
        now = self._wall()
        with self._lock:
            bookings, read_at, problem = list(self._bookings), self._read_at, self._problem
        party = next_party(bookings, now, session_began)
        if busy_until is not None and busy_until > now:
            bookings.append(Booking(now, busy_until))
        settings = self._settings
        question = Question(now, settings.length, settings.horizon, self._hours, settings.zone)
        known = read_at is not None
        stale = known and (now - read_at).total_seconds() > STALE_S if read_at else False
        free = next_free(bookings, question) if known else None
        return Page(party, due(party, now), free, bool(self._hours), problem, stale)

    def message(self, topics: Topics, page: Page) -> Message:
        """Return the retained ``book/next``; without names unless the owner allows them."""
        party = page.party
        told: dict[str, Any] = {
            "at": _iso(party.start) if party else None,
            "until": _iso(party.end) if party else None,
            "party": party.size if party else None,
            "next_free": _iso(page.free) if page.free else None,
            "stale": page.stale or bool(page.problem),
        }
        if self._settings.names:
            told["name"] = party.name if party else None
        return Message(topics("book/next"), json.dumps(told).encode(), retain=True)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _booking(told: dict[str, Any]) -> Booking:
    begin, end = (datetime.fromisoformat(told[key]) for key in ("start", "end"))
    return Booking(begin, end, str(told["name"]), told["size"], bool(told["all_day"]))
