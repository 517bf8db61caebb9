"""Two bars with one name are said, and a bar that begins a new run is not taken for two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.centre import event
from web.centre.wire import Arrived
from web.centre.writer import TWINS_S, Writer, places, twins
from web.nights.database import Database, StoreError, connect


@contextmanager
def opened(address: str) -> Iterator[Database]:
    database = connect(address, writing=True)
    try:
        yield database
    finally:
        database.close()


def write(address: str, *runs: tuple[str, int, float], venue: str = "bar", guests: int = 4) -> None:
    """Write one event of each run: its boot, its number, when it came."""
    writer = Writer(address)
    arrived = [Arrived(event(venue, seq, boot), "s", guests, came_s) for boot, seq, came_s in runs]
    writer.write(arrived)
    writer.close()


def test_two_runs_at_the_same_time_are_two_bars(address: str) -> None:
    write(address, ("b1", 1, 100.0), ("b2", 1, 110.0), ("b1", 2, 150.0), ("b2", 2, 160.0))
    write(address, ("c1", 1, 100.0), ("c1", 2, 150.0), ("c2", 3, 150.0), venue="other")
    with opened(address) as database:
        assert [(one.venue, one.boots) for one in twins(database, 0.0)] == [("bar", ("b1", "b2"))]
        assert twins(database, 155.0) == []


def test_a_clock_of_nats_that_differs_a_bit_makes_no_two_bars(address: str) -> None:
    write(
        address, ("b1", 1, 0.0), ("b1", 2, 100.0 + TWINS_S / 2), ("b2", 3, 100.0), ("b2", 4, 300.0)
    )
    with opened(address) as database:
        assert twins(database, 0.0) == []


def test_bar_is_as_large_as_it_said_last(address: str) -> None:
    write(address, ("b1", 1, 100.0), guests=4)
    write(address, ("b2", 2, 200.0), guests=6)
    write(address, ("b1", 3, 90.0), guests=3)
    with opened(address) as database:
        assert places(database) == {"bar": 6}


def test_event_that_comes_again_changes_nothing(address: str) -> None:
    writer = Writer(address)
    arrived = [Arrived(event("bar", seq), "s", 4, 100.0) for seq in (1, 2, 2, 3)]
    assert writer.write(arrived) == 3
    assert writer.write(arrived) == 0
    writer.close()


def test_store_that_a_page_writes_by_itself_is_left_alone(address: str) -> None:
    """That page remembers what it has read; both at once would lose something."""
    with opened(address) as database:
        assert database.lock()
        writer = Writer(address)
        with pytest.raises(StoreError, match="a page writes into it without the centre"):
            writer.write([Arrived(event("bar", 1), "s", 4, 100.0)])
        writer.close()
