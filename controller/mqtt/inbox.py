"""Commands from MQTT: each is fresh and new, or it is refused with the reason.

An idempotent consumer: it remembers the ids of commands, so a repeated message does nothing twice.
A door must never open from an old message. A broker may keep, queue, repeat or reorder messages,
and the retain flag does not show all of that (a message that was queued for us comes without it).
So each command has its own ``id`` and ``issued_at``, which are checked here. A command issued
before this process began is refused too: its id may have been used before the restart. The newest
ids outlive a restart with the state, for commands of a sender whose clock is ahead of ours.

A Pi without a clock of its own may not know the time. Then only commands are accepted that name
this run of the controller (its ``boot``) and use the same clock: those of the page beside it.

A flood of one command does not block the others: each takes a token of its own bucket, and without
a token it is dropped, neither done nor answered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import MappingProxyType

import msgspec

from controller.events import COMMANDS, REFERENCES, TONES, Command, Reason
from controller.mqtt.clocks import ClockWatch
from controller.mqtt.message import PAYLOAD_LIMIT, Message

#: Ids remembered at once: more than ten thousand commands a second for the longest age.
MAX_IDS = 700_000
#: Ids kept over a restart.
KEPT_IDS = 100
#: Tokens at once and new ones a second: for refused commands, and for accepted ones.
REFUSED = (200.0, 5.0)
PASSED = (500.0, 50.0)
#: ``issued_at`` above this is in milliseconds: as seconds it would be the year 5138.
MILLISECONDS_FROM = 1e11
#: Characters of the name of a phone.
NAME_LIMIT = 40
#: No command is said to be older, or more ahead, than this (seconds): a century.
AGE_SHOWN_S = 3e9
CAUSES = ("page", "homeassistant")


class _Payload(msgspec.Struct):
    """The keys of a command; further keys are ignored.

    ``party``, ``count`` and ``came`` are the documented keys of a command's number, ``question``
    says which question it answers, ``undoes`` which command it takes back, ``by`` whose phone asks.
    The others are what people write instead: a number that was sent must never be ignored.
    """

    id: str
    issued_at: str | float
    party: int | None = None
    count: int | None = None
    came: int | None = None
    question: str | None = None
    undoes: str | None = None
    value: int | None = None
    number: int | None = None
    n: int | None = None
    tone: str | None = None
    cause: str = "mqtt"
    boot: str = ""
    by: object = None


class _IdOnly(msgspec.Struct):
    """The part of a malformed command that is needed to answer it."""

    id: str | int


@dataclass(frozen=True, slots=True)
class Now:
    """The time of arrival: house time, wall clock, and whether the wall clock was set."""

    t_ms: float
    wall_s: float
    clock_set: bool = True


class _TokenBucket:
    """Tokens for a burst, refilled slowly."""

    def __init__(self, most: float, per_s: float) -> None:
        self._most, self._per_s = most, per_s
        self._tokens, self._t_ms = most, 0.0

    def spend(self, t_ms: float) -> bool:
        """Take one token; return False when there is none."""
        fresh = max(t_ms - self._t_ms, 0.0) / 1000 * self._per_s
        self._tokens, self._t_ms = min(self._tokens + fresh, self._most), t_ms
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Inbox:
    """Checks each incoming command and remembers the ids of the fresh ones.

    ``max_age_s`` is how far a command's time may be from ours, either way: how old it may be, and
    how far its sender's clock may be ahead. ``started_ms`` is the house time at which this process
    began, ``boot`` the name of its run; ``seen`` what `recent` returned in the run before.
    """

    def __init__(
        self,
        max_age_s: float,
        started_ms: float,
        boot: str,
        seen: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.max_age_s = max_age_s
        #: Whose clock differs from ours.
        self.clocks = ClockWatch(max_age_s)
        self._started_ms = started_ms
        self._boot = boot
        self._keep_ms = 2 * max_age_s * 1000
        self._seen = OrderedDict(seen)
        self._decode = msgspec.json.Decoder(_Payload).decode
        #: One for each command, so that a flood of one does not block another.
        self._passed = {name: _TokenBucket(*PASSED) for name in COMMANDS}
        self._refused = _TokenBucket(*REFUSED)

    def take(self, name: str, message: Message, now: Now) -> Command | None:
        """Return the command ``name`` in ``message``; its ``refusal`` is set if it is refused.

        Return None when there are too many of them: the command is dropped without an answer.
        """
        command = self._checked(name, message, now)
        bucket = self._passed[name] if command.refusal is None else self._refused
        return command if bucket.spend(now.t_ms) else None

    def recent(self, now_ms: float) -> dict[str, float]:
        """Return the newest ids that count as used, with the house time at which each came."""
        newest = islice(reversed(self._seen.items()), KEPT_IDS)
        recent = [(id_, t_ms) for id_, t_ms in newest if t_ms >= now_ms - self._keep_ms]
        return dict(reversed(recent))

    def _checked(self, name: str, message: Message, now: Now) -> Command:
        payload = self._payload(message.payload)
        if isinstance(payload, str):
            id_ = _readable_id(message.payload)
            return Command(now.t_ms, name, id=id_, refusal=Reason.MALFORMED, detail=payload)
        refusal = self._refusal(name, message, payload, now)
        cause = payload.cause if payload.cause in CAUSES else "mqtt"
        self._hear_clock(cause, message, payload, now)
        return Command(
            now.t_ms,
            name,
            number=_number(name, payload),
            id=payload.id,
            cause=cause,
            refusal=refusal,
            question=payload.question or "",
            by=_name(payload.by),
            age_s=self._age_s(refusal, payload, now),
            undoes=payload.undoes or "",
            detail=_detail(name, payload) if refusal is Reason.MALFORMED else "",
        )

    def _payload(self, raw: bytes) -> _Payload | str:
        """Return the keys of a command, or what is wrong with it."""
        if len(raw) > PAYLOAD_LIMIT:
            return f"longer than {PAYLOAD_LIMIT} bytes"
        try:
            payload = self._decode(raw)
        except msgspec.DecodeError as error:  # it names the key, and never what stands there
            return str(error)
        except (UnicodeDecodeError, RecursionError):
            return "not UTF-8, or brackets in brackets without end"
        if not 0 < len(payload.id) <= 64 or not payload.id.isprintable():
            return "id must have 1 to 64 printable characters"
        return payload

    def _refusal(self, name: str, message: Message, payload: _Payload, now: Now) -> Reason | None:
        issued_s = _timestamp_s(payload.issued_at)
        if name not in COMMANDS:
            return Reason.UNKNOWN_COMMAND
        if message.retain:
            return Reason.RETAINED
        if issued_s is None or (name in REFERENCES and not getattr(payload, REFERENCES[name])):
            return Reason.MALFORMED
        stale = self._staleness(issued_s, now)
        if not now.clock_set and (stale or payload.boot != self._boot):
            return Reason.CLOCK_NOT_SET
        return stale or self._repeated(payload.id, now)

    def _staleness(self, issued_s: float, now: Now) -> Reason | None:
        if issued_s > now.wall_s + self.max_age_s:
            return Reason.FROM_THE_FUTURE
        age_s, up_s = now.wall_s - issued_s, (now.t_ms - self._started_ms) / 1000
        return Reason.STALE_COMMAND if age_s > min(self.max_age_s, up_s) else None

    def _age_s(self, refusal: Reason | None, payload: _Payload, now: Now) -> float | None:
        """Return a command's age, where it is why the command is refused."""
        issued_s = _timestamp_s(payload.issued_at)
        if issued_s is None or refusal not in (Reason.STALE_COMMAND, Reason.FROM_THE_FUTURE):
            return None
        age_s = now.wall_s - issued_s
        if abs(age_s) <= self.max_age_s:  # issued before this start
            return None
        return round(max(-AGE_SHOWN_S, min(age_s, AGE_SHOWN_S)), 1)

    def _hear_clock(self, cause: str, message: Message, payload: _Payload, now: Now) -> None:
        """Note how far the sender's clock differs; what was kept somewhere says nothing of it."""
        issued_s = _timestamp_s(payload.issued_at)
        if now.clock_set and not message.retain and issued_s is not None:
            age_s = max(-AGE_SHOWN_S, min(now.wall_s - issued_s, AGE_SHOWN_S))
            self.clocks.hear(cause, age_s, now.t_ms)

    def _repeated(self, id_: str, now: Now) -> Reason | None:
        """Remember the id for as long as its command would count as fresh."""
        while self._seen and next(iter(self._seen.values())) < now.t_ms - self._keep_ms:
            self._seen.popitem(last=False)
        if id_ in self._seen:
            return Reason.REPLAYED
        if len(self._seen) >= MAX_IDS:
            return Reason.NOT_PERMITTED_AT_THIS_TIME
        self._seen[id_] = now.t_ms
        return None


def _detail(name: str, payload: _Payload) -> str:
    """Return which key of a malformed command makes no sense, and what it must be."""
    if _timestamp_s(payload.issued_at) is None:
        return "issued_at must be ISO 8601 with an offset, or seconds since 1970"
    return f"{REFERENCES[name]} must be the id of what it is about, from the snapshot"


def _number(name: str, payload: _Payload) -> int | None:
    if name == "ring_chime":
        return TONES.index(payload.tone) if payload.tone in TONES else None
    numbers = {"party": payload.party, "count": payload.count, "came": payload.came}
    own = numbers.get(COMMANDS.get(name) or "count")
    candidates = (own, payload.value, payload.number, payload.n, *numbers.values())
    return next((number for number in candidates if number is not None), None)


def _name(by: object) -> str:
    """Return the name of a phone; "" for what is none: a name decides nothing, nor refuses."""
    is_name = isinstance(by, str) and len(by) <= NAME_LIMIT and by.isprintable()
    return str(by).strip() if is_name else ""


def _readable_id(raw: bytes) -> str:
    """Return the id of a malformed command, to answer it; empty if it can't be read."""
    try:
        return str(msgspec.json.decode(raw[: PAYLOAD_LIMIT + 1], type=_IdOnly).id)[:64]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _timestamp_s(issued_at: str | float) -> float | None:
    """Return a time as seconds since 1970; it is ISO 8601 with offset, seconds or milliseconds."""
    if isinstance(issued_at, str):
        try:
            moment = datetime.fromisoformat(issued_at)
        except ValueError:
            return None
        return moment.timestamp() if moment.tzinfo is not None else None
    return issued_at / 1000 if issued_at > MILLISECONDS_FROM else issued_at
