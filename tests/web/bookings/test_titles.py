"""What a booking's title says."""

from __future__ import annotations

import pytest

from web.bookings.titles import NAME_CHARACTERS, parse_title


@pytest.mark.parametrize(
    ("title", "name", "size"),
    [
        ("Rossi x2", "Rossi", 2),
        ("Rossi × 2", "Rossi", 2),
        ("2x Rossi", "Rossi", 2),
        ("Rossi 4p", "Rossi", 4),
        ("Rossi - 4p", "Rossi", 4),
        ("Rossi, 3 pax", "Rossi", 3),
        ("Rossi per 4", "Rossi", 4),
        ("Rossi per 3 alle 19:00", "Rossi alle 19:00", 3),
        ("Table for 2: Smith", "Table : Smith", 2),
        ("tavolo da 4 Bianchi", "tavolo Bianchi", 4),
        ("Bianchi (3)", "Bianchi", 3),
        ("3 persone Bianchi", "Bianchi", 3),
        ("4 coperti, Bianchi", "Bianchi", 4),
        ("Compleanno 2026 x4", "Compleanno 2026", 4),
        ("Bianchi da 40 x3", "Bianchi da 40", 3),
        ("4 persone", "", 4),
        ("Felix", "Felix", None),
        ("Room 101", "Room 101", None),
        ("Rossi x0", "Rossi x0", None),
        ("", "", None),
    ],
)
def test_parse_title_finds_name_and_size(title: str, name: str, size: int | None) -> None:
    assert parse_title(title) == (name, size)


@pytest.mark.parametrize(
    "title",
    [
        "Rossi per 19:00", "Rossi per 4:30", "Rossi per 4.30", "da 40", "Rossi da 4 a 6",
        "Rossi per 4 ore", "for 2 hours", "for 3 pm", "3p.m. Rossi", "per 4/12", "Rossi (2026)",
        "festa 2026", "x40", "40 persone", "2-3 persone", "Felix 4", "12.04 pax", "per 3 €", "Max4",
        "from 3 to 4", "x2026", "5 persone", "999999999999999999999999 p",
    ],
)  # fmt: skip
def test_parse_title_takes_no_time_date_or_year_for_a_party(title: str) -> None:
    assert parse_title(title) == (title, None)


def test_parse_title_of_a_larger_room_goes_to_its_capacity() -> None:
    assert parse_title("Rossi x8", 10) == ("Rossi", 8)
    assert parse_title("Rossi x11", 10) == ("Rossi x11", None)
    assert parse_title("Rossi per 19:00", 20) == ("Rossi per 19:00", None)


def test_parse_title_cuts_a_long_name() -> None:
    name, size = parse_title("A" * 150 + " x2")
    assert (len(name), name[-1], size) == (NAME_CHARACTERS, "…", 2)
