"""The one loop: edges and commands in; pins, then journal, then network out.

Everything that happens comes through one queue, so the rules need no lock. The loop itself touches
only pins: journal and network have threads of their own behind queues, and neither a full disk nor
a dead broker can delay the strike's release or hold it on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from math import inf
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from typing import Any

from controller import codec
from controller.clock import believable, wall_s
from controller.engine import Engine, TimedEffects
from controller.events import Chime, Command, Edge, Fault, Note, Prove, Set, Started
from controller.mqtt import snapshot as payloads
from controller.mqtt.inbox import Now
from controller.mqtt.message import Message
from controller.rules.state import RuleSettings, State
from controller.service.parts import Absence, Components
from controller.service.reporter import summary

log = logging.getLogger(__name__)

#: Input levels are read again this often (and half of it apart): kernels and drivers lose edges.
REREAD_S = 0.1
#: Re-reads between two heartbeats.
BEAT_EVERY = 10
#: Re-reads between two writes of the flight recorder.
FLUSH_EVERY = 100
#: Edges found by re-reading with none told in between: the thread that tells them is dead.
LOST_IN_A_ROW = 4
DAY_S = 86_400.0
#: A deadline waits this long where an edge stamped before it may still be on its way to us.
LATE_EDGE_S = 0.0002
#: What happened is told at once; how things stand then, so much later: the other threads go first.
PICTURE_S = 0.001
#: Commands waiting in the queue beyond this are dropped: a flood must not cost memory.
COMMANDS_WAITING = 1000

Item = Edge | Message | Command | Fault | Callable[[], None]


class Service:
    """The controller at work; `run` returns after `stop`."""

    def __init__(self, parts: Components, engine: Engine, queue: SimpleQueue[Item]) -> None:
        self._parts = parts
        self._engine = engine
        self._queue = queue
        self._running = True
        self._done = engine.state
        self._began_s = monotonic()
        self._reread_s = self._began_s
        self._picture_s = inf
        self._beats = BEAT_EVERY - 1  # the first sign of life comes at once
        self._lost = 0
        self._dropped = 0
        self._flood = False

    @property
    def state(self) -> State:
        """The rules' state, for reading."""
        return self._engine.state

    @property
    def settings(self) -> RuleSettings:
        """The owner's numbers."""
        return self._engine.settings

    def stop(self) -> None:
        """Ask the loop to end, from any thread or signal handler."""
        self._queue.put(self._end)

    def post(self, item: Item) -> None:
        """Hand something to the loop, from any thread."""
        self._queue.put(item)

    def wait_until_told(self, limit_s: float = 2.0) -> None:
        """Return when all that is in the queue now has reached pins, journal and link."""
        told = Event()
        self.post(self._picture)
        self.post(lambda: self._parts.writer.later(told.set))
        told.wait(limit_s)

    def note(self, note: Note) -> None:
        """Keep and tell something that is not of the rules; called in the loop, by `post`."""
        self._do([(self._parts.clock.now_ms(), note)])

    def tell(self, name: str, told: Mapping[str, Any]) -> None:
        """Say a latest value that is not of the rules, from any thread."""
        parts = self._parts
        stamped = {"boot": parts.reporter.boot, "at": codec.iso(parts.clock.wall_s()), **told}
        parts.link.publish(Message(parts.reporter.topics(name), codec.encode(stamped), retain=True))

    def tell_house(self) -> None:
        """Tell a house that has just woken up who we are and how things stand."""
        self._tell(self._parts.reporter.everything(self.state))

    def tell_devices(self) -> None:
        """Tell other people's bulb how the hatch light is."""
        self._tell(self._parts.reporter.bulb(self.state))

    def begin(self, absence: Absence) -> None:
        """Read every input once, say whether the count can still be believed, tell the house."""
        edges = self._parts.pins.first_edges()
        if absence.restart:
            shut = any(edge.line == "door_contact" and not edge.level for edge in edges)
            doubt = absence.doubt or not (shut and absence.unnoticed(self.state))
            self._do(_silent(self._engine.event(Started(self._parts.clock.now_ms(), doubt))))
        for edge in edges:
            self._parts.flight.edge(edge)
            self._do(_silent(self._engine.edge(edge)))
        self._do(self._engine.lit())
        self._parts.writer.start()
        self._keep([])
        self._picture()
        self._parts.link.start()
        self._parts.notifier.ready()

    def run(self) -> None:
        """Work until `stop`; whatever ends it, the strike goes off first."""
        try:
            while self._running:
                item = self._next()
                began_s = monotonic()
                if item is None:
                    item = self._advance()
                if item is not None:
                    self._take(item)
                if monotonic() >= self._picture_s:
                    self._picture()
                if monotonic() >= self._reread_s:
                    self._check()
                self._parts.reporter.latency.add(monotonic() - began_s)
        finally:
            self._close()

    # --- the loop ------------------------------------------------------------------------------

    def _next(self) -> Item | None:
        """Wait for the next item, but no longer than until something is due."""
        wait_s = min(self._reread_s, self._picture_s) - monotonic()
        due_ms = self._engine.deadline()
        if due_ms is not None:
            wait_s = min(wait_s, self._parts.clock.seconds_until(due_ms))
        try:
            return self._queue.get(timeout=max(wait_s, 0.0))
        except Empty:
            return None

    def _take(self, item: Item) -> None:
        match item:
            case Edge():
                self._edge(item)
            case Command() | Fault():
                self._do(self._engine.event(item))
            case Message():
                self._command(item)
            case _:
                item()

    def _edge(self, edge: Edge) -> None:
        self._parts.flight.edge(edge)
        self._lost = self._lost + 1 if edge.resync else 0
        self._do(self._engine.edge(edge))
        self._parts.self_test.edge(edge)
        if self._lost >= LOST_IN_A_ROW:
            raise RuntimeError("the pins tell no edges any more: start again with fresh ones")

    def _advance(self) -> Item | None:
        """Let what is due happen, unless something came in meanwhile: that goes first."""
        due_ms = self._engine.deadline()
        until_ms = self._parts.clock.now_ms()  # before the look at the queue, not after
        if due_ms is None or due_ms > until_ms:
            return None
        try:
            return self._queue.get(timeout=LATE_EDGE_S if self._parts.pins.behind() else 0.0)
        except Empty:
            self._do(self._engine.advance(until_ms))
            return None

    def _command(self, message: Message) -> None:
        name = self._parts.reporter.topics.name(message.topic).removeprefix("cmd/")
        now_s = wall_s()
        now = Now(self._parts.clock.now_ms(), now_s, believable(now_s))
        command = self._parts.inbox.take(name, message, now)
        if command is None:
            self._dropped += 1
        else:
            self._parts.flight.command(command)
            self._do(self._engine.event(command))

    def _do(self, told: TimedEffects) -> None:
        """Perform effects: pins at once, then what journal and network shall know."""
        if not told and self.state is self._done:
            return
        self._done = self.state
        for _, effect in told:
            if isinstance(effect, Set):
                self._parts.pins.set(effect.line, effect.level, effect.blink)
        for _, effect in told:
            if isinstance(effect, Chime):
                self._parts.pins.chime(effect.tone)
            elif isinstance(effect, Prove):
                self._parts.self_test.begin()
        self._keep(told)

    def _keep(self, told: TimedEffects) -> None:
        parts = self._parts
        moment, delivered = parts.clock.moment(), parts.outbox.delivered
        record = parts.reporter.record(told, self.state, moment, delivered)
        if record is not None:
            parts.writer.put(record)
        if parts.reporter.untold and self._picture_s == inf:
            self._picture_s = monotonic() + PICTURE_S

    def _picture(self) -> None:
        """Tell how things stand, once for all that happened since the last time."""
        self._picture_s = inf
        self._tell(self._parts.reporter.news(self.state))

    def _tell(self, messages: list[Message]) -> None:
        """Say how things stand, in its turn: after what the recorder has still to tell."""

        def say() -> None:
            for message in messages:
                self._parts.link.publish(message)

        if messages:
            self._parts.writer.later(say)

    # --- ten times a second --------------------------------------------------------------------

    def _check(self) -> None:
        """Read the levels again; once a second tell that the loop works and the pins answer."""
        self._reread_s = max(self._reread_s + REREAD_S, monotonic() + REREAD_S / 2)
        for edge in self._parts.pins.reread():
            log.warning("%s: an edge was lost, its level is now %d", edge.line, edge.level)
            self._queue.put(edge)
        self._parts.outbox.tick()
        self._beats += 1
        if self._beats % BEAT_EVERY == 0:
            self._beat()

    def _beat(self) -> None:
        reporter = self._parts.reporter
        self._parts.notifier.watchdog()
        self._parts.notifier.status(summary(self.state, self.settings))
        self._tell_flood()
        self._parts.self_test.beat()
        self._housekeeping()
        uptime_s = monotonic() - self._began_s
        self._tell(reporter.refresh(self.state))
        self._parts.link.publish(reporter.beat(uptime_s))

    def _tell_flood(self) -> None:
        """Say that commands are being dropped, until a whole second without one."""
        dropped, self._dropped = self._dropped, 0
        if self._flood != bool(dropped):
            self._flood = bool(dropped)
            now_ms = self._parts.clock.now_ms()
            self._do(self._engine.event(Fault(now_ms, "CommandFlood", "mqtt", self._flood)))

    def _housekeeping(self) -> None:
        """Write the flight recorder; with each new night, forget what is too old."""
        parts = self._parts
        if self._beats % FLUSH_EVERY:
            return
        self._flush()
        if self.state.session is None and parts.reporter.new_night():
            parts.writer.prune(parts.clock.wall_s() - parts.keep_days * DAY_S)

    def _flush(self) -> None:
        flight, rows = self._parts.flight, self._parts.flight.take()
        wall, now_ms = self._parts.clock.wall_s(), self._parts.clock.now_ms()
        self._parts.writer.later(lambda: flight.flush(rows, wall, now_ms))

    def _end(self) -> None:
        self._running = False

    def _close(self) -> None:
        """Strike off, then the journal, then a goodbye to the broker."""
        self._parts.pins.close()
        self._parts.notifier.stopping()
        self._parts.self_test.stop()
        self._picture()
        self._flush()
        self._parts.writer.stop()
        self._parts.link.stop([payloads.status(self._parts.reporter.topics, "offline")])


def _silent(told: TimedEffects) -> TimedEffects:
    """Return what was told without the outputs: at a start they follow together, as they stand."""
    return [(t_ms, effect) for t_ms, effect in told if not isinstance(effect, Set)]
