"""Events by their numbers, for who has missed some: asked for on `backfill/request`.

A broker that dies takes with it what it has acknowledged and not delivered yet. The journal has
every event, so whoever sees a hole in the numbers asks, and gets a batch on `backfill`. It is a
topic of its own: who listens for events hears none of them again.

A request changes nothing, so it proves nothing. At most ten a second are answered, each when the
broker has the answer before; of more than `WAITING` the oldest are dropped, and who misses an
answer asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import msgspec

from controller.journal.records import Row
from controller.mqtt.message import Message, Topics

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

#: Events in one answer, and about how many bytes: the installer's broker takes 64 KiB.
EVENTS, BYTES = 100, 48 * 1024
#: Requests that wait at most.
WAITING = 8
#: Ticks until an answer is given up that the broker does not take: no flood fills our memory.
PATIENCE = 50
REQUEST_BYTES = 1024


class Request(msgspec.Struct, frozen=True):
    """The events with numbers above ``after``, up to ``until`` or the newest."""

    after: Number
    until: Number | None = None


class Backfill:
    """Answers requests from the journal, one for each `tick`.

    ``fetch(after, limit, reply)`` reads events in the journal's thread, ``newest()`` is the number
    of the newest one. `acked` is to follow what ``publish`` gets. ``failing()`` says whether the
    journal can't be believed now: nobody must be sent that events are gone when only the disk is.
    """

    def __init__(
        self,
        topics: Topics,
        fetch: Callable[[int, int, Callable[[list[Row]], None]], None],
        publish: Callable[[Message], None],
        newest: Callable[[], int],
        failing: Callable[[], bool],
    ) -> None:
        self.topic, self._answers_to = topics("backfill/request"), topics("backfill")
        self._fetch, self._publish = fetch, publish
        self._newest, self._failing = newest, failing
        self._waiting: deque[Request] = deque(maxlen=WAITING)
        #: Ticks until the next may be read for; 0 when none is on its way.
        self._patience = 0
        self._decode = msgspec.json.Decoder(Request).decode

    def handle(self, message: Message) -> bool:
        """Take a request, from the link's thread; return whether it was one, also a bad one."""
        if message.topic != self.topic:
            return False
        request = self._request(message)
        if request is not None and request not in tuple(self._waiting):
            self._waiting.append(request)
        return True

    def _request(self, message: Message) -> Request | None:
        if message.retain or len(message.payload) > REQUEST_BYTES:
            return None
        try:
            return self._decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def tick(self) -> None:
        """Read for the next request; to be called ten times a second."""
        if self._patience:
            self._patience -= 1
        elif self._waiting:
            self._patience = PATIENCE
            request = self._waiting.popleft()
            self._fetch(request.after, EVENTS, partial(self._answer, request))

    def acked(self) -> None:
        """Note that the broker has the answer."""
        self._patience = 0

    def _answer(self, request: Request, rows: Sequence[Row]) -> None:
        """Publish what was read, from the journal's thread; nothing while the disk fails."""
        if self._failing():
            self._patience = 0
            return
        newest = max([self._newest(), *(row.seq for row in rows)])
        events, upto = _that_fit(rows)
        searched = newest if request.until is None else request.until
        until = min(upto, searched) if upto is not None else searched
        body = ",".join(text for seq, text in events if seq <= until)
        payload = (
            f'{{"after":{request.after},"until":{max(until, request.after)},"newest":{newest},'
            f'"events":[{body}]}}'
        )
        self._publish(Message(self._answers_to, payload.encode(), qos=1))


def _that_fit(rows: Sequence[Row]) -> tuple[list[tuple[int, str]], int | None]:
    """Return numbers and texts for one answer, and the last number if there may be more."""
    events: list[tuple[int, str]] = []
    size = 0
    for row in rows:
        text = row.to_json()
        size += len(text.encode())
        if events and size > BYTES:
            return events, events[-1][0]
        events.append((row.seq, text))
    return events, events[-1][0] if len(rows) == EVENTS else None
