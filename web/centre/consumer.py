"""The centre: from the stream into Postgres, each event once, acknowledged after the commit.

Any number of these run side by side. None has a state of its own: what one got and did not write
in time NATS gives to another, and what comes twice the store knows. One of them folds the nights;
when it ends another does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING

from controller.config.settings import Config
from web.centre import stream, wire
from web.centre.nats import CentreError, close, connect, endless
from web.centre.retry import again
from web.centre.wire import Arrived
from web.centre.writer import Writer, places, twins
from web.nights.database import Database, StoreError
from web.nights.database import connect as open_database
from web.nights.feed import FOLD_EVERY_S, FORGET_EVERY_S, NAMED_PROBLEMS
from web.nights.store import Store

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

log = logging.getLogger(__name__)

#: So many events are asked for at a time, and written in one transaction.
BATCH = 2000
#: A request for events lasts so long; NATS says meanwhile that it is there.
ASKED_S = 10.0
ALIVE_EVERY_S = 1.0
#: Postgres takes nothing: it is asked again so often.
WRITE_AGAIN_S = 1.0
#: In JetStream's words; by the other nodes a reader is still listening for a moment.
GIVEN_BACK = b'-NAK {"delay": %d}' % stream.SECOND
#: Silent for longer: the node is frozen or gone.
SILENT_S = 5.0
#: Stream and reader are looked at again: a lost node may be back and carry a copy.
LOOK_EVERY_S = 600.0
#: Two bars of one name are said as long as both sent something within a day.
TWINS_WITHIN_S = 86_400.0


class Consumer:
    """Reads and writes from `run` to `stop`; ``alive`` is called while it works."""

    def __init__(self, config: Config, alive: Callable[[], None] = lambda: None) -> None:
        self._settings, self._prefix = config.centre, config.mqtt.prefix
        self._writers = {lane: Writer(config.nights.database) for lane in wire.LANES}
        self._servers = endless(config.centre.servers)
        self._alive = alive
        self._stopping = False
        self._wake: Callable[[], object] = lambda: None
        self._problems = 0
        #: Lanes whose events Postgres does not take now.
        self._waiting: set[str] = set()
        self.problem = ""
        self.written = 0
        self._folder = Folder(config.nights.database, config.nights.keep_nights)

    def stop(self) -> None:
        """End; what is not written yet others get, or we when we are back."""
        self._stopping = True
        self._wake()

    def run(self) -> None:
        """Work until `stop`."""
        self._folder.start()
        try:
            asyncio.run(self._serve())
        finally:
            self._folder.stop()
            for writer in self._writers.values():
                writer.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(ended.set)

        async def pause(seconds: float) -> None:
            self._alive()
            await _pause(seconds, ended)

        await again(lambda: self._session(ended), self._say, lambda: self._stopping, pause)

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("centre: %s; the events wait in NATS", problem)
        if not problem and self.problem:
            log.warning("centre: it goes on")
        self.problem = problem

    async def _session(self, ended: asyncio.Event) -> None:
        """Read and write until we are to stop, or something fails."""
        client = await connect(self._settings, next(self._servers), "centre")
        try:
            name = await stream.ensure(client, self._prefix)
            async with asyncio.TaskGroup() as lanes:
                for lane in wire.LANES:
                    lanes.create_task(self._work(client, name, lane, ended))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await close(client)

    async def _work(self, client: Client, name: str, lane: str, ended: asyncio.Event) -> None:
        inbox = _Inbox(client, name, stream.READERS[lane])
        await inbox.open()
        look_s = time.monotonic() + LOOK_EVERY_S
        messages: list[Msg] = []
        try:
            while not self._stopping and time.monotonic() < look_s:
                messages = await inbox.some(ended)
                self._alive()
                arrived = self._read(messages)
                while messages and not await self._written(client, messages, arrived, lane):
                    await _pause(WRITE_AGAIN_S, ended)
                    if self._stopping:
                        return
                    more = inbox.rest()
                    messages += more
                    arrived += self._read(more)
                messages = []
                if not self._waiting:
                    self._say("")
        finally:
            self._waiting.discard(lane)
            await inbox.close(messages)

    async def _written(
        self, client: Client, messages: list[Msg], arrived: list[Arrived], lane: str
    ) -> bool:
        """Write what came and acknowledge it; return whether Postgres took it.

        What it did not take stays here: given back it would come again, to us or to another to whom
        Postgres says the same.
        """
        self._alive()
        if client.is_closed:
            raise CentreError("the connection ended")
        try:
            self.written += await asyncio.to_thread(self._writers[lane].write, arrived)
            self._waiting.discard(lane)
        except StoreError as error:
            self._waiting.add(lane)
            self._say(str(error))
        answer = b"+WPI" if lane in self._waiting else b"+ACK"  # in progress: NATS goes on waiting
        for message in messages:
            await client.publish(message.reply, answer)
        return lane not in self._waiting

    def _read(self, messages: Sequence[Msg]) -> list[Arrived]:
        """Return what messages hold; one that makes no sense is named in the log and left out."""
        arrived = []
        for message in messages:
            try:
                came_s = _came_s(message.reply)
                arrived.append(wire.read(self._prefix, message.subject, message.data, came_s))
            except (ValueError, RecursionError) as error:
                self._problems += 1
                if self._problems <= NAMED_PROBLEMS:
                    log.warning("centre: %s: left out, %s", message.subject, error)
        return arrived


async def _pause(seconds: float, ended: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), seconds)


def _came_s(reply: str) -> float:
    """Return when NATS got a message, which stands in the address of its acknowledgement."""
    parts = reply.split(".")
    return int(parts[7] if len(parts) == 9 else parts[9]) / stream.SECOND


class _Inbox:
    """Asks for events, and holds those that came until they are taken."""

    def __init__(self, client: Client, name: str, reader: str) -> None:
        self._client = client
        self._ask_at = f"$JS.API.CONSUMER.MSG.NEXT.{name}.{reader}"
        self._address = client.new_inbox()
        self._listening: Subscription | None = None
        self._messages: list[Msg] = []
        self._open = 0
        self._come = asyncio.Event()
        self._heard_s = time.monotonic()
        self._problem = ""

    async def open(self) -> None:
        """Begin to listen."""
        self._listening = await self._client.subscribe(
            self._address, cb=self._take, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    async def close(self, unwritten: Sequence[Msg]) -> None:
        """Give back what came and is not written, else NATS waits `stream.WRITTEN_S`.

        Listen no more before that, or it comes here again: a second later all nodes know it.
        """
        with suppress(Exception):  # the connection has ended: then NATS waits
            if self._listening is not None:
                await self._listening.unsubscribe()
            for message in (*unwritten, *self.rest()):
                await self._client.publish(message.reply, GIVEN_BACK)

    async def _take(self, message: Msg) -> None:
        self._heard_s = time.monotonic()
        if message.reply:
            self._messages.append(message)
            self._open -= 1
            self._come.set()
            return
        status = (message.headers or {}).get("Status", "")
        if status in ("404", "408"):
            self._open = 0
            self._come.set()
        elif status != "100":
            self._problem = (message.headers or {}).get("Description", status) or "no answer"
            self._come.set()

    async def some(self, ended: asyncio.Event) -> list[Msg]:
        """Return what has come, after a while also nothing; raise CentreError when NATS is gone."""
        if self._open <= 0:
            await self._ask()
        if not self._messages:
            await self._wait(ended)
        if self._problem:
            raise CentreError(f"NATS gives no events: {self._problem}")
        if self._client.is_closed or time.monotonic() - self._heard_s > SILENT_S:
            raise CentreError("NATS is silent; is the node there?")
        if self._open <= 0:
            await self._ask()  # the next come while these are written
        return self.rest()

    def rest(self) -> list[Msg]:
        """Return what has come and nobody has taken."""
        messages, self._messages = self._messages, []
        return messages

    async def _ask(self) -> None:
        self._open, self._heard_s = BATCH, time.monotonic()
        request = {
            "batch": BATCH,
            "expires": int(ASKED_S * stream.SECOND),
            "idle_heartbeat": int(ALIVE_EVERY_S * stream.SECOND),
        }
        await self._client.publish(self._ask_at, json.dumps(request).encode(), reply=self._address)

    async def _wait(self, ended: asyncio.Event) -> None:
        self._come.clear()
        waits = [asyncio.ensure_future(one.wait()) for one in (self._come, ended)]
        try:
            await asyncio.wait(waits, timeout=ALIVE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()


class Folder:
    """Folds the nights that events have changed, in one process of all that write."""

    def __init__(self, address: str, keep: int) -> None:
        self._address, self._keep = address, keep
        self._ended = Flag()
        self._thread = Thread(target=self._run, name="folder", daemon=True)
        self._said: set[tuple[str, tuple[str, str]]] = set()

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End after the night at hand."""
        self._ended.set()
        self._thread.join(6.0)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._serve()
            except StoreError as error:
                log.info("centre: the nights are not folded: %s", error)
            except Exception:
                log.exception("centre: unexpected error; it begins again. Please report this")
            self._ended.wait(FOLD_EVERY_S)

    def _serve(self) -> None:
        database = open_database(self._address, writing=True)
        try:
            if database.lock("fold"):
                self._fold(database)
        finally:
            database.close()

    def _fold(self, database: Database) -> None:
        capacities: dict[str, int] = {}
        store = Store(database, capacities, time.time, shared=True)
        forget_s = 0.0
        while not self._ended.is_set():
            capacities |= places(database)
            store.fold_changed()
            self._say_twins(database)
            if time.monotonic() >= forget_s:
                store.forget(self._keep)
                forget_s = time.monotonic() + FORGET_EVERY_S
            self._ended.wait(FOLD_EVERY_S)

    def _say_twins(self, database: Database) -> None:
        for found in twins(database, time.time() - TWINS_WITHIN_S):
            if (found.venue, found.boots) not in self._said:
                self._said.add((found.venue, found.boots))
                log.warning(
                    'centre: two bars have the name "%s" and send at the same time: give one of'
                    " them another [house] venue",
                    found.venue,
                )
        database.commit()
