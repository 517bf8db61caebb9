"""``python -m tests.tools.bench.bench_nights [BARS]``: how fast the history answers.

A year of one bar from SQLite and from Postgres, a year of a hundred bars from Postgres: every
table there is, and the page as a phone gets it. One year is played by the real rules; the other
bars are copies of it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from flask.testing import FlaskClient

from controller.config.settings import NightsSettings
from tests.support.fake_controller import Client, FakeController, joiner, paired, settings
from tests.support.kept_nights import keep_nights
from tests.support.postgres import postgres_server
from tests.support.simulated_nights import SimulatedBar
from web import create_app
from web.nights.answers import Answers
from web.nights.database import connect
from web.nights.events import Event
from web.nights.feed import Feed
from web.nights.fold import TOTALS
from web.nights.queries import reading
from web.nights.spans import parse_span

YEAR, NIGHTS, ROUNDS = "2026", 365, 7
#: The columns that follow the venue, in each table that a year is answered from.
COPIED = {
    "seen": "boot, first_seq, last_seq, first_s, last_s",
    "night": f"night, weekday, dirty, exact, {', '.join(TOTALS)}",
    "hour": "night, weekday, hour, guests, parties, guest_s, full_s",
    "tally": "night, kind, word, value, n",
    "incident": "night, at_s, seq, kind, word, value",
}


def fill(address: str, nights: list[list[Event]]) -> float:
    """Store the nights as they come, and return how long that took, in seconds."""
    began_s = time.perf_counter()
    keep_nights(address, nights)
    return time.perf_counter() - began_s


def multiply(address: str, bars: int) -> None:
    """Give the nights of the one bar to all others."""
    database = connect(address, writing=True)
    for table, columns in COPIED.items():
        for number in range(1, bars):
            database.rows(
                f"INSERT INTO {table} (venue, {columns}) SELECT ?, {columns} FROM {table}"
                " WHERE venue = 'bar'",
                (f"bar{number}",),
            )
    database.commit()
    database.rows("ANALYZE")
    database.commit()
    database.close()


def median_ms(ask: Callable[[], object]) -> float:
    """Return how long it takes to answer, in ms: the median of some rounds after a first."""
    took = []
    for _ in range(ROUNDS + 1):
        began_s = time.perf_counter()
        ask()
        took.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(took[1:])


def tables(address: str, venue: str | None) -> int:
    """Ask for every table of the year; return how many guests there were."""
    with reading(address, venue) as reader:
        return int(Answers(reader, parse_span(YEAR)).as_dict()["totals"]["guests"])


def phone(address: str, folder: Path) -> FlaskClient:
    """Return a paired phone of a page on this store that shows all bars."""
    controller = FakeController()
    database = NightsSettings(database=address)
    config = replace(settings(folder, venues="+"), nights=database)
    link = joiner(controller.bus)
    app = create_app(config, link=link, feed=Feed(config, link))
    app.test_client_class = Client
    return paired(app)


def show(what: str, address: str, venue: str, folder: Path) -> None:
    """Print a row of the table."""
    whose = None if venue == "+" else venue
    guests = tables(address, whose)
    client, query = phone(address, folder), f"?venue={venue.replace('+', '%2B')}"
    all_ms = median_ms(lambda: tables(address, whose))
    page_ms = median_ms(lambda: client.get(f"/nights/{YEAR}{query}"))
    print(f"| {what} | {guests:,} guests | {all_ms:.0f} ms | {page_ms:.0f} ms |")


def main(bars: int) -> None:
    """Fill, ask, and print."""
    nights = list(SimulatedBar().nights(date(2026, 1, 1), NIGHTS))
    events = sum(map(len, nights))
    with tempfile.TemporaryDirectory() as name, postgres_server() as server:
        folder, file = Path(name), str(Path(name) / "nights.db")
        address = server.new_database()
        for what, where in (("SQLite", file), ("Postgres", address)):
            took_s = fill(where, nights)
            each_us = 1e6 * took_s / events
            print(f"{events:,} events into {what}: {took_s:.1f} s, {each_us:.0f} us each")
        print(f"the file: {Path(file).stat().st_size / 1e6:.1f} MB")
        print("| a year | | every table | the page |\n|---|---|---|---|")
        show("one bar, SQLite", file, "bar", folder)
        show("one bar, Postgres", address, "bar", folder)
        multiply(address, bars)
        show(f"{bars} bars, Postgres", address, "+", folder)
        show(f"one of {bars} bars, Postgres", address, "bar7", folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
