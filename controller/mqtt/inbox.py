"""Commands from the wire: fresh, single and absolute, or refused with the reason.

A door must never open from an old message. A broker may keep, queue, repeat or reorder whatever it
was given, and not even the retain flag tells it all (a message queued for us comes without it), so
each command carries its own ``id`` and ``issued_at`` and proves itself here. What was issued before
this process began is refused too: its id may have been used on the other side of the restart.

A Pi without a clock of its own may not know what time it is. Then only those are believed who name
this very run of the controller (its ``boot``) and share its wrong clock: the page beside it.

A flood costs nobody else: each command spends a token, and beyond the bucket it is dropped unread.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

import msgspec

from controller.events import COMMANDS, TONES, Command, Reason
from controller.mqtt.message import PAYLOAD_LIMIT, Message

#: How far the sender's clock may run ahead of ours, in seconds.
AHEAD_S = 2.0
#: Ids remembered at once; ten thousand commands a second for the longest age stay below it.
IDS = 700_000
#: Tokens at once and new ones a second: for what is refused here, and for what is passed on.
REFUSED = (200.0, 5.0)
PASSED = (500.0, 50.0)
#: ``issued_at`` above this is in milliseconds: as seconds it would be the year 5138.
MILLISECONDS_FROM = 1e11
CAUSES = ("page", "homeassistant")


class _Payload(msgspec.Struct):
    """What a command may say; further keys are somebody else's and ignored.

    ``party`` and ``count`` are the contract's words for a command's number; the others are what
    people write instead, and a number that is there must never be overlooked.
    """

    id: str
    issued_at: str | float
    party: int | None = None
    count: int | None = None
    value: int | None = None
    number: int | None = None
    n: int | None = None
    tone: str | None = None
    cause: str = "mqtt"
    boot: str = ""


class _Named(msgspec.Struct):
    """The least that can be answered: whoever asked, however badly."""

    id: str | int


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of arrival: house time, wall clock, and whether that clock can be believed."""

    t_ms: float
    wall_s: float
    clock_set: bool = True


class _Bucket:
    """Tokens for a burst, refilled slowly."""

    def __init__(self, most: float, per_s: float) -> None:
        self._most, self._per_s = most, per_s
        self._tokens, self._t_ms = most, 0.0

    def spend(self, t_ms: float) -> bool:
        """Take one token; False when there is none."""
        fresh = max(t_ms - self._t_ms, 0.0) / 1000 * self._per_s
        self._tokens, self._t_ms = min(self._tokens + fresh, self._most), t_ms
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Inbox:
    """Checks each incoming command and remembers the ids of the fresh ones.

    ``started_ms`` is the house time at which this process began, ``boot`` the name of its run.
    """

    def __init__(self, max_age_s: float, started_ms: float, boot: str) -> None:
        self._max_age_s = max_age_s
        self._started_ms = started_ms
        self._boot = boot
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._decode = msgspec.json.Decoder(_Payload).decode
        #: One for each command: a flood of one must not drown another.
        self._passed = {name: _Bucket(*PASSED) for name in COMMANDS}
        self._refused = _Bucket(*REFUSED)

    def take(self, name: str, message: Message, now: Now) -> Command | None:
        """Return the command ``name`` that ``message`` asks for; ``refusal`` says why not.

        None when there are too many of them: it is dropped, neither done nor answered.
        """
        command = self._checked(name, message, now)
        bucket = self._passed[name] if command.refusal is None else self._refused
        return command if bucket.spend(now.t_ms) else None

    def _checked(self, name: str, message: Message, now: Now) -> Command:
        payload = self._payload(message.payload)
        if payload is None:
            id_ = _name_of(message.payload)
            return Command(now.t_ms, name, id=id_, refusal=Reason.MALFORMED)
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
        stale = self._staleness(issued_s, now)
        if not now.clock_set and (stale or payload.boot != self._boot):
            return Reason.CLOCK_NOT_SET
        return stale or self._repeated(payload.id, now)

    def _staleness(self, issued_s: float, now: Now) -> Reason | None:
        if issued_s > now.wall_s + AHEAD_S:
            return Reason.FROM_THE_FUTURE
        age_s, up_s = now.wall_s - issued_s, (now.t_ms - self._started_ms) / 1000
        return Reason.STALE_COMMAND if age_s > min(self._max_age_s, up_s) else None

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
    if name == "ring_chime":
        return TONES.index(payload.tone) if payload.tone in TONES else None
    own = payload.party if COMMANDS.get(name) == "party" else payload.count
    said = (own, payload.value, payload.number, payload.n, payload.party, payload.count)
    return next((number for number in said if number is not None), None)


def _name_of(raw: bytes) -> str:
    """Return the id of a malformed command as far as it can be read, to answer it."""
    try:
        return str(msgspec.json.decode(raw[: PAYLOAD_LIMIT + 1], type=_Named).id)[:64]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _seconds(issued_at: str | float) -> float | None:
    """Return a point in time as seconds since 1970: ISO 8601 with offset, seconds or ms."""
    if isinstance(issued_at, str):
        try:
            moment = datetime.fromisoformat(issued_at)
        except ValueError:
            return None
        return moment.timestamp() if moment.tzinfo is not None else None
    return issued_at / 1000 if issued_at > MILLISECONDS_FROM else issued_at
