"""What the house tells: each step as numbered events, retained states and the night's timeline."""

from __future__ import annotations

import time
from operator import attrgetter
from typing import Any

from controller import codec
from controller.clock import Clock, Moment
from controller.engine import TimedEffects
from controller.events import Answer, Chime, Set
from controller.integrations.devices import Devices
from controller.journal.records import Record, Row, Saved
from controller.mqtt import snapshot as payloads
from controller.mqtt.message import Message, Topics
from controller.mqtt.snapshot import Stamp
from controller.rules.state import RuleSettings, State, door_mode, wanted
from controller.service.latency import Latency
from controller.service.night import Night
from controller.service.radio import signal_dbm

#: The night begins at noon: a bar's evening crosses midnight, nobody's crosses noon.
NOON = 12
#: A snapshot is told again when it is older than this, so that times on it stay fresh.
FRESH_MS = 10_000.0
#: How often the strength of the wireless signal is read, seconds.
RADIO_S = 10.0
#: What no power cut may take back, whoever did it: a locked door, the two hours.
GRAVE = attrgetter("locked_down", "locked_open", "session")
#: All of a state but what changes with every edge.
LASTING = attrgetter(*(vars(State()).keys() - {"t_ms", "busy", "coming_in"}))


class Teller:
    """Turns effects into records for the journal and messages for the wire."""

    def __init__(
        self, venue: str, topics: Topics, rules: RuleSettings, clock: Clock, seq: int
    ) -> None:
        self.topics = topics
        self.boot = ""
        self.seq = seq
        self.discovery: list[Message] = []
        self.gadgets = Devices()
        self.latency = Latency()
        #: That of the newest snapshot: a page that was told less is behind.
        self.told_seq = seq
        self._venue = venue
        self._rules = rules
        self._clock = clock
        #: Has anything that lasts changed since the newest snapshot?
        self.untold = False
        self._kept: object = None
        self._grave: object = None
        self._snapshot: dict[str, Any] = {}
        self._unnoted: list[tuple[Row, dict[str, Any]]] = []
        self._told_ms = 0.0
        self._radio_s = 0.0
        self._signal: int | None = None
        self._first = True
        self.night = Night(codec.iso(noon_before(clock.wall_s())))

    def record(
        self, told: TimedEffects, state: State, moment: Moment, delivered: int
    ) -> Record | None:
        """Return what to keep and to tell of one step, or None when there is nothing."""
        stamp = self._stamp(moment.t_ms)
        rows = [self._row(*event, stamp) for event in codec.told_all(told)]
        news = self._news(state)
        if not rows and not news:
            return None
        saved = Saved(
            state.t_ms,
            moment.boot_id,
            round(moment.boottime_ms, 3),
            round(moment.wall_s, 3),
            vars(state),
        )
        done = any(isinstance(effect, Answer) and effect.ok for _, effect in told)
        grave, self._grave = self._grave, GRAVE(state)
        done = done or grave != self._grave
        messages = self.moments(told)
        self.untold = self.untold or news
        if done:  # who asked for it finds it done
            messages += self.news(state)
        return Record(rows, saved, delivered, messages, urgent=done)

    def news(self, state: State) -> list[Message]:
        """Return how things stand, as far as it was not told yet."""
        if not self.untold:
            return []
        return self.states(state, news_only=True)

    def moments(self, told: TimedEffects) -> list[Message]:
        """Return answers, chimes and other people's devices: what is said once and never kept."""
        said: list[Message] = []
        for _, effect in told:
            if isinstance(effect, Answer):
                said.append(payloads.result(self.topics, effect))
            elif isinstance(effect, Chime):
                said.append(payloads.chime(self.topics, effect.tone))
                said += self.gadgets.chime_messages(effect.tone)
            elif isinstance(effect, Set) and effect.line == "hatch_light":
                said += self.gadgets.light_messages(effect.level, effect.blink)
        return said

    def bulb(self, state: State) -> list[Message]:
        """Return what other people's bulb is told in this state."""
        light = wanted(state, self._rules)["hatch_light"]
        return self.gadgets.light_messages(light.level, light.blink)

    def everything(self, state: State) -> list[Message]:
        """Return what a house that has just woken up must know."""
        return [*self.discovery, *self.states(state), *self.bulb(state)]

    def states(self, state: State, *, news_only: bool = False) -> list[Message]:
        """Return the retained messages for the state as it is now, or only what they say anew."""
        self.untold = False
        before = self._snapshot if news_only else {}
        stamp = self._stamp(self._clock.now_ms())
        self._told_ms = stamp.t_ms
        self.told_seq = self.seq
        self._snapshot = payloads.snapshot(state, self._rules, stamp)
        return payloads.state_messages(self.topics, self._snapshot, before)

    def refresh(self, state: State) -> list[Message]:
        """Return what is due once a second: an ageing snapshot, a changed timeline."""
        messages: list[Message] = []
        if self._clock.now_ms() - self._told_ms >= FRESH_MS:
            messages += self.states(state)
        self._note()
        if self.night.changed:
            self.night.changed = False
            night = codec.encode(self.night.told())
            messages.append(Message(self.topics("night"), night, retain=True))
        return messages

    def beat(self, uptime_s: float) -> Message:
        """Return the heartbeat, with what only the loop can tell of itself."""
        if uptime_s >= self._radio_s:
            self._radio_s = uptime_s + RADIO_S
            self._signal = signal_dbm()
        radio = {} if self._signal is None else {"signal_dbm": self._signal}
        loop = self.latency.told()
        return payloads.heartbeat(
            self.topics, self.boot, self.told_seq, uptime_s, loop=loop, **radio
        )

    def new_night(self) -> bool:
        """Begin a new timeline when noon has passed; tell whether it did, or we just began."""
        self._note()
        first, self._first = self._first, False
        since = codec.iso(noon_before(self._clock.wall_s()))
        if since > self.night.since:
            self.night = Night(since)
            return True
        return first

    def _news(self, state: State) -> bool:
        """Tell whether anything that lasts differs from the step before."""
        lasting = LASTING(state)
        news, self._kept = lasting != self._kept, lasting
        return news

    def _row(self, t_ms: float, name: str, data: dict[str, Any], stamp: Stamp) -> Row:
        self.seq += 1
        kept = codec.encode({"boot": self.boot, **data}).decode()
        row = Row(self.seq, round(t_ms, 3), round(stamp.at_s(t_ms), 3), name, kept)
        self._unnoted.append((row, data))
        return row

    def _note(self) -> None:
        """Put what has happened on the night's timeline: it can wait until it is told."""
        unnoted, self._unnoted = self._unnoted, []
        for row, data in unnoted:
            self.night.add(row.at, row.name, data)

    def _stamp(self, now_ms: float) -> Stamp:
        return Stamp(self._venue, self.boot, self.seq, now_ms, self._clock.wall_s())


def noon_before(wall_s: float) -> float:
    """Return the last noon by the local clock, in seconds since 1970."""
    now = time.localtime(wall_s)
    day = now.tm_mday if now.tm_hour >= NOON else now.tm_mday - 1
    # -1: the C library knows whether that noon was in summer time.
    return time.mktime((now.tm_year, now.tm_mon, day, NOON, 0, 0, 0, 0, -1))


def summary(state: State, rules: RuleSettings) -> str:
    """Return one line for ``systemctl status``."""
    sure = "" if state.occupancy.certain else "?"
    inside = f"{state.occupancy.count}{sure} of {rules.capacity} inside"
    return f"{inside}, door {door_mode(state, rules)}, {len(state.faults)} faults"
