"""The one loop: edges and commands in; pins, then journal, then network out.

Everything that happens comes through one queue, so the rules need no lock. The loop itself touches
only pins: journal and network have threads of their own behind queues, and neither a full disk nor
a dead broker can delay the strike's release or hold it on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic

from controller.clock import Clock, believable, wall_s
from controller.engine import Engine, TimedEffects
from controller.events import (
    Chime,
    Command,
    Edge,
    Fault,
    Set,
    Started,
    StartSelfTest,
    WatchWiring,
)
from controller.gpio.pins import Pins
from controller.integrations.announcements import Repeat
from controller.mqtt.inbox import Inbox, Now
from controller.mqtt.message import Message
from controller.rules.state import RuleSettings, State
from controller.service.heartbeat import Heartbeat
from controller.service.publisher import Item, Publisher
from controller.service.reporter import Reporter
from controller.service.selftest import SelfTest
from controller.service.wiring import Wiring
from controller.systemd import Notifier
from controller.trace import FlightRecorder

log = logging.getLogger(__name__)

#: This many edges in a row that only polling found: the GPIO event thread must have died.
LOST_IN_A_ROW = 4
#: A deadline waits this long where an edge stamped before it may still be on its way to us.
LATE_EDGE_S = 0.0002
#: Opening the door, walking through and letting it fall shut takes longer than this.
PASSAGE_MS = 2000.0


@dataclass(frozen=True, slots=True)
class Absence:
    """How long nobody watched the door (``gap_ms``); ``doubt`` when the last state is lost."""

    restart: bool = False
    gap_ms: float = 0.0
    doubt: bool = False

    def unnoticed(self, state: State) -> bool:
        """Return whether a door that is shut now, and was then, let nobody through meanwhile."""
        return state.door == "Closed" and self.gap_ms <= PASSAGE_MS


@dataclass(frozen=True, slots=True)
class Components:
    """What the loop works with."""

    clock: Clock
    pins: Pins
    inbox: Inbox
    reporter: Reporter
    publisher: Publisher
    flight: FlightRecorder
    self_test: SelfTest
    wiring: Wiring
    heartbeat: Heartbeat
    notifier: Notifier


class Loop:
    """The controller at work; `run` returns after `stop`."""

    def __init__(self, components: Components, engine: Engine, queue: SimpleQueue[Item]) -> None:
        self._components = components
        self._engine = engine
        self._queue = queue
        self._running = True
        self._recorded = engine.state
        self._lost_edges = 0

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

    def wait_until_published(self, limit_s: float = 2.0) -> None:
        """Return when all that is in the queue now has reached pins, journal and link."""
        published = Event()
        self.post(self._publish_state)
        self.post(lambda: self._components.publisher.call_after(published.set))
        published.wait(limit_s)

    def begin(self, absence: Absence) -> None:
        """Read every input once, decide whether the count can be believed, start the threads."""
        edges = self._components.pins.first_edges()
        if absence.restart:
            shut = any(edge.line == "door_contact" and not edge.level for edge in edges)
            doubt = absence.doubt or not (shut and absence.unnoticed(self.state))
            started = Started(self._components.clock.now_ms(), doubt)
            self._perform(_without_outputs(self._engine.event(started)))
        for edge in edges:
            self._components.flight.edge(edge)
            self._perform(_without_outputs(self._engine.edge(edge)))
            self._components.wiring.edge(edge)
        self._perform(self._engine.active_outputs())
        self._components.publisher.start(self.state)
        self._components.notifier.ready()

    def run(self) -> None:
        """Work until `stop`; whatever ends it, the strike goes off first."""
        publisher, heartbeat = self._components.publisher, self._components.heartbeat
        try:
            while self._running:
                item = self._next()
                began_s = monotonic()
                if item is None:
                    item = self._advance()
                if item is not None:
                    self._handle(item)
                if monotonic() >= publisher.state_due_s:
                    self._publish_state()
                if monotonic() >= heartbeat.due_s:
                    heartbeat.tick()
                    self._report_clocks(self._components.clock.now_ms())
                heartbeat.latency.add(monotonic() - began_s)
        finally:
            self._close()

    def _next(self) -> Item | None:
        """Wait for the next item, but no longer than until something is due."""
        parts = self._components
        wait_s = min(parts.heartbeat.due_s, parts.publisher.state_due_s) - monotonic()
        due_ms = self._engine.deadline()
        if due_ms is not None:
            wait_s = min(wait_s, parts.clock.seconds_until(due_ms))
        try:
            return self._queue.get(timeout=max(wait_s, 0.0))
        except Empty:
            return None

    def _advance(self) -> Item | None:
        """Let what is due happen, unless something came in meanwhile: that goes first."""
        due_ms = self._engine.deadline()
        until_ms = self._components.clock.now_ms()  # before the look at the queue, not after
        if due_ms is None or due_ms > until_ms:
            return None
        try:
            return self._queue.get(timeout=LATE_EDGE_S if self._components.pins.behind() else 0.0)
        except Empty:
            self._perform(self._engine.advance(until_ms))
            return None

    def _handle(self, item: Item) -> None:
        match item:
            case Edge():
                self._handle_edge(item)
            case Command() | Fault():
                self._perform(self._engine.event(item))
            case Message():
                self._handle_command(item)
            case Repeat():
                self._publish_again(item)
            case _:
                item()

    def _handle_edge(self, edge: Edge) -> None:
        self._components.flight.edge(edge)
        self._lost_edges = self._lost_edges + 1 if edge.resync else 0
        self._perform(self._engine.edge(edge))
        self._components.self_test.edge(edge)
        self._components.wiring.edge(edge)
        if self._lost_edges >= LOST_IN_A_ROW:
            raise RuntimeError("the pins report no edges any more: start again with fresh ones")

    def _handle_command(self, message: Message) -> None:
        parts = self._components
        name = parts.reporter.origin.topics.name(message.topic).removeprefix("cmd/")
        now_s = wall_s()
        now = Now(parts.clock.now_ms(), now_s, believable(now_s))
        command = parts.inbox.take(name, message, now)
        if command is None:
            parts.heartbeat.commands_dropped += 1
        else:
            if command.age_s is not None:
                log.warning("%s", _clocks_differ(name, command, parts.inbox.max_age_s))
            written = self._without_names(command)
            if written is not None:
                parts.flight.command(written)
            self._perform(self._engine.event(command))
        self._report_clocks(now.t_ms)

    def _report_clocks(self, now_ms: float) -> None:
        """Raise a fault for each sender whose clock differs from ours, and end it."""
        for fault in self._components.inbox.clocks.faults(now_ms):
            self._perform(self._engine.event(fault))

    def _without_names(self, command: Command) -> Command | None:
        """Return a command as a trace has it, in which nothing has a name; None if it can't be.

        There an answer is to the open question, and `undo` counts from the newest, which is 0. Who
        looks at the wires leaves no trace.
        """
        if command.name == "watch_wiring":
            return None
        question, grant = self.state.question, self.state.grant
        if command.name == "answer_question":
            return command if question is not None and command.question == question.id else None
        if command.name != "undo":
            return command
        ids = [undo.id for undo in self.state.undos]
        if command.undoes in ids:
            return replace(command, number=ids.index(command.undoes))
        open_id = "" if grant is None else grant.id
        return replace(command, name="release_cancel") if command.undoes == open_id else None

    def _perform(self, effects: TimedEffects) -> None:
        """Perform effects: pins at once, then what journal and network shall know."""
        if not effects and self.state is self._recorded:
            return
        self._recorded = self.state
        outputs = [effect for _, effect in effects if isinstance(effect, Set)]
        for output in sorted(outputs, key=lambda output: output.line != "strike"):  # it goes first
            self._components.pins.set(output.line, output.level, output.blink)
        for _, effect in effects:
            if isinstance(effect, Chime):
                self._components.pins.chime(effect.tone)
            elif isinstance(effect, StartSelfTest):
                self._components.self_test.begin()
            elif isinstance(effect, WatchWiring):
                self._components.wiring.watch()
        ids = self._components.inbox.recent(self._components.clock.now_ms())
        self._components.publisher.record(effects, self.state, ids)

    def _publish_state(self) -> None:
        self._components.publisher.publish_state(self.state)

    def _publish_again(self, what: Repeat) -> None:
        reporter = self._components.reporter
        messages = (
            reporter.light_messages(self.state)
            if what is Repeat.LIGHT
            else reporter.announcement(self.state)
        )
        self._components.publisher.publish_in_turn(messages)

    def _end(self) -> None:
        self._running = False

    def _close(self) -> None:
        """Strike off, then the journal, then a goodbye to the broker."""
        self._components.pins.close()
        self._components.notifier.stopping()
        self._components.self_test.stop()
        self._publish_state()
        self._components.heartbeat.flush()
        self._components.publisher.stop()


def _clocks_differ(name: str, command: Command, max_age_s: float) -> str:
    """Return why a command was refused by its time, and the way out."""
    age_s = command.age_s or 0.0
    off = f"{age_s:.1f} s old" if age_s > 0 else f"{-age_s:.1f} s ahead of our clock"
    return (
        f"cmd/{name} of {command.cause} refused, it is {off} (command_max_age is {max_age_s:g} s);"
        " let both machines take the time from the network: timedatectl"
    )


def _without_outputs(effects: TimedEffects) -> TimedEffects:
    """Return effects without the outputs: at a start those follow together, as they stand."""
    return [(t_ms, effect) for t_ms, effect in effects if not isinstance(effect, Set)]
