"""A copy of the controller's state, kept up to date by its messages; and how commands are sent.

Messages arrive in the link's thread, and many request threads read; one condition guards
everything. The mirror never guesses: a snapshot without a fresh heartbeat is `stale`, without a
broker or a controller it is `offline`, and commands are sent only while it is `online`.

Two clocks: *age* is real time since the last message. What changes with time in the snapshot (time
left, how long somebody waits) runs at the controller's speed, which only the demo sets to other
than one.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from controller.mqtt.link import Link
from controller.mqtt.message import Message, Topics
from web.messages import Json, advanced, json_object, seconds_since

log = logging.getLogger(__name__)

STALE_AFTER_S = 3.0  # without a message for so long nobody may trust what is shown
BEHIND_AFTER_S = 1.0  # heartbeats newer than the state for so long: a state was lost
RESULT_LIMIT_S = 2.0
FRESH_KNOCK_S = 10.0  # older events make no noise: after an outage they arrive late
SETTLED_KEPT = 32  # answers that are kept for phones which have not got theirs

#: Which event raises which kind of alarm on the phones; a knock is named by its place.
ALERTS: Mapping[str, str] = {
    "event/knock hatch": "hatch",
    "event/knock door": "door",
    "event/session_warning": "last_call",
    "event/session_time_up": "time_up",
    "event/session_overtime": "time_up",
    "event/over_capacity": "over",
    "event/door_alarm": "door_alarm",
    "event/locked_open": "evacuation",
    "event/fault": "fault",
}
SUBSCRIPTIONS = (
    "status",
    "state",
    "heartbeat",
    "night",
    "result",
    "event/+",
    "self_test",
    "wiring",
)


class LinkFactory(Protocol):
    """Makes a link with these subscriptions; the link is not started yet."""

    def __call__(
        self,
        *,
        subscriptions: Sequence[str],
        on_message: Callable[[Message], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
    ) -> Link:
        """Return the link."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: `done`, `refused` with a reason, or `not_answered`."""

    state: str
    reason: str | None = None
    #: What is `Malformed`: for the author of a script.
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the controller confirmed the command."""
        return self.state == "done"


@dataclass(frozen=True, slots=True)
class MirrorView:
    """The mirror at one moment: the snapshot advanced to now, the link's state, the versions.

    ``state`` is empty before the first snapshot, but for `link` and `age_ms`. ``knock`` has the
    number of fresh knocks so far (`n`) and the `place` of the last one, ``alerts`` how many fresh
    alarms of each kind there were, ``refusal`` why the button behind the counter let nobody in, and
    how long ago (`age_s`). ``settled`` has the answers of the last taps, by the phone's name of it.
    """

    state: Json
    link: str
    version: int
    night: Json
    night_version: int
    knock: Json
    alerts: Json = field(default_factory=dict)
    refusal: Json = field(default_factory=dict)
    settled: Mapping[str, Outcome] = field(default_factory=dict)


def _keep_newest(kept: dict[str, Any]) -> None:
    """Drop the oldest, so that no phone can fill the memory."""
    while len(kept) > SETTLED_KEPT:
        del kept[next(iter(kept))]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Mirror:
    """The controller's state as the topics of one venue show it.

    ``monotonic`` (s) measures ages, ``wall`` is the time of day in commands, and ``speed`` is how
    many seconds of the controller pass in a real one (other than 1 in the demo only).
    """

    def __init__(
        self,
        topics: Topics,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] | None = None,
        speed: float = 1.0,
    ) -> None:
        self._topics = topics
        self._monotonic, self._wall, self._speed = monotonic, wall or _utc_now, speed
        self._changed = threading.Condition()
        self._link: Link | None = None
        self.connected = False
        self._status: str | None = None
        self._snapshot: Json | None = None
        self._snapshot_at = 0.0  # monotonic s at which the snapshot was true
        self._received_at: float | None = None
        self._heartbeat: Json | None = None
        self._behind_since: float | None = None
        self._night: Json = {}
        self._night_version = 0
        self._knock: Json = {"n": 0, "place": None}
        self._alerts: dict[str, int] = {}
        self._refusal: Json = {}
        self._refused_at = 0.0  # monotonic s
        self._version = 0
        self._pending: dict[str, Outcome | None] = {}
        self._taps: dict[str, str] = {}  # the phone's name of the tap that sent this command
        self._settled: dict[str, Outcome] = {}
        self._beside: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._listeners: list[Callable[[str, Message], None]] = []
        self._handlers: dict[str, Callable[[Message, float], None]] = {
            "status": self._on_status,
            "state": self._on_state,
            "heartbeat": self._on_heartbeat,
            "night": self._on_night,
            "result": self._on_result,
            "event/access_denied": self._on_denied,
            **{event.partition(" ")[0]: self._on_alert for event in ALERTS},
        }

    # --- called by the link --------------------------------------------------------------------

    def connect(self, link: LinkFactory, also: Sequence[str] = ()) -> None:
        """Make the link; ``also`` are further topics, for listeners."""
        self._link = link(
            subscriptions=[*(self._topics(name) for name in SUBSCRIPTIONS), *also],
            on_message=self.receive,
            on_up=self.link_up,
            on_down=self.link_down,
        )

    def listen(self, listener: Callable[[str, Message], None]) -> None:
        """Call ``listener`` with each message and its name, in the link's thread."""
        self._listeners.append(listener)

    def run_beside(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Start and stop something together with the link."""
        self._beside.append((start, stop))

    def publish(self, message: Message) -> None:
        """Publish a message that is not a command."""
        if self._link is not None:
            self._link.publish(message)

    def start(self) -> None:
        """Start the link and what runs beside it."""
        if self._link is not None:
            self._link.start()
        for start, _ in self._beside:
            start()

    def stop(self) -> None:
        """Stop what runs beside the link, then the link."""
        for _, stop in self._beside:
            stop()
        if self._link is not None:
            self._link.stop()

    def link_up(self) -> None:
        """Note that the broker is connected: the state is stale until messages arrive again."""
        with self._changed:
            self.connected, self._received_at, self._heartbeat = True, None, None
            self._notify()

    def link_down(self, why: str = "") -> None:
        """Note that the broker is gone: nothing shown may be trusted, no command can be sent."""
        with self._changed:
            self.connected, self._status, self._received_at = False, None, None
            self._notify()
        log.info("broker not connected: %s; the link tries again", why or "no reason given")

    def receive(self, message: Message) -> None:
        """Take one message, in the link's thread; one that makes no sense is logged and ignored."""
        name = self._topics.name(message.topic)
        try:
            for listener in self._listeners:
                listener(name, message)
            handler = self._handlers.get(name)
            if handler is not None:
                with self._changed:
                    handler(message, self._monotonic())
                    self._notify()
        except (ValueError, TypeError, RecursionError) as error:
            log.warning("%s: ignored, %s", message.topic, error)

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _on_status(self, message: Message, now_s: float) -> None:
        self._status = message.payload.decode("utf-8", "replace")

    def _on_state(self, message: Message, now_s: float) -> None:
        snapshot = json_object(
            message.payload, boot=str, seq=int, occupancy=dict, door=dict, hatch=dict
        )
        self._snapshot, self._snapshot_at = snapshot, now_s
        if self._received_at is None and message.retain:  # stored at the broker: as old as it says
            old_s = max(0.0, seconds_since(snapshot.get("at"), self._wall()))
            self._snapshot_at -= old_s / self._speed
        else:
            self._received_at = now_s
            if self._heartbeat and self._heartbeat["boot"] != snapshot["boot"]:
                self._heartbeat = None  # restarted: the first heartbeat is to come
        self._compare_seq(now_s)

    def _on_heartbeat(self, message: Message, now_s: float) -> None:
        self._heartbeat = json_object(message.payload, boot=str, seq=int)
        self._received_at = now_s
        self._compare_seq(now_s)

    def _compare_seq(self, now_s: float) -> None:
        """Remember since when the heartbeats are newer than our snapshot."""
        heartbeat, snapshot = self._heartbeat, self._snapshot
        if heartbeat is None or snapshot is None or heartbeat["seq"] <= snapshot["seq"]:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now_s

    def _on_night(self, message: Message, now_s: float) -> None:
        self._night = json_object(message.payload)
        self._night_version += 1

    def _on_result(self, message: Message, now_s: float) -> None:
        result = json_object(message.payload, id=str, ok=bool)
        why = str(result.get("reason")), str(result.get("detail") or "")
        outcome = Outcome("done") if result["ok"] else Outcome("refused", *why)
        if tap := self._taps.pop(result["id"], ""):
            self._settled[tap] = outcome
            _keep_newest(self._settled)
        if result["id"] in self._pending and self._pending[result["id"]] is None:
            self._pending[result["id"]] = outcome

    def _on_alert(self, message: Message, now_s: float) -> None:
        """Count an alarm that is fresh; a door alarm that is over is none."""
        name = self._topics.name(message.topic)
        event = json_object(message.payload, **({"place": str} if name == "event/knock" else {}))
        if not self._is_fresh(message, event) or event.get("alarm") == "Normal":
            return
        place = str(event["place"]) if name == "event/knock" else ""
        kind = ALERTS.get(f"{name} {place}" if place else name)
        if kind is not None:
            self._alerts = {**self._alerts, kind: self._alerts.get(kind, 0) + 1}
        if name == "event/knock":
            self._knock = {"n": self._knock["n"] + 1, "place": place}

    def _on_denied(self, message: Message, now_s: float) -> None:
        refusal = json_object(message.payload, reason=str)
        if refusal.get("cause") == "button" and self._is_fresh(message, refusal):
            self._refusal, self._refused_at = refusal, now_s

    def _is_fresh(self, message: Message, event: Json) -> bool:
        age_s = seconds_since(event.get("at"), self._wall())
        return not message.retain and age_s < FRESH_KNOCK_S * self._speed

    # --- called by the page --------------------------------------------------------------------

    def view(self) -> MirrorView:
        """Return what holds now; the state gets `link` and `age_ms`, as openapi.yaml says."""
        with self._changed:
            now_s = self._monotonic()
            link = self._link_state(now_s)
            age_ms = (
                None if self._received_at is None else round((now_s - self._received_at) * 1000)
            )
            state: Json = {}
            if self._snapshot is not None:
                state = advanced(self._snapshot, (now_s - self._snapshot_at) * self._speed)
            state |= {"link": link, "age_ms": age_ms}
            refusal = {**self._refusal, "age_s": now_s - self._refused_at} if self._refusal else {}
            return MirrorView(
                state,
                link,
                self._version,
                self._night,
                self._night_version,
                self._knock,
                self._alerts,
                refusal,
                dict(self._settled),
            )

    def _link_state(self, now_s: float) -> str:
        if not self.connected or self._status != "online":
            return "offline"
        if self._snapshot is None or self._heartbeat is None or self._received_at is None:
            return "stale"
        if self._heartbeat["boot"] != self._snapshot["boot"]:
            return "stale"
        behind = self._behind_since is not None and now_s - self._behind_since > BEHIND_AFTER_S
        return "stale" if behind or now_s - self._received_at > STALE_AFTER_S else "online"

    def wait(self, version: int, timeout_s: float) -> None:
        """Return when there is something newer than ``version``, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, timeout_s)

    def wake(self) -> None:
        """End every `wait`: something that is shown beside the snapshot has changed."""
        with self._changed:
            self._notify()

    def command(self, name: str, *, by: str = "", tap: str = "", **fields: int | str) -> Outcome:
        """Send command ``name`` and wait up to 2 s for the controller's answer.

        ``by`` is the name of the phone that asks. An answer that comes later, or is lost on its way
        to the phone, is found under ``tap``, the phone's own name of this command, in the view's
        `settled`. Nothing is sent unless the controller is known to be alive: a command that waits
        in a queue is a door that opens later.
        """
        mirror_view = self.view()
        if self._link is None or mirror_view.link != "online":
            return Outcome("not_answered", "Offline")
        command_id = uuid.uuid4().hex
        payload = {"id": command_id, "issued_at": self._wall().isoformat(), "cause": "page"}
        payload |= {"by": by} if by else {}
        # The controller's boot id proves that the command is fresh, even if no clock is set.
        body = json.dumps(payload | {"boot": mirror_view.state["boot"]} | fields).encode()
        with self._changed:
            self._pending[command_id] = None
            if tap:
                self._taps[command_id] = tap
                _keep_newest(self._taps)
        try:
            self._link.publish(Message(self._topics(f"cmd/{name}"), body, qos=1))
            return self._wait_for_result(command_id)
        finally:
            with self._changed:
                del self._pending[command_id]

    def _wait_for_result(self, command_id: str) -> Outcome:
        with self._changed:
            self._changed.wait_for(lambda: self._pending[command_id] is not None, RESULT_LIMIT_S)
            return self._pending[command_id] or Outcome("not_answered", "NoAnswer")
