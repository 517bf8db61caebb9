"""The bar's side: what is in the outbox goes to the centre, in order, until that has it.

Events go in batches that JetStream takes wholly or not at all, one batch after the other, so they
stand there in their order whatever breaks. If an answer is lost nobody knows whether the batch was
taken: then its events are sent one by one, each when the one before is acknowledged, and JetStream
drops those that it has. What is acknowledged is deleted here. Nothing comes in by this connection.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from threading import Thread
from time import monotonic, thread_time
from typing import TYPE_CHECKING

from controller.config.settings import Config
from web.centre import wire
from web.centre.nats import (
    ANSWER_S,
    FIRST_ANSWER_S,
    CentreError,
    ask,
    check_library,
    close,
    connect,
    endless,
    words,
)
from web.centre.retry import again
from web.nights import outbox
from web.nights.database import Database
from web.nights.database import connect as open_database
from web.nights.events import Event
from web.nights.feed import Trouble

if TYPE_CHECKING:
    from nats.aio.client import Client

log = logging.getLogger(__name__)

#: JetStream takes 1,000 messages in one batch.
BATCH = 500
#: The outbox is looked at this often, also if nobody says that there is something in it.
LOOK_EVERY_S = 5.0
STOP_S = 3.0
#: Of a machine that is busy the answer may come late.
LONGEST_ANSWER_S = 16.0
#: JetStream's numbers: it takes 50 batches at a time; ours for a server that takes none.
TOO_MANY_BATCHES, NO_BATCHES = 10210, 1
BATCH_AGAIN_S = (0.1, 1.0)


class Sender:
    """Sends from `start` to `stop`, once, in a thread of its own; `wake` says that there is more.

    ``store_id`` names the store whose outbox it is. ``trouble`` says why the centre does not take
    events now.
    """

    def __init__(
        self,
        config: Config,
        store_id: str,
        *,
        open_store: Callable[[str], Database] | None = None,
    ) -> None:
        self._settings, self._venue = config.centre, config.venue
        self._prefix, self._capacity = config.mqtt.prefix, config.rules.capacity
        self._address = config.nights.database
        self._open = open_store or (lambda address: open_database(address, writing=True))
        self._servers = endless(config.centre.servers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._come: asyncio.Event | None = None
        self._stopping = False
        self._store = store_id
        self._answer_s = FIRST_ANSWER_S
        self._lane = wire.FRESH
        self._hold: int | None = None
        self.trouble: Trouble | None = None
        self._thread = Thread(target=self._run, name="centre", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def wake(self) -> None:
        """Say from any thread that something is in the outbox."""
        loop, come = self._loop, self._come
        if loop is not None and come is not None:
            try:
                loop.call_soon_threadsafe(come.set)
            except RuntimeError:  # closed in this moment: it has ended
                return

    def hold(self, after: int | None) -> None:
        """Let events above this number wait from now on, those before them are missing; or none."""
        self._hold = after

    def stop(self) -> None:
        """Leave; what is not acknowledged stays in the outbox."""
        self._stopping = True
        self.wake()
        self._thread.join(STOP_S)

    # --- the sender's thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            check_library()
        except CentreError as error:
            self._say(str(error))
            return
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._come = asyncio.get_running_loop(), asyncio.Event()
        await again(self._session, self._say, lambda: self._stopping, self._rest)

    async def _rest(self, seconds: float) -> None:
        await self._pause(seconds, until_woken=False)

    async def _pause(self, seconds: float, *, until_woken: bool = True) -> None:
        """Wait; a new event ends it only where there is somebody to send it to."""
        assert self._come is not None
        end_s = monotonic() + seconds
        while not self._stopping and (left_s := end_s - monotonic()) > 0:
            try:
                await asyncio.wait_for(self._come.wait(), left_s)
            except TimeoutError:
                return
            self._come.clear()
            if until_woken:
                return

    def _say(self, problem: str) -> None:
        before = self.trouble
        if problem and problem != self.problem:
            log.warning("centre: %s; the events wait here", problem)
        if not problem and before:
            log.warning("centre: it takes events again")
        since_s = before.since_s if before else monotonic()
        self.trouble = Trouble(problem, since_s) if problem else None

    @property
    def problem(self) -> str:
        """Why the centre does not take events now, in words; empty if it does."""
        trouble = self.trouble
        return trouble.problem if trouble else ""

    async def _session(self) -> None:
        """Send until we are to stop, or the connection or the store fails."""
        database = self._open(self._address)
        try:
            client = await connect(self._settings, next(self._servers), wire.token(self._venue))
            try:
                await self._send_all(database, client)
            finally:
                await close(client)
        finally:
            database.close()

    async def _send_all(self, database: Database, client: Client) -> None:
        while not self._stopping:
            began_s = thread_time()
            found = self._first(database)
            past = bool(found) and found[0][0] < 0
            if found:
                # So many that it was away: others' fresh events go first.
                self._lane = wire.LATE if past or len(found) == BATCH else wire.FRESH
                await self._send_patiently(client, [event for _, event in found])
                outbox.acknowledged(database, [position for position, _ in found])
            if client.is_closed:
                raise CentreError("the connection ended")
            self._say("")
            if past:  # it may be years, and the page has the same processor: half of it
                await self._pause(thread_time() - began_s, until_woken=False)
            elif len(found) < BATCH:
                await self._pause(LOOK_EVERY_S)

    def _first(self, database: Database) -> list[tuple[int, Event]]:
        """Return what to send next. Read first, then hold: who commits holds before that.

        The past waits for nothing: what is missing in it comes behind it.
        """
        found = outbox.first(database, BATCH)
        hold = self._hold
        return [
            (position, event)
            for position, event in found
            if hold is None or position < 0 or event.seq <= hold
        ]

    async def _send_patiently(self, client: Client, events: list[Event]) -> None:
        """Send, and wait longer for the answer the next time if none came."""
        try:
            await self._send(client, events)
        except CentreError:
            self._answer_s = min(2 * self._answer_s, LONGEST_ANSWER_S)
            raise
        self._answer_s = FIRST_ANSWER_S

    async def _send(self, client: Client, events: list[Event]) -> None:
        """Return when JetStream has these events; raise CentreError."""
        while len(events) > 1:
            try:
                limit_s = self._answer_s + ANSWER_S
                await asyncio.wait_for(self._send_batch(client, events), limit_s)
            except TimeoutError:
                raise CentreError(words(TimeoutError())) from None
            except CentreError as error:
                if error.code == TOO_MANY_BATCHES:
                    await self._pause(random.uniform(*BATCH_AGAIN_S), until_woken=False)
                    continue
                if error.code == 0:
                    raise
                break  # there already, or a server without batches
            return
        for event in events:
            subject, body = self._message(event)
            headers = {wire.MESSAGE_ID: wire.message_id(event)}
            await ask(client, subject, body, headers, within_s=self._answer_s)

    async def _send_batch(self, client: Client, events: list[Event]) -> None:
        """Send all at once; the answer comes for the last one."""
        batch = uuid.uuid4().hex
        for number, event in enumerate(events, 1):
            subject, body = self._message(event)
            headers = {
                wire.MESSAGE_ID: wire.message_id(event),
                "Nats-Batch-Id": batch,
                "Nats-Batch-Sequence": str(number),
            }
            if number < len(events):
                await client.publish(subject, body, headers=headers)
            else:
                headers["Nats-Batch-Commit"] = "1"
                answer = await ask(client, subject, body, headers, within_s=self._answer_s)
                if answer.get("count") != len(events):
                    raise CentreError("this server knows no batches", NO_BATCHES)

    def _message(self, event: Event) -> tuple[str, bytes]:
        return wire.subject(self._prefix, event, self._lane), wire.body(
            event, self._store, self._capacity
        )
