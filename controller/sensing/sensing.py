"""Edges in, events out: which line belongs to which detector, and when each wants to be woken.

Pure and streaming: time comes in with every edge and tick, memory is bounded, and the same edges
and ticks give the same events, live and in ``replay``. A line that storms (a loose wire, a lamp on
the same supply) is named and muted until it is quiet, so it costs bounded work.
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
#: A muted line is heard again when a second has brought fewer edges than this.
CALM_EDGES = 100


Detector = Contacts | Knocks | Passages
Handle = Callable[[float, bool], list[Sensed]]


class Port:
    """One line: its level, who handles its edges, and how many came lately."""

    __slots__ = ("detector", "edges", "handle", "level", "line", "since_ms", "stormy")

    def __init__(self, line: str, detector: Detector, handle: Handle) -> None:
        self.line = line
        self.detector = detector
        self.handle = handle
        self.level: bool | None = None
        self.edges = 0
        self.since_ms = -inf
        self.stormy = False


class Senses:
    """All inputs of one house; the driver ticks every deadline before it gives a later edge."""

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
        #: Muted lines, by when to listen again.
        self._storms: dict[str, float] = {}
        self._storms_due = inf
        #: When `tick` is needed next; inf when nothing is pending.
        self.due = inf

    def edge(self, edge: Edge) -> list[Sensed]:
        """Take one edge; a level that the line already has says nothing new."""
        port, level = self._ports.get(edge.line), edge.level
        if port is None or port.level is level:
            return []
        if port.level is None:
            told = self._first(port, edge)
        else:
            port.level = level
            port.edges += 1
            if port.edges >= STORM_EDGES:
                told = self._crowd(port, edge.t_ms)
            else:
                told = [] if port.stormy else port.handle(edge.t_ms, level)
        if port.detector.due < self.due:
            self.due = port.detector.due
        return told

    def tick(self, t_ms: float) -> list[Sensed]:
        """Whatever is due at ``t_ms``."""
        told: list[Sensed] = []
        if self._storms_due <= t_ms:
            told += self._listen_again(t_ms)
        if self._contacts.due <= t_ms:
            told += self._contacts.tick(t_ms)
        if self._passages.due <= t_ms:
            told += self._passages.tick(t_ms)
        if self._knocks.due <= t_ms:
            told += self._knocks.tick(t_ms)
        self.due = min(self._contacts.due, self._passages.due, self._knocks.due, self._storms_due)
        return told

    def deadline(self) -> float | None:
        """When `tick` is needed next, or None."""
        return None if self.due == inf else self.due

    def mute_knocks(self, t_ms: float, lasting_ms: float = 0.0) -> None:
        """Our own strike or chime sounds: what the knock sensors hear so long is not a guest."""
        self._knocks.mute_knocks(t_ms, lasting_ms)

    def _first(self, port: Port, edge: Edge) -> list[Sensed]:
        """Take a line's level at boot: a switch tells it, a beam or knock sensor keeps it."""
        port.level = edge.level
        if port.line in self._beams:
            return self._passages.first(self._beams[port.line], edge.t_ms, edge.level)
        if port.line not in SWITCHES:
            return []
        if port.line == "door_contact":
            self._passages.door_edge(edge.t_ms, edge.level)
        return self._contacts.edge(port.line, edge.t_ms, edge.level)

    def _switch(self, line: str, t_ms: float, level: bool) -> list[Sensed]:
        """Take a switch's edge; a door or hatch that moves makes both walls shake."""
        if line == "door_contact":
            self._passages.door_edge(t_ms, level)
        if line in ("door_contact", "hatch_contact"):
            self._knocks.slam(t_ms)
        return self._contacts.edge(line, t_ms, level)

    def _crowd(self, port: Port, t_ms: float) -> list[Sensed]:
        """So many edges: a storm if they came within the time, and then mute the line."""
        quick = t_ms - port.since_ms < STORM_MS
        port.since_ms, port.edges = t_ms, 0
        if port.stormy:
            port.edges = CALM_EDGES
            return []
        if not quick:
            return port.handle(t_ms, port.level is True)
        port.stormy = True
        self._storms[port.line] = t_ms + STORM_MS
        self._storms_due = min(self._storms.values())
        self.due = min(self.due, self._storms_due)
        beam = self._beams.get(port.line)
        if beam:
            return self._passages.distrust(beam, t_ms, inf)
        return [Fault(t_ms, "LineChatter", port.line, True)]

    def _listen_again(self, t_ms: float) -> list[Sensed]:
        """Hear muted lines again that have become quiet; the others stay muted."""
        told: list[Sensed] = []
        for line in [line for line, due in self._storms.items() if due <= t_ms]:
            port = self._ports[line]
            if port.edges >= CALM_EDGES:
                self._storms[line] = t_ms + STORM_MS
            else:
                del self._storms[line]
                told += self._calm(port, t_ms)
            port.edges = 0
        self._storms_due = min(self._storms.values(), default=inf)
        return told

    def _calm(self, port: Port, t_ms: float) -> list[Sensed]:
        port.stormy = False
        told: list[Sensed] = []
        beam = self._beams.get(port.line)
        if beam:
            told += self._passages.distrust(beam, t_ms, t_ms + CALM_MS)
        else:
            told.append(Fault(t_ms, "LineChatter", port.line, False))
        return told + port.handle(t_ms, port.level is True)
