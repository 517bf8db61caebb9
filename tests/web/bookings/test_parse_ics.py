"""What an event's title says, and which events are parsed at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.ics import NOW, calendar, event
from web.bookings.parse_ics import parse_title, without_distant_events


@pytest.mark.parametrize(
    ("title", "name", "size"),
    [
        ("Rossi x2", "Rossi", 2),
        ("Rossi × 2", "Rossi", 2),
        ("2x Rossi", "Rossi", 2),
        ("Rossi 4p", "Rossi", 4),
        ("Rossi, 3 pax", "Rossi", 3),
        ("Rossi per 4", "Rossi", 4),
        ("Table for 2: Smith", "Table : Smith", 2),
        ("Bianchi (3)", "Bianchi", 3),
        ("3 persone Bianchi", "Bianchi", 3),
        ("Felix", "Felix", None),
        ("Room 101", "Room 101", None),
        ("Rossi x0", "Rossi x0", None),
        ("", "", None),
    ],
)
def test_parse_title_finds_name_and_size(title: str, name: str, size: int | None) -> None:
    assert parse_title(title) == (name, size)


def test_distant_events_are_dropped_and_repeating_ones_kept() -> None:
    """Only what may concern the stretch is parsed; what repeats is, however old."""
    old = event("20240105T210000", "Old x2").replace("DURATION:PT2H\r\n", "")
    far = event("20290105T210000", "Far x2").replace("DURATION:PT2H\r\n", "")
    weekly = event("20200105T210000", "Weekly x2", "RRULE:FREQ=WEEKLY")
    now = event("20261122T210000", "Now x2")
    left = without_distant_events(
        calendar(old, far, weekly, now), NOW, NOW + timedelta(days=60)
    ).decode()
    assert left.count("BEGIN:VEVENT") == 2
    assert "Weekly" in left
    assert "Now" in left
