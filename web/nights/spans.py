"""A night, a week, a month or a year, as an address has it: 2026-11-25, 2026-W48, 2026-11, 2026."""

from __future__ import annotations

import re
from calendar import monthrange
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

YEARS = (1971, 8999)


@dataclass(frozen=True, slots=True)
class Span:
    """The nights from ``first`` to ``last``, both included; ``name`` is as in its address.

    ``kind`` is ``night``, ``week``, ``month`` or ``year``.
    """

    kind: str
    name: str
    first: date
    last: date

    @property
    def before(self) -> Span:
        """The one before, of the same kind."""
        return _of(self.kind, self.first - timedelta(days=1))

    @property
    def after(self) -> Span:
        """The one after, of the same kind."""
        return _of(self.kind, self.last + timedelta(days=1))

    def within(self, kind: str) -> Span:
        """The one of a larger kind that its first night lies in."""
        return _of(kind, self.first)

    def days(self) -> list[date]:
        """Return each of its dates."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


def _of(kind: str, day: date) -> Span:
    return SPANS[kind](day)


def _night(day: date) -> Span:
    return Span("night", day.isoformat(), day, day)


def _week(day: date) -> Span:
    year, week, weekday = day.isocalendar()
    first = day - timedelta(days=weekday - 1)
    return Span("week", f"{year}-W{week:02}", first, first + timedelta(days=6))


def _month(day: date) -> Span:
    last = monthrange(day.year, day.month)[1]
    return Span("month", f"{day:%Y-%m}", day.replace(day=1), day.replace(day=last))


def _year(day: date) -> Span:
    return Span("year", f"{day.year:04}", date(day.year, 1, 1), date(day.year, 12, 31))


SPANS = {"night": _night, "week": _week, "month": _month, "year": _year}


def span_of(kind: str, day: date) -> Span:
    """Return the span of this kind that a date lies in."""
    return _of(kind, day)


def parse_span(text: str) -> Span:
    """Return the span of an address; raise ValueError for any other text."""
    forms = (
        (r"\d{4}-\d\d-\d\d", "night", "{0}"),
        (r"\d{4}-W\d\d", "week", "{0}-1"),
        (r"\d{4}-\d\d", "month", "{0}-01"),
        (r"\d{4}", "year", "{0}-01-01"),
    )
    for form, kind, day in forms:
        if re.fullmatch(form, text, re.ASCII):
            with suppress(ValueError):  # there is no 13th month
                found = date.fromisoformat(day.format(text))
                if YEARS[0] <= found.year <= YEARS[1]:
                    return _of(kind, found)
    raise ValueError(f'"{text}" is no night (2026-11-25), week (2026-W48), month or year')
