"""Commands from the wire: fresh, single and absolute, or refused with the reason.

A door must never open from an old message. A broker may keep, queue, repeat or reorder whatever it
was given, and not even the retain flag tells it all (a message queued for us comes without it), so
each command carries its own ``id`` and ``issued_at`` and proves itself here. What was issued before
this process began is refused too: its id may have been used on the other side of the restart.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

import msgspec

from controller.events import COMMANDS, Command, Reason
from controller.wire import PAYLOAD_LIMIT, Message

#: How far the sender's clock may run ahead of ours, in seconds.
AHEAD_S = 2.0
#: Ids remembered at once; ten thousand commands a second for the longest age stay below it.
IDS = 700_000
#: ``issued_at`` above this is in milliseconds: as seconds it would be the year 5138.
MILLISECONDS_FROM = 1e11
CAUSES = ("page", "homeassistant")


class _Payload(msgspec.Struct):
    """What a command may say; further keys are somebody else's and ignored."""

    id: str
    issued_at: str | float
    party: int | None = None
    count: int | None = None
    value: int | None = None
    cause: str = "mqtt"


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of arrival: house time, wall clock, and whether that clock can be believed."""

    t_ms: float
    wall_s: float
    clock_set: bool = True


class Inbox:
    """Checks each incoming command and remembers the ids of the fresh ones."""

    def __init__(self, max_age_s: float, started_s: float) -> None:
        self._max_age_s = max_age_s
        self._started_s = started_s
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._decode = msgspec.json.Decoder(_Payload).decode

    def take(self, name: str, message: Message, now: Now) -> Command:
        """Return the command ``name`` that ``message`` asks for; ``refusal`` says why not."""
        payload = self._payload(message.payload)
        if payload is None:
            return Command(now.t_ms, name, refusal=Reason.MALFORMED)
        return Command(
            now.t_ms,
            name,
            number=_number(name, payload),
            id=payload.id,
            cause=payload.cause if payload.cause in CAUSES else "mqtt",
            refusal=self._refusal(name, message, payload, now),
        )

    def _payload(self, raw: bytes) -> _Payload | None:
        if len(raw) > PAYLOAD_LIMIT:
            return None
        try:
            payload = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return payload if 0 < len(payload.id) <= 64 and payload.id.isprintable() else None

    def _refusal(self, name: str, message: Message, payload: _Payload, now: Now) -> Reason | None:
        issued_s = _seconds(payload.issued_at)
        if name not in COMMANDS:
            return Reason.UNKNOWN_COMMAND
        if message.retain:
            return Reason.RETAINED
        if issued_s is None:
            return Reason.MALFORMED
        if not now.clock_set:
            return Reason.CLOCK_NOT_SET
        return self._staleness(issued_s, now) or self._repeated(payload.id, now)

    def _staleness(self, issued_s: float, now: Now) -> Reason | None:
        if issued_s > now.wall_s + AHEAD_S:
            return Reason.FROM_THE_FUTURE
        if now.wall_s - issued_s > self._max_age_s or issued_s < self._started_s - AHEAD_S:
            return Reason.STALE_COMMAND
        return None

    def _repeated(self, id_: str, now: Now) -> Reason | None:
        """Remember the id for as long as its command could pass for fresh."""
        keep_ms = (self._max_age_s + AHEAD_S) * 1000
        while self._seen and next(iter(self._seen.values())) < now.t_ms - keep_ms:
            self._seen.popitem(last=False)
        if id_ in self._seen:
            return Reason.REPLAYED
        if len(self._seen) >= IDS:
            return Reason.NOT_PERMITTED_AT_THIS_TIME
        self._seen[id_] = now.t_ms
        return None


def _number(name: str, payload: _Payload) -> int | None:
    own = payload.party if name == "access_door" else payload.count
    return payload.value if own is None else own


def _seconds(issued_at: str | float) -> float | None:
    """Return a point in time as seconds since 1970: ISO 8601 with offset, seconds or ms."""
    if isinstance(issued_at, str):
        try:
            moment = datetime.fromisoformat(issued_at)
        except ValueError:
            return None
        return moment.timestamp() if moment.tzinfo is not None else None
    if not math.isfinite(issued_at):
        return None
    return issued_at / 1000 if issued_at > MILLISECONDS_FROM else issued_at
