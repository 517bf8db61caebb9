"""The bookings on the page: the next party in words, and the button that lets them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from babel.dates import format_datetime, format_time
from flask_babel import get_locale  # type: ignore[import-untyped]

from controller.config.settings import Config
from controller.mqtt.message import Message, Topics
from web.bookings.calendar import Calendar, CalendarSettings, CalendarView, time_zone
from web.bookings.slots import Booking
from web.language import _, plural
from web.messages import number
from web.mirror import Mirror, MirrorView
from web.presentation.labels import span
from web.presentation.page_view import Notice, Part, Rank, Severity


class BookingsView:
    """Joins calendar and mirror: `part` for the page, and ``book/next`` for the other systems."""

    def __init__(self, config: Config, mirror: Mirror, wall: Callable[[], datetime]) -> None:
        book = config.book
        self._zone = time_zone(book.timezone)
        length = timedelta(milliseconds=config.rules.session_ms)
        self._hours = length / timedelta(hours=1)
        horizon = timedelta(days=book.horizon_days)
        settings = CalendarSettings(
            book.url, book.open, self._zone, horizon, length, book.names, config.rules.capacity
        )
        self._calendar = Calendar(settings, wall)
        self._mirror, self._wall = mirror, wall
        self._topics = Topics.of(config)
        self._published: Message | None = None
        self._calendar.on_check = self._publish
        mirror.run_beside(self._calendar.start, self._calendar.stop)

    def _publish(self) -> None:
        """Publish who is next, when that changed."""
        message = self._calendar.message(self._topics, self._view(self._mirror.view()))
        if message != self._published:
            self._published = message
            self._mirror.publish(message)
            self._mirror.wake()

    def _view(self, mirror_view: MirrorView) -> CalendarView:
        session = mirror_view.state.get("session") or {}
        return self._calendar.view(_time(session.get("started_at")), _time(session.get("ends_at")))

    def part(self, mirror_view: MirrorView) -> Part:
        """Return what the page shows of the bookings."""
        calendar = self._view(mirror_view)
        party = calendar.party
        size = party.size if party else None
        notices = []
        knock = mirror_view.state.get("door_knock")
        if calendar.due and party and isinstance(knock, dict):
            age = span(number(knock, "age_s"))
            words = _(
                "At the front door for %(age)s: perhaps the next party, %(name)s.",
                age=age,
                name=_name(party),
            )
            notices.append(Notice(Severity.KNOCK, words, Rank.EXPECTED_PARTY))
        return Part(
            texts={"book": self._next_words(calendar), "slot": self._free_words(calendar)},
            states={
                "book": f"n{size}" if size else "none",
                "due": f"let{size}" if size and calendar.due else "none",
            },
            notices=tuple(notices),
        )

    def _next_words(self, calendar: CalendarView) -> str:
        return " ".join(filter(None, (self._party_words(calendar), *_doubts(calendar))))

    def _party_words(self, calendar: CalendarView) -> str:
        party = calendar.party
        if party is None:
            # Nobody is expected only when all of it could be read.
            unknown = calendar.problem or not calendar.read or calendar.unreadable
            return "" if unknown else _("Nobody is expected.")
        at = format_time(party.start.astimezone(self._zone), "HH:mm")
        if party.start - self._wall() > timedelta(hours=12):
            at = self._day(party.start)
        if party.size:
            return _("Next: %(name)s, %(n)s, at %(at)s.", name=_name(party), n=party.size, at=at)
        return _("Next: %(name)s at %(at)s.", name=_name(party), at=at)

    def _free_words(self, calendar: CalendarView) -> str:
        if not (calendar.has_hours and calendar.read):
            return ""
        if calendar.free is None:
            return _("No table is free.")
        hours = f"{self._hours:g}"
        return _(
            "Next free table, for %(hours)s h: %(at)s.", hours=hours, at=self._day(calendar.free)
        )

    def _day(self, at: datetime) -> str:
        local = at.astimezone(self._zone)
        return str(format_datetime(local, "EEEE d MMMM, HH:mm", locale=str(get_locale() or "en")))


def _doubts(calendar: CalendarView) -> Iterator[str]:
    """Yield what is not known of the bookings."""
    if calendar.problem:
        yield _("The calendar can't be read now.")
    elif not calendar.read:
        yield _("The calendar is being read.")
    elif calendar.stale:
        yield _("The calendar was not read for a while.")
    if calendar.unreadable:
        yield _unreadable_words(calendar)
    if calendar.letters_guessed:
        yield _("Names may be spelt wrong: the calendar doesn't say how its letters are stored.")


def _unreadable_words(calendar: CalendarView) -> str:
    names = [title if len(title) <= 40 else f"{title[:39]}…" for title in calendar.titles]
    if calendar.unreadable > len(names):
        names.append("…")
    named = f" ({', '.join(names)})" if calendar.titles else ""
    return plural(
        "%(n)s booking can't be read%(named)s: look at the calendar.",
        "%(n)s bookings can't be read%(named)s: look at the calendar.",
        calendar.unreadable,
        named=named,
    )


def _name(party: Booking) -> str:
    return party.name or _("a party")


def _time(at: object) -> datetime | None:
    return datetime.fromisoformat(at) if isinstance(at, str) else None
