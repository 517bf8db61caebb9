"""What is sent when: the controller's messages in, notices and withdrawals out. Pure.

Rules, in this order:

- A knock is sent once for each waiting *party*, not for each rap: knocks that the house merges
  (``[hatch] merge``) are one party. Nothing that is older than 30 s is sent.
- What stands (an alarm, a fault, too many guests, darkness) is sent once and withdrawn when it is
  over, whether that is heard as an event or seen in a snapshot.
- An event that was delivered again (same boot, same seq) is not heard again, also across a restart
  of this service: `memory` is kept in a file.
- A snapshot is the truth about what stands; an event that it already contains changes nothing.
- Of one kind at most so many an hour are sent; the rest are counted and sent as one summary.
- `dark`: no heartbeat for 60 s. Whether the broker or the controller is silent, the words say.

Time comes in with every call (`Now`), house time with the events; no clock is read here.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

import msgspec

from controller.notify.notices import FRESH_S, Notice, Now, Outgoing, Withdrawal

log = logging.getLogger(__name__)

DARK_AFTER_S = 60.0
HOUR_S = 3600.0
#: How long the words about a party's time are worth a message, in seconds.
SESSION_FRESH_S = 120.0
#: How long it is worth to say that something is over, in seconds.
OVER_FRESH_S = 600.0
#: Events that are remembered by number; no more than those in flight are repeated.
SEEN = 128
#: The controller queues no more parties than this.
MOST_WAITING = {"hatch": 99, "door": 1}
KINDS_OF_PLACE = {"hatch": "knock", "door": "door_knock"}
ENDS_WAITING = {
    "hatch_answered": "hatch",
    "hatch_opened": "hatch",
    "door_answered": "door",
    "door_opened": "door",
    "access_granted": "door",
}
#: What may stand, by the word for it: its kind and how severe it is.
STANDING = {
    "DoorForcedOpen": ("alarm", "critical"),
    "DoorOpenTooLong": ("alarm", "critical"),
    "over_capacity": ("alarm", "critical"),
    "evacuation": ("alarm", "critical"),
    "fault": ("fault", "warning"),
    "dark": ("dark", "warning"),
}
SESSION = {"session_warning": "info", "session_time_up": "warning", "session_overtime": "warning"}
#: What is looked at; all other events are nobody's business here.
EVENTS = {
    *("knock", "hatch_closed", *ENDS_WAITING),
    *("session_ended", *SESSION),
    *("door_pre_alarm", "door_alarm", "over_capacity", "over_capacity_ended"),
    *("locked_open", "lock_open_released", "fault", "fault_cleared"),
}


@dataclass
class Waiting:
    """Who waits at one place, as far as we have heard."""

    parties: int = 0
    #: House time (ms) of the last rap, wall time (s) of the oldest party's first.
    last_ms: float = -1e15
    oldest_at_s: float = 0.0
    #: The newest party has been sent.
    announced: bool = False

    def clear(self) -> bool:
        """Forget who waited; return whether anybody did."""
        was, self.parties, self.announced = self.parties > 0, 0, False
        return was


@dataclass
class Allowance:
    """At most ``most`` an hour; counts what was above it."""

    most: int
    sent_s: deque[float] = field(default_factory=deque)
    withheld: int = 0

    def take(self, t_s: float) -> bool:
        """Return whether one more may be sent now."""
        self._forget(t_s)
        if len(self.sent_s) >= self.most:
            self.withheld += 1
            return False
        self.sent_s.append(t_s)
        return True

    def due_s(self) -> float:
        """Return when the summary may be sent; never without one."""
        return self.sent_s[0] + HOUR_S if self.withheld and self.sent_s else inf

    def summary(self, t_s: float) -> int:
        """Return how many were withheld, once it is time to say so, else 0."""
        if t_s < self.due_s():
            return 0
        self._forget(t_s)
        self.sent_s.append(t_s)
        withheld, self.withheld = self.withheld, 0
        return withheld

    def _forget(self, t_s: float) -> None:
        while self.sent_s and self.sent_s[0] <= t_s - HOUR_S:
            self.sent_s.popleft()


def summaries(allowances: Mapping[str, Allowance], now: Now) -> Iterator[Outgoing]:
    """Yield what is due of what was too much, by kind."""
    for kind, allowance in allowances.items():
        withheld = allowance.summary(now.t_s)
        if withheld:
            until_s, data = now.t_s + OVER_FRESH_S, {"n": withheld}
            word = f"more_{kind}"
            yield Notice(word, kind, "warning", word, now.t_s, until_s, data)


class Event(msgspec.Struct):
    """What all events carry; ``seq`` and ``boot`` together name one for ever."""

    seq: int
    boot: str
    at: datetime
    t_ms: float
    place: str = ""
    alarm: str = ""
    name: str = ""
    line: str = ""
    cause: str = ""
    remaining_s: float = 0.0
    over_s: float = 0.0
    count: int = 0


class _Hatch(msgspec.Struct):
    waiting: int
    open: bool
    oldest_s: float | None = None


class _DoorKnock(msgspec.Struct):
    age_s: float


class _Door(msgspec.Struct):
    alarm: str
    mode: str


class _Fault(msgspec.Struct):
    name: str
    line: str

    @property
    def key(self) -> str:
        """What a notice of it is about."""
        return f"fault/{self.name}/{self.line}"


class _Occupancy(msgspec.Struct):
    count: int


class Snapshot(msgspec.Struct):
    """The parts of the controller's snapshot that are looked at here."""

    seq: int
    boot: str
    at: datetime
    occupancy: _Occupancy
    door: _Door
    hatch: _Hatch
    door_knock: _DoorKnock | None
    faults: list[_Fault]
    over_capacity: bool


class Memory(msgspec.Struct):
    """What must survive a restart of this service, so that nothing is sent twice."""

    seen: list[tuple[str, int]] = []
    waiting: dict[str, Waiting] = {}
    standing: list[str] = []


_EVENT = msgspec.json.Decoder(Event)
_SNAPSHOT = msgspec.json.Decoder(Snapshot)


class Decider:
    """Hears the controller and decides; ``merge_ms`` is the house's own for knocks."""

    def __init__(
        self, now: Now, *, merge_ms: float, most_an_hour: int, memory: Memory | None = None
    ) -> None:
        kept = memory or Memory()
        self._merge_ms, self._most = merge_ms, most_an_hour
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict.fromkeys(kept.seen)
        self._waiting = {place: kept.waiting.get(place, Waiting()) for place in KINDS_OF_PLACE}
        self._standing: set[str] = set(kept.standing)
        self._hatch_open = False
        self._allowances: dict[str, Allowance] = {}
        self._heard_s = now.t_s
        self._broker = True
        self._newest = ("", -1)
        self._contained = -1
        #: The life of the controller that we hear; a command to it names it.
        self.boot = ""

    # --- what comes in ----------------------------------------------------------------------------

    def handle(self, name: str, payload: bytes, now: Now) -> list[Outgoing]:
        """Take one message by the name of its topic; what makes no sense is ignored."""
        try:
            if name == "heartbeat":
                return self._beat(now)
            if name == "state":
                return self._snapshot(_SNAPSHOT.decode(payload), now)
            if name.startswith("event/"):
                return self._event(name.removeprefix("event/"), _EVENT.decode(payload), now)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("%s: ignored, %s", name, error)
        return []

    def broker(self, reached: bool, _now: Now) -> None:
        """Take note whether the broker is there: it only changes what darkness is called."""
        self._broker = reached

    def tick(self, now: Now) -> list[Outgoing]:
        """Return what is due by now: darkness, and summaries of what was too much."""
        return [*self._darkness(now), *summaries(self._allowances, now)]

    def due_s(self) -> float:
        """Return the `Now.t_s` at which `tick` has something to do; inf when never."""
        dark_s = inf if "dark" in self._standing else self._heard_s + DARK_AFTER_S
        return min([dark_s, *(one.due_s() for one in self._allowances.values())])

    def waits(self, place: str) -> bool:
        """Return whether somebody waits at ``place``, as far as we have heard."""
        return self._waiting[place].parties > 0

    def memory(self) -> Memory:
        """Return what a restart must not forget."""
        waiting = {place: one for place, one in self._waiting.items() if one.parties}
        return Memory(list(self._seen), waiting, sorted(self._standing))

    # --- events -----------------------------------------------------------------------------------

    def _event(self, name: str, event: Event, now: Now) -> list[Outgoing]:
        if name not in EVENTS or not self._is_new(event):
            return []
        age_s = max(now.wall_s - event.at.timestamp(), 0.0)
        if name == "knock" and event.place in self._waiting:
            return self._knock(event, age_s, now)
        out = self._moment(name, event, age_s, now)
        if event.seq > self._contained:
            out += self._ends_waiting(name) + self._condition(name, event, now)
        return out

    def _is_new(self, event: Event) -> bool:
        """Return whether this event was not heard before, and remember it."""
        id_ = (event.boot, event.seq)
        if id_ in self._seen:
            return False
        self._seen[id_] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        if event.boot != self._newest[0] or event.seq > self._newest[1]:
            self._newest = id_
        return True

    def _moment(self, name: str, event: Event, age_s: float, now: Now) -> list[Outgoing]:
        """Tell what just happens and does not stand."""
        since_s = now.t_s - age_s
        if name in SESSION and age_s < SESSION_FRESH_S:
            data = {"left_s": event.remaining_s, "over_s": event.over_s}
            until_s = since_s + SESSION_FRESH_S
            notice = Notice("session", "session", SESSION[name], name, since_s, until_s, data)
            return self._allowed(notice, now)
        if name == "door_pre_alarm" and age_s < FRESH_S:
            return self._allowed(
                Notice(name, "alarm", "warning", name, since_s, since_s + FRESH_S), now
            )
        return [Withdrawal("session")] if name == "session_ended" else []

    def _ends_waiting(self, name: str) -> list[Outgoing]:
        if name in ("hatch_opened", "hatch_closed"):
            self._hatch_open = name == "hatch_opened"
        return self._nobody_waits(ENDS_WAITING[name]) if name in ENDS_WAITING else []

    def _condition(self, name: str, event: Event, now: Now) -> list[Outgoing]:
        """Tell what stands from now on, or is over."""
        if name == "door_alarm":
            return self._door_alarm(event.alarm, now)
        if name in ("over_capacity", "over_capacity_ended"):
            data = {"n": event.count}
            return self._stand("over_capacity", name == "over_capacity", data, now)
        if name in ("locked_open", "lock_open_released"):
            return self._stand("evacuation", name == "locked_open", {}, now)
        if name in ("fault", "fault_cleared"):
            return self._fault(_Fault(event.name, event.line), name == "fault", now)
        return []

    # --- knocks -----------------------------------------------------------------------------------

    def _knock(self, event: Event, age_s: float, now: Now) -> list[Outgoing]:
        place, waiting = event.place, self._waiting[event.place]
        if place == "hatch" and self._hatch_open:
            return []
        merged = waiting.parties > 0 and event.t_ms - waiting.last_ms <= self._merge_ms
        waiting.last_ms = max(waiting.last_ms, event.t_ms)
        if not merged:
            self._another_party(place, event)
        if waiting.announced or age_s >= FRESH_S:
            return []
        waiting.announced = True
        oldest_s = max(now.wall_s - waiting.oldest_at_s, 0.0)
        return self._allowed(
            Notice(
                place,
                KINDS_OF_PLACE[place],
                "warning",
                f"{place}_waits",
                now.t_s - oldest_s,
                now.t_s + FRESH_S - age_s,
                {"n": waiting.parties},
                answers=place,
            ),
            now,
        )

    def _another_party(self, place: str, event: Event) -> None:
        waiting = self._waiting[place]
        if not waiting.parties:
            waiting.oldest_at_s = event.at.timestamp()
        if not waiting.parties or event.seq > self._contained:
            waiting.parties = min(waiting.parties + 1, MOST_WAITING[place])
        waiting.announced = False

    def _nobody_waits(self, place: str) -> list[Outgoing]:
        return [Withdrawal(place)] if self._waiting[place].clear() else []

    # --- snapshots --------------------------------------------------------------------------------

    def _snapshot(self, seen: Snapshot, now: Now) -> list[Outgoing]:
        """Put right what events have not said: some may be lost, and what stands must end."""
        self.boot = seen.boot
        if seen.boot == self._newest[0] and seen.seq < self._newest[1]:
            return []  # made before the newest event: the next one is on its way
        self._contained = seen.seq
        self._hatch_open = seen.hatch.open
        at_s, door = seen.at.timestamp(), seen.door_knock
        out = self._waiting_now("hatch", seen.hatch.waiting, at_s - (seen.hatch.oldest_s or 0.0))
        out += self._waiting_now("door", int(door is not None), at_s - (door.age_s if door else 0))
        out += self._door_alarm(seen.door.alarm, now)
        out += self._stand("over_capacity", seen.over_capacity, {"n": seen.occupancy.count}, now)
        out += self._stand("evacuation", seen.door.mode == "LockedOpen", {}, now)
        return out + self._faults(seen.faults, now)

    def _waiting_now(self, place: str, parties: int, oldest_at_s: float) -> list[Outgoing]:
        if not parties:
            return self._nobody_waits(place)
        waiting = self._waiting[place]
        waiting.parties, waiting.oldest_at_s = parties, oldest_at_s
        return []

    def _faults(self, faults: list[_Fault], now: Now) -> list[Outgoing]:
        out: list[Outgoing] = []
        over = self._standing - {fault.key for fault in faults}
        for key in sorted(key for key in over if key.startswith("fault/")):
            out += self._fault(_Fault(*key.split("/")[1:3]), False, now)
        for fault in faults:
            out += self._fault(fault, True, now)
        return out

    # --- what stands ------------------------------------------------------------------------------

    def _door_alarm(self, alarm: str, now: Now) -> list[Outgoing]:
        out: list[Outgoing] = []
        for word in ("DoorForcedOpen", "DoorOpenTooLong"):
            out += self._stand(word, alarm == word, {}, now)
        return out

    def _fault(self, fault: _Fault, stands: bool, now: Now) -> list[Outgoing]:
        data = {"name": fault.name, "line": fault.line}
        return self._stand("fault", stands, data, now, fault.key)

    def _stand(
        self, word: str, stands: bool, data: Mapping[str, object], now: Now, key: str = ""
    ) -> list[Outgoing]:
        """Tell once that something stands, and once that it is over."""
        key = key or word
        if stands == (key in self._standing):
            return []
        kind, severity = STANDING[word]
        if stands:
            self._standing.add(key)
            begins = Notice(key, kind, severity, word, now.t_s, inf, data, standing=True)
            return self._allowed(begins, now) or [Withdrawal(key)]
        self._standing.discard(key)
        until_s = now.t_s + OVER_FRESH_S
        return [Notice(key, kind, severity, f"{word}_over", now.t_s, until_s, data, ends=True)]

    def _beat(self, now: Now) -> list[Outgoing]:
        self._heard_s = now.t_s
        return self._stand("dark", False, {}, now)

    def _darkness(self, now: Now) -> list[Outgoing]:
        if now.t_s < self._heard_s + DARK_AFTER_S:
            return []
        who = "controller" if self._broker else "broker"
        return self._stand("dark", True, {"who": who}, now)

    # --- how many ---------------------------------------------------------------------------------

    def _allowed(self, notice: Notice, now: Now) -> list[Outgoing]:
        allowance = self._allowances.setdefault(notice.kind, Allowance(self._most))
        return [notice] if allowance.take(now.t_s) else []
