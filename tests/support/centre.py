"""A bar's outbox, and what the centre's Postgres holds of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

from controller.codec import encode, iso
from controller.config.settings import CentreSettings, Config, NightsSettings
from tests.support.nats import Node
from web.centre.consumer import Consumer
from web.centre.sender import Sender
from web.nights import outbox
from web.nights.database import Row, StoreError, connect
from web.nights.events import Event, parse
from web.nights.store import Store

#: 25 November 2026, 21:00 in Milan.
EVENING_S = 1_795_636_800.0


def event(venue: str, seq: int, boot: str = "b1", at_s: float | None = None) -> Event:
    """Return an event as a bar's store has it."""
    at_s = EVENING_S + seq if at_s is None else at_s
    body = {"seq": seq, "boot": boot, "at": iso(at_s), "t_ms": 1000.0 * seq}
    return parse(venue, "entry", encode({**body, "count": 1, "min": 1, "max": 1}))


def configured(database: str, servers: Sequence[str], venue: str = "bar") -> Config:
    """Return the configuration of a bar with a centre, or of the centre."""
    return replace(
        Config(),
        venue=venue,
        nights=NightsSettings(database=database),
        centre=CentreSettings(servers=tuple(servers)),
    )


class Bar:
    """A bar's nights store with its outbox, and what sends it."""

    def __init__(self, folder: Path, servers: Sequence[str], venue: str = "bar") -> None:
        self.venue = venue
        self._config = configured(str(folder / f"{venue}.db"), servers, venue)
        self.database = connect(self._config.nights.database, writing=True)
        self.store = Store(self.database, {}, time.time, outbox_of=venue)
        self.sender: Sender | None = None

    def happen(self, seqs: Sequence[int], boot: str = "b1") -> None:
        """Let these events happen, in one transaction."""
        for seq in seqs:
            self.store.add(event(self.venue, seq, boot))
        self.store.commit()
        if self.sender is not None:
            self.sender.wake()

    def configure(self, centre: CentreSettings) -> None:
        """Send with these credentials."""
        self._config = replace(self._config, centre=centre)

    def prepare(self) -> Sender:
        """Return what sends, not started."""
        self.sender = Sender(self._config, self.store.id)
        return self.sender

    def start(self) -> Sender:
        """Begin to send."""
        sender = self.prepare()
        sender.start()
        return sender

    def waiting(self) -> int:
        """Return how many events the centre has not acknowledged."""
        found = connect(self._config.nights.database)
        try:
            return outbox.waiting(found)
        finally:
            found.close()

    def close(self) -> None:
        """End it."""
        if self.sender is not None:
            self.sender.stop()
        self.database.close()


@contextmanager
def bar(folder: Path, servers: Sequence[str], venue: str = "bar") -> Iterator[Bar]:
    """A bar for a `with` block."""
    found = Bar(folder, servers, venue)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def centre(database: str, servers: Sequence[str]) -> Iterator[Consumer]:
    """Run a consumer in a thread for a `with` block."""
    consumer = Consumer(configured(database, servers))
    thread = Thread(target=consumer.run)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join(30.0)
        assert not thread.is_alive()


def rows(database: str, sql: str) -> list[Row]:
    """Return what a statement finds."""
    found = connect(database)
    try:
        return found.rows(sql)
    finally:
        found.close()


def ranges(database: str) -> list[Row]:
    """Return which numbers have come."""
    return rows(database, "SELECT venue, boot, first_seq, last_seq FROM seen ORDER BY 1, 2, 3")


def come(database: str) -> list[Row]:
    """Return which numbers have come; nothing while there is no store yet."""
    with suppress(StoreError):
        return ranges(database)
    return []


def before_joining(folder: Path, runs: Sequence[tuple[str, Sequence[int]]]) -> list[Row]:
    """Let a bar without a centre live; return its numbers. Every third event is only counted."""
    database = connect(str(folder / "bar.db"), writing=True)
    try:
        store = Store(database, {}, time.time)
        for boot, seqs in runs:
            for seq in seqs:
                whole = event("bar", seq, boot)
                store.add(whole if seq % 3 else whole._replace(name="door_closed", data={}))
        store.commit()
        return database.rows("SELECT venue, boot, first_seq, last_seq FROM seen ORDER BY 1, 2, 3")
    finally:
        database.close()


def messages(node: Node) -> int:
    """Return how many events the stream holds."""

    async def ask() -> int:
        import nats

        client = await nats.connect(node.url)
        found = await client.jetstream().stream_info("backdoor-events")
        await client.close()
        return found.state.messages

    return asyncio.run(ask())
