"""What the controller reports: each step as numbered events, retained states, the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from msgspec.structs import asdict

from controller import codec
from controller.clock import Clock, Moment
from controller.engine import TimedEffects
from controller.events import Answer, Chime, Set
from controller.integrations.devices import Devices
from controller.journal.records import Record, Row, Saved
from controller.mqtt.message import Message, Topics
from controller.mqtt.snapshot import Stamp, chime, heartbeat, result, snapshot, state_messages
from controller.rules.state import RuleSettings, State, wanted
from controller.service.night import Night, noon_before

#: Under this name the ids of the newest commands are kept in the journal, beside the state.
COMMAND_IDS = "command_ids"
#: A snapshot is published again when it is older than this, so that times on it stay fresh.
FRESH_MS = 10_000.0
#: What no power cut may take back, whoever did it: a locked door, the two hours.
DURABLE_FIELDS = attrgetter("locked_down", "locked_open", "session")
#: All of a state but what changes with every edge; what can be taken back changes with the rest.
REPORTED_FIELDS = attrgetter(
    *(set(State.__struct_fields__) - {"t_ms", "busy", "coming_in", "undos"})
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who reports: the venue, the name of this run (``boot``), and the venue's topics."""

    venue: str
    boot: str
    topics: Topics
    #: Version of this program; "" is left out.
    release: str = ""


@dataclass(frozen=True, slots=True)
class Integrations:
    """Other people's systems: bulb and chime, and what Home Assistant is to discover."""

    devices: Devices
    discovery: Sequence[Message] = ()


class Reporter:
    """Turns effects into records for the journal and messages for the broker; sends nothing.

    ``seq`` is the number of the last event so far, ``night`` the timeline until now.
    """

    def __init__(
        self,
        origin: Origin,
        rules: RuleSettings,
        clock: Clock,
        seq: int,
        night: Night,
        integrations: Integrations,
    ) -> None:
        self.origin = origin
        self.seq = seq
        self.devices = integrations.devices
        #: Has anything that is reported changed since the newest snapshot?
        self.state_changed = False
        self._rules = rules
        self._clock = clock
        self._night = night
        self._discovery = integrations.discovery
        self._reported: object = None
        self._durable: object = None
        self._snapshot: dict[str, Any] = {}
        #: That of the newest snapshot: a page that has less is behind.
        self._snapshot_seq = seq
        self._snapshot_ms = 0.0
        self._not_in_night: list[tuple[Row, dict[str, Any]]] = []
        self._first_night = True

    def record(
        self,
        effects: TimedEffects,
        state: State,
        moment: Moment,
        delivered: int,
        ids: Mapping[str, float] | None = None,
    ) -> Record | None:
        """Return what the journal has to keep of one step, or None when there is nothing.

        The ``ids`` of the newest commands are kept beside the state.
        """
        stamp = self._stamp(moment.t_ms)
        rows = [self._row(*event, stamp) for event in codec.named_events(effects)]
        changed = self._changed(state)
        if not rows and not changed:
            return None
        self.state_changed = self.state_changed or changed
        saved = Saved(
            state.t_ms,
            moment.boot_id,
            round(moment.boottime_ms, 3),
            round(moment.wall_s, 3),
            {**asdict(state), COMMAND_IDS: dict(ids)} if ids else asdict(state),
        )
        answered = any(isinstance(effect, Answer) and effect.ok for _, effect in effects)
        durable, self._durable = self._durable, DURABLE_FIELDS(state)
        return Record(rows, saved, delivered, urgent=answered or durable != self._durable)

    def changed_messages(self, state: State) -> list[Message]:
        """Return the retained messages that differ from the newest snapshot."""
        if not self.state_changed:
            return []
        return self._state_messages(state, self._snapshot)

    def whole_state(self, state: State) -> list[Message]:
        """Return every retained message of the state; the timeline follows within a second."""
        self._night.changed = True
        return self._state_messages(state, {})

    def one_shot_messages(self, effects: TimedEffects) -> list[Message]:
        """Return answers, chimes and other people's devices: published once and never retained."""
        topics, devices = self.origin.topics, self.devices
        messages: list[Message] = []
        for _, effect in effects:
            if isinstance(effect, Answer):
                messages.append(result(topics, effect))
            elif isinstance(effect, Chime):
                messages.append(chime(topics, effect.tone))
                messages += devices.chime_messages(effect.tone)
            elif isinstance(effect, Set) and effect.line == "hatch_light":
                messages += devices.light_messages(effect.level, effect.blink)
        return messages

    def light_messages(self, state: State) -> list[Message]:
        """Return the messages that bring other people's bulb to the hatch light's level."""
        light = wanted(state, self._rules)["hatch_light"]
        return self.devices.light_messages(light.level, light.blink)

    def announcement(self, state: State) -> list[Message]:
        """Return all that Home Assistant and the bulb need after a start of theirs or ours."""
        states = self._state_messages(state, {})
        return [*self._discovery, *states, *self.light_messages(state)]

    def periodic_messages(self, state: State) -> list[Message]:
        """Return what is due once a second: an ageing snapshot, a changed timeline."""
        messages: list[Message] = []
        if self._clock.now_ms() - self._snapshot_ms >= FRESH_MS:
            messages += self._state_messages(state, {})
        self._bring_night_up_to_date()
        if self._night.changed:
            self._night.changed = False
            payload = codec.encode(self._night.as_dict())
            messages.append(Message(self.origin.topics("night"), payload, retain=True))
        return messages

    def heartbeat(self, uptime_s: float, **more: object) -> Message:
        """Return the heartbeat; ``more`` is what only the loop knows of itself."""
        origin, seq = self.origin, self._snapshot_seq
        return heartbeat(origin.topics, origin.boot, seq, uptime_s, **more)

    def new_night(self) -> bool:
        """Begin a new timeline when noon has passed; return whether it did, or we just began."""
        self._bring_night_up_to_date()
        first, self._first_night = self._first_night, False
        since = codec.iso(noon_before(self._clock.wall_s()))
        if since > self._night.since:
            self._night = Night(since)
            return True
        return first

    def _state_messages(self, state: State, before: dict[str, Any]) -> list[Message]:
        """Return the retained messages for the state as it is now, without parts as ``before``."""
        self.state_changed = False
        stamp = self._stamp(self._clock.now_ms())
        self._snapshot_ms = stamp.t_ms
        self._snapshot_seq = self.seq
        self._snapshot = snapshot(state, self._rules, stamp)
        if self.origin.release:
            self._snapshot["release"] = self.origin.release
        return state_messages(self.origin.topics, self._snapshot, before)

    def _changed(self, state: State) -> bool:
        """Return whether anything that is reported differs from the step before."""
        reported = REPORTED_FIELDS(state)
        changed, self._reported = reported != self._reported, reported
        return changed

    def _row(self, t_ms: float, name: str, data: dict[str, Any], stamp: Stamp) -> Row:
        self.seq += 1
        payload = codec.encode({"boot": self.origin.boot, **data}).decode()
        row = Row(self.seq, round(t_ms, 3), round(stamp.at_s(t_ms), 3), name, payload)
        self._not_in_night.append((row, data))
        return row

    def _bring_night_up_to_date(self) -> None:
        """Add the newest events to the timeline: it can wait until it is published."""
        rows, self._not_in_night = self._not_in_night, []
        for row, data in rows:
            self._night.add(row.at, row.name, data)

    def _stamp(self, now_ms: float) -> Stamp:
        wall_s = self._clock.wall_s()
        return Stamp(self.origin.venue, self.origin.boot, self.seq, now_ms, wall_s)
