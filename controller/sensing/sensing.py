"""Edges in, events out: which line belongs to which detector, and when each is due.

Pure and streaming: time comes in with every edge and tick, memory is bounded, and the same edges
and ticks give the same events, live and in ``replay``. Two things that no person does are told
apart from what people do before any detector has to know of them:

* *Chatter*: a line that never rests (a loose wire, hum) gets a fault, and is muted until it is
  calm, so that it costs bounded work and deafens no other line. Switches have a finer rule of
  their own, in `contacts`.
* *Interference*: a spike in the supply moves several lines at the same moment. Those edges are
  taken back. A level that outlasts the spike is true, unless it would be a press of a button.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from math import inf
from typing import Any

from controller.events import SWITCHES, Contact, Edge, Fault, Opening, Sensed
from controller.sensing.contacts import CALM_MS as SWITCH_CALM_MS
from controller.sensing.contacts import Contacts
from controller.sensing.knocks import PLACES, QUIET_MS, Knocks
from controller.sensing.passages import CALM_MS, Passages
from controller.sensing.settings import SensingSettings

#: A storm is this many edges within a second. A slam gives a knock sensor some 300 in that time,
#: a person at a chattering receiver 20.
STORM_EDGES = 1000
STORM_MS = 1000.0
#: A muted line is unmuted after a second with fewer edges than this: 50 Hz are 100.
CALM_EDGES = 20
#: A knock sensor that was never quiet for so long, or a beam that never settled, chatters. Crates
#: are dragged for 2.4 s, receivers chatter for 5 ms.
NOISY_MS = 4000.0
RESTLESS_MS = 2000.0
#: Edges of two lines this close are one spike; people and machines are not so exact. Only lines
#: that were still before say so: one that chatters would meet every other.
SPIKE_MS = 0.1
STILL_MS = 20.0
#: A level that a spike brought is believed when it stands for so long (a connector came off), or
#: for so long after the first of these lines is back: then something real had moved it.
STAND_MS = 1000.0
OUTLAST_MS = 2.0
#: A door that opens and a guest in the doorway may be one moment; more lines than that may not.
BEAMS_TOO = 3
#: The line that the fault names: it is never one alone.
INPUTS = "inputs"

BEAMS = frozenset({"beam_outer", "beam_inner"})
SENSORS = tuple(f"{place}_knock" for place in PLACES)
#: What shakes the wall when it moves, so that a knock sensor hears it at the same moment.
DOORS = ("door_contact", "hatch_contact")
SHAKEN = frozenset({*DOORS, "bolt_contact"})
BUTTONS = frozenset({"release_button", "exit_button"})

Detector = Contacts | Knocks | Passages
#: What takes an edge, and which of its beams, sensors or switches it is.
Handle = Callable[[Any, float, bool], list[Sensed]]


class Port:
    """One line: its level, who handles its edges, and how many came lately."""

    __slots__ = (
        "before", "detector", "edge_ms", "edges", "given", "handle", "level", "line",
        "most_noise_ms", "muted", "noisy_ms", "quiet_ms", "since_ms", "still", "which",
    )  # fmt: skip

    def __init__(
        self, line: str, detector: Detector, handle: Handle, which: Any, noise: Noise
    ) -> None:
        self.line = line
        self.detector = detector
        self.handle = handle
        self.which = which
        self.level: bool | None = None
        #: The level that the detector was given, and the one before its last change.
        self.given = self.before = False
        #: When the last edge came, and whether it was still before.
        self.edge_ms = -inf
        self.still = True
        #: It chatters from ``noisy_ms`` on, unless it is quiet for ``quiet_ms`` before.
        self.quiet_ms, self.most_noise_ms = noise
        self.noisy_ms = inf
        self.edges = 0
        self.since_ms = -inf
        self.muted = False


#: How long a line is quiet between two sounds or moves, and how long it may be without that.
Noise = tuple[float, float]


class Senses:
    """All inputs of one house; the driver calls `tick` at each `due` before a later edge."""

    def __init__(self, settings: SensingSettings, lines: Collection[str]) -> None:
        self._passages = Passages(settings, door="door_contact" in lines)
        self._knocks = Knocks(settings)
        self._contacts = Contacts(settings.contact_settle_ms)
        beams = {b.line: b for b in (self._passages.outer, self._passages.inner)}
        self._beams = beams
        knocks, passages = self._knocks, self._passages
        restless = settings.beam_settle_ms, RESTLESS_MS
        handlers: dict[str, tuple[Detector, Handle, Any, Noise]] = {
            **{s: (knocks, knocks.edge, k, (QUIET_MS, NOISY_MS)) for k, s in enumerate(SENSORS)},
            **{s: (passages, passages.edge, beam, restless) for s, beam in beams.items()},
            **{s: (self._contacts, self._switch, s, (0.0, inf)) for s in SWITCHES},
        }
        self._ports = {line: Port(line, *handlers[line]) for line in lines if line in handlers}
        #: Whether the door was last reported as opening.
        self._opening = False
        #: Muted lines, each with the time at which to look whether it is quiet.
        self._storms: dict[str, float] = {}
        #: The line of the last edge; lines that moved together with it, and when the first did.
        self._last = Port("", self._contacts, self._switch, "", (0.0, inf))
        self._together: list[Port] = []
        self._together_ms = -inf
        #: Lines whose level came with a spike, each with the time at which it is believed.
        self._spiked: dict[str, float] = {}
        #: When interference is over, and when the next of all these is due.
        self._clear_ms = self._unrest_due = inf
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
                events = [] if port.muted else self._take(port, edge)
        if port.detector.due < self.due:
            self.due = port.detector.due
        return events

    def tick(self, t_ms: float) -> list[Sensed]:
        """Return the events that are due at ``t_ms``."""
        events: list[Sensed] = []
        if self._unrest_due <= t_ms:
            events += self._unmute_quiet(t_ms) + self._after_spikes(t_ms)
            self._plan_unrest()
        if self._contacts.due <= t_ms:
            events += self._heed(self._contacts.tick(t_ms), t_ms)
        if self._passages.due <= t_ms:
            events += self._passages.tick(t_ms)
        if self._knocks.due <= t_ms:
            events += self._knocks.tick(t_ms)
        self._plan()
        return events

    def mute_knocks(self, t_ms: float, lasting_ms: float = 0.0) -> None:
        """Ignore the knock sensors while our own strike or chime sounds for ``lasting_ms``."""
        self._knocks.mute_knocks(t_ms, lasting_ms)

    def _plan(self) -> None:
        due = self._unrest_due
        # a `min` of five is half of an idle tick
        if self._contacts.due < due:
            due = self._contacts.due
        if self._passages.due < due:
            due = self._passages.due
        if self._knocks.due < due:
            due = self._knocks.due
        self.due = due

    def _plan_unrest(self) -> None:
        self._unrest_due = min(self._clear_ms, *self._spiked.values(), *self._storms.values(), inf)
        self.due = min(self.due, self._unrest_due)

    def _first(self, port: Port, edge: Edge) -> list[Sensed]:
        """Take a line's level at boot: a switch reports it, beams and knock sensors keep it."""
        port.level = port.given = port.before = edge.level
        if port.line in self._beams:
            return self._passages.first(self._beams[port.line], edge.t_ms, edge.level)
        if port.line not in SWITCHES:
            return []
        if port.line == "door_contact":
            self._passages.door_edge(edge.t_ms, edge.level)
        return self._contacts.edge(port.line, edge.t_ms, edge.level)

    def _take(self, port: Port, edge: Edge) -> list[Sensed]:
        """Pass an edge on to its detector, unless it belongs to a spike or to chatter."""
        t_ms, level = edge.t_ms, edge.level
        gap_ms = t_ms - port.edge_ms
        port.edge_ms = t_ms
        if gap_ms > SPIKE_MS:
            port.still = gap_ms >= STILL_MS and not edge.resync
            port.before = port.given
            if gap_ms > port.quiet_ms:
                port.noisy_ms = t_ms + port.most_noise_ms
        if t_ms >= port.noisy_ms:
            return self._mute(port, t_ms)
        last = self._last
        if last is not port:
            self._last = port
            if t_ms - last.edge_ms <= SPIKE_MS:
                return self._meet(last, port, t_ms)
        if port.given is level:
            return self._tell(port, t_ms)
        port.given = level
        return port.handle(port.which, t_ms, level)

    def _chatters(self, line: str) -> bool:
        return line in SWITCHES and self._contacts.chatters(line)

    def _tell(self, port: Port, t_ms: float) -> list[Sensed]:
        """Tell the detector the line's level, if it does not know it."""
        level = port.level is True
        if port.given is level:
            self._end_spike(t_ms)
            return []
        port.given = level
        return port.handle(port.which, t_ms, level)

    def _switch(self, line: str, t_ms: float, level: bool) -> list[Sensed]:
        """Take a switch's edge; a door or hatch that may be moving shakes the knock sensors."""
        if line == "door_contact" and not self._contacts.chatters(line):
            self._passages.door_edge(t_ms, level)
        events = self._contacts.edge(line, t_ms, level)
        if line in DOORS and self._contacts.moving(line, t_ms):
            self._knocks.await_move(t_ms + self._contacts.settle_ms)
        return self._heed(events, t_ms) if events or line == "door_contact" else events

    def _heed(self, events: list[Sensed], t_ms: float) -> list[Sensed]:
        """Mask the knock sensors around each move of a door or hatch; say when the door may open.

        While the door's contact chatters, the door may be open: no passage is a phantom.
        """
        known = self._opening
        for event in events:
            if isinstance(event, Contact) and event.line in DOORS:
                self._knocks.slam(event.t_ms - self._contacts.settle_ms)
                known &= event.line != "door_contact"  # it says where the door is
            elif isinstance(event, Fault) and event.line == "door_contact":
                is_open = event.active or self._ports[event.line].level is True
                self._passages.door_edge(event.t_ms, is_open)
        self._opening = self._contacts.opens("door_contact")
        if self._opening is not known:
            events.append(Opening(t_ms, self._opening))
        return events

    # --- interference: several lines at the same moment -------------------------------------------

    def _meet(self, last: Port, port: Port, t_ms: float) -> list[Sensed]:
        """Take an edge that came together with another line's."""
        if t_ms - self._together_ms > SPIKE_MS:
            self._together, self._together_ms = [last], last.edge_ms
        together = self._together
        together.append(port)
        lines = {p.line for p in together if p.still and not self._chatters(p.line)}
        if not is_spike(lines):
            return self._tell(port, t_ms)
        events: list[Sensed] = []
        for each in together:
            if spiked(each, len(lines)):
                events += self._take_back(each, t_ms)
            else:
                events += self._tell(each, t_ms)
        if self._clear_ms == inf:
            events.append(Fault(t_ms, "LineInterference", INPUTS, True))
        self._clear_ms = t_ms + SWITCH_CALM_MS
        if any(each.given is each.level for each in together if each.line in self._spiked):
            self._end_spike(t_ms)
        self._plan_unrest()
        return events

    def _take_back(self, port: Port, t_ms: float) -> list[Sensed]:
        """Let a line's detector forget the edge, and look later whether the level stands."""
        given, port.given = port.given, port.before
        if port.line in SENSORS:
            if given is not port.before:
                self._knocks.unpulse(SENSORS.index(port.line))
            return []
        events = [] if given is port.before else port.handle(port.which, t_ms, port.before)
        if port.line == "door_contact":
            self._passages.door_edge(t_ms, True)  # until it is known, somebody may pass
        if port.line not in BUTTONS:
            self._spiked[port.line] = t_ms + STAND_MS
        return events

    def _end_spike(self, t_ms: float) -> None:
        """One line is back as it was before the spike: whatever is not by now is true."""
        for line, due in self._spiked.items():
            self._spiked[line] = min(due, t_ms + OUTLAST_MS)
        self._plan_unrest()

    def _after_spikes(self, t_ms: float) -> list[Sensed]:
        """Believe levels that stand since a spike, and end the fault."""
        events: list[Sensed] = []
        for line in [line for line, due in self._spiked.items() if due <= t_ms]:
            del self._spiked[line]
            port = self._ports[line]
            if port.given is not port.level:
                events += self._tell(port, t_ms)
            if line == "door_contact" and not self._contacts.chatters(line):
                self._passages.door_edge(t_ms, port.given)
        if self._clear_ms <= t_ms:
            self._clear_ms = inf
            events.append(Fault(t_ms, "LineInterference", INPUTS, False))
        return events

    # --- chatter ----------------------------------------------------------------------------------

    def _check_storm(self, port: Port, t_ms: float) -> list[Sensed]:
        """Mute a line whose last `STORM_EDGES` edges came within `STORM_MS`."""
        quick = t_ms - port.since_ms < STORM_MS
        port.since_ms, port.edges = t_ms, 0
        if port.muted:
            port.edges = CALM_EDGES
            return []
        return self._mute(port, t_ms) if quick else self._tell(port, t_ms)

    def _mute(self, port: Port, t_ms: float) -> list[Sensed]:
        """Listen to a line no more until it is quiet."""
        port.muted = True
        self._storms[port.line] = t_ms + STORM_MS
        self._plan_unrest()
        if port.line in SWITCHES:
            return self._heed(self._contacts.unsettle(port.line, t_ms), t_ms)
        beam = self._beams.get(port.line)
        if beam:
            return self._passages.distrust(beam, t_ms, inf)
        self._knocks.silence()
        return [Fault(t_ms, "LineChatter", port.line, True)]

    def _unmute_quiet(self, t_ms: float) -> list[Sensed]:
        """Unmute lines that have become quiet; the others stay muted."""
        events: list[Sensed] = []
        for line in [line for line, due in self._storms.items() if due <= t_ms]:
            port = self._ports[line]
            if port.edges >= CALM_EDGES:
                self._storms[line] = t_ms + STORM_MS
                if line in SWITCHES:
                    events += self._contacts.unsettle(line, t_ms)  # it is not calm yet
            else:
                del self._storms[line]
                events += self._unmute(port, t_ms)
            port.edges = 0
        return events

    def _unmute(self, port: Port, t_ms: float) -> list[Sensed]:
        port.muted = False
        port.noisy_ms = inf
        events: list[Sensed] = []
        beam = self._beams.get(port.line)
        if beam:
            events += self._passages.distrust(beam, t_ms, t_ms + CALM_MS)
        elif port.line in SENSORS:
            events.append(Fault(t_ms, "LineChatter", port.line, False))
        port.given = port.level is True
        return events + port.handle(port.which, t_ms, port.given)


def spiked(port: Port, lines: int) -> bool:
    """Return whether a spike on so many lines that were still is what moved this one."""
    if port.line in SENSORS:
        return port.level is True  # a sensor that rings is not still, and no pulse is so exact
    return port.still and (port.line not in BEAMS or lines >= BEAMS_TOO)


def is_spike(lines: Iterable[str]) -> bool:
    """Return whether no one cause in the house moves all of these lines at the same moment.

    Light blinds both beams; a blow is heard by both knock sensors, and may be that of a door, a
    bolt or an elbow in the doorway. Anything else needs electricity.
    """
    lines = set(lines)
    switches, sensors = lines & set(SWITCHES), lines & set(SENSORS)
    if lines & BEAMS:
        return bool(switches) or bool(sensors and len(lines) > 2)
    return len(switches) > 1 or bool(sensors and switches - SHAKEN)
