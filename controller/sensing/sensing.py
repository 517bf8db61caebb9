"""Edges in, events out: which line belongs to which detector, and when each is due.

Pure and streaming: time comes in with every edge and tick, memory is bounded, and the same edges
and ticks give the same events, live and in ``replay``. A line that storms (a loose wire, a lamp on
the same supply) gets a fault and is muted until it is quiet, so it costs bounded work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from math import inf

from controller.events import SWITCHES, Edge, Fault, Sensed
from controller.sensing.contacts import Contacts
from controller.sensing.knocks import Knocks
from controller.sensing.passages import CALM_MS, Passages
from controller.sensing.settings import SensingSettings

#: A storm is this many edges within a second. A slam gives a knock sensor some 300 in that time,
#: a person at a chattering receiver 20.
STORM_EDGES = 1000
STORM_MS = 1000.0
#: A muted line is unmuted after a second with fewer edges than this.
CALM_EDGES = 100


Detector = Contacts | Knocks | Passages
Handle = Callable[[float, bool], list[Sensed]]


class Port:
    """One line: its level, who handles its edges, and how many came lately."""

    __slots__ = ("detector", "edges", "handle", "level", "line", "muted", "since_ms")

    def __init__(self, line: str, detector: Detector, handle: Handle) -> None:
        self.line = line
        self.detector = detector
        self.handle = handle
        self.level: bool | None = None
        self.edges = 0
        self.since_ms = -inf
        self.muted = False


class Senses:
    """All inputs of one house; the driver calls `tick` at each `due` before a later edge."""

    def __init__(self, settings: SensingSettings, lines: Collection[str]) -> None:
        self._passages = Passages(settings, door="door_contact" in lines)
        self._knocks = Knocks(settings)
        self._contacts = Contacts(settings.contact_settle_ms)
        beams = {b.line: b for b in (self._passages.outer, self._passages.inner)}
        self._beams = beams
        handlers: dict[str, tuple[Detector, Handle]] = {
            "hatch_knock": (self._knocks, partial(self._knocks.edge, 0)),
            "door_knock": (self._knocks, partial(self._knocks.edge, 1)),
            **{b: (self._passages, partial(self._passages.edge, beams[b])) for b in beams},
            **{s: (self._contacts, partial(self._switch, s)) for s in SWITCHES},
        }
        self._ports = {line: Port(line, *handlers[line]) for line in lines if line in handlers}
        #: Muted lines, each with the time at which to look whether it is quiet.
        self._storms: dict[str, float] = {}
        self._storms_due = inf
        #: When `tick` is needed next; inf when nothing is pending.
        self.due = inf

    def edge(self, edge: Edge) -> list[Sensed]:
        """Take one edge and return its events; a level that the line already has gives none."""
        port, level = self._ports.get(edge.line), edge.level
        if port is None or port.level is level:
            return []
        if port.level is None:
            events = self._first(port, edge)
        else:
            port.level = level
            port.edges += 1
            if port.edges >= STORM_EDGES:
                events = self._check_storm(port, edge.t_ms)
            else:
                events = [] if port.muted else port.handle(edge.t_ms, level)
        if port.detector.due < self.due:
            self.due = port.detector.due
        return events

    def tick(self, t_ms: float) -> list[Sensed]:
        """Return the events that are due at ``t_ms``."""
        events: list[Sensed] = []
        if self._storms_due <= t_ms:
            events += self._unmute_quiet(t_ms)
        if self._contacts.due <= t_ms:
            events += self._contacts.tick(t_ms)
        if self._passages.due <= t_ms:
            events += self._passages.tick(t_ms)
        if self._knocks.due <= t_ms:
            events += self._knocks.tick(t_ms)
        self.due = min(self._contacts.due, self._passages.due, self._knocks.due, self._storms_due)
        return events

    def mute_knocks(self, t_ms: float, lasting_ms: float = 0.0) -> None:
        """Ignore the knock sensors while our own strike or chime sounds for ``lasting_ms``."""
        self._knocks.mute_knocks(t_ms, lasting_ms)

    def _first(self, port: Port, edge: Edge) -> list[Sensed]:
        """Take a line's level at boot: a switch reports it, beams and knock sensors keep it."""
        port.level = edge.level
        if port.line in self._beams:
            return self._passages.first(self._beams[port.line], edge.t_ms, edge.level)
        if port.line not in SWITCHES:
            return []
        if port.line == "door_contact":
            self._passages.door_edge(edge.t_ms, edge.level)
        return self._contacts.edge(port.line, edge.t_ms, edge.level)

    def _switch(self, line: str, t_ms: float, level: bool) -> list[Sensed]:
        """Take a switch's edge; a door or hatch that moves shakes the knock sensors."""
        if line == "door_contact":
            self._passages.door_edge(t_ms, level)
        if line in ("door_contact", "hatch_contact"):
            self._knocks.slam(t_ms)
        return self._contacts.edge(line, t_ms, level)

    def _check_storm(self, port: Port, t_ms: float) -> list[Sensed]:
        """Mute a line whose last `STORM_EDGES` edges came within `STORM_MS`."""
        quick = t_ms - port.since_ms < STORM_MS
        port.since_ms, port.edges = t_ms, 0
        if port.muted:
            port.edges = CALM_EDGES
            return []
        if not quick:
            return port.handle(t_ms, port.level is True)
        port.muted = True
        self._storms[port.line] = t_ms + STORM_MS
        self._storms_due = min(self._storms.values())
        self.due = min(self.due, self._storms_due)
        beam = self._beams.get(port.line)
        if beam:
            return self._passages.distrust(beam, t_ms, inf)
        return [Fault(t_ms, "LineChatter", port.line, True)]

    def _unmute_quiet(self, t_ms: float) -> list[Sensed]:
        """Unmute lines that have become quiet; the others stay muted."""
        events: list[Sensed] = []
        for line in [line for line, due in self._storms.items() if due <= t_ms]:
            port = self._ports[line]
            if port.edges >= CALM_EDGES:
                self._storms[line] = t_ms + STORM_MS
            else:
                del self._storms[line]
                events += self._unmute(port, t_ms)
            port.edges = 0
        self._storms_due = min(self._storms.values(), default=inf)
        return events

    def _unmute(self, port: Port, t_ms: float) -> list[Sensed]:
        port.muted = False
        events: list[Sensed] = []
        beam = self._beams.get(port.line)
        if beam:
            events += self._passages.distrust(beam, t_ms, t_ms + CALM_MS)
        else:
            events.append(Fault(t_ms, "LineChatter", port.line, False))
        return events + port.handle(t_ms, port.level is True)
