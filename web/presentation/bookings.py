"""The book on the page: who is expected next, in words, and the tap that lets them in."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_time
from flask_babel import get_locale  # type: ignore[import-untyped]

from controller.config.settings import Config
from controller.mqtt.message import Message, Topics
from web.bookings.calendar import Book, Page, Settings
from web.language import _
from web.mirror import Mirror, MirrorView
from web.presentation.page_view import Notice, Part, Rank, Severity

LOCALTIME = Path("/etc/localtime")
#: Buttons that the page has for letting in.
PARTIES = range(1, 5)


def house_zone(name: str) -> ZoneInfo:
    """Return the zone of this name; without one, that of this machine."""
    if not name:
        name = os.environ.get("TZ", "") or str(LOCALTIME.resolve()).partition("zoneinfo/")[2]
    return ZoneInfo(name or "UTC")


class BookingsView:
    """Joins book and mirror; ``shown`` adds the book to what the page shows."""

    def __init__(self, config: Config, mirror: Mirror, wall: Callable[[], datetime]) -> None:
        book = config.book
        self._zone = house_zone(book.timezone)
        length = timedelta(milliseconds=config.rules.session_ms)
        self._hours = length / timedelta(hours=1)
        horizon = timedelta(days=book.horizon_days)
        settings = Settings(book.url, book.open, self._zone, horizon, length, book.names)
        self._book = Book(settings, wall)
        self._mirror, self._wall = mirror, wall
        self._topics = Topics(f"{config.mqtt.prefix}/{config.venue}")
        self._said: Message | None = None
        self._book.on_turn = self._tell
        mirror.beside(self._book.start, self._book.stop)

    def _tell(self) -> None:
        """Tell the house who is next, when that changed."""
        message = self._book.message(self._topics, self._page(self._mirror.view()))
        if message != self._said:
            self._said = message
            self._mirror.say(message)
            self._mirror.wake()

    def _page(self, mirror_view: MirrorView) -> Page:
        session = mirror_view.state.get("session") or {}
        return self._book.page(_moment(session.get("started_at")), _moment(session.get("ends_at")))

    def part(self, mirror_view: MirrorView) -> Part:
        """Return what the page shows of the bookings."""
        page = self._page(mirror_view)
        party = page.party
        size = party.size if party and party.size in PARTIES else None
        notices = []
        if page.due and party and mirror_view.state.get("door_knock"):
            words = _("At the front door: perhaps the next party, %(name)s.", name=party.name)
            notices.append(Notice(Severity.KNOCK, words, Rank.EXPECTED_PARTY))
        return Part(
            texts={"book": self._next_words(page), "slot": self._free_words(page)},
            states={"book": f"n{size}" if size else "none"},
            notices=tuple(notices),
        )

    def _next_words(self, page: Page) -> str:
        old = ""
        if page.problem:
            old = _("The calendar can't be read now.")
        elif page.stale:
            old = _("The calendar was not read for a while.")
        return " ".join(filter(None, (self._party_words(page), old)))

    def _party_words(self, page: Page) -> str:
        party = page.party
        if party is None:
            return "" if page.problem else _("Nobody is expected.")
        at = format_time(party.start.astimezone(self._zone), "HH:mm")
        if party.start - self._wall() > timedelta(hours=12):
            at = self._day(party.start)
        if party.size:
            return _("Next: %(name)s, %(n)s, at %(at)s.", name=party.name, n=party.size, at=at)
        return _("Next: %(name)s at %(at)s.", name=party.name, at=at)

    def _free_words(self, page: Page) -> str:
        if not page.hours or (page.problem and page.free is None):
            return ""
        if page.free is None:
            return _("No table is free.")
        hours = f"{self._hours:g}"
        return _("Next free table, for %(hours)s h: %(at)s.", hours=hours, at=self._day(page.free))

    def _day(self, at: datetime) -> str:
        local = at.astimezone(self._zone)
        return str(format_datetime(local, "EEEE d MMMM, HH:mm", locale=str(get_locale() or "en")))


def _moment(at: object) -> datetime | None:
    return datetime.fromisoformat(at) if isinstance(at, str) else None
