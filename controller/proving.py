"""What proves a wire: raw edges in, wires ticked off one by one, the house told of each.

The drill runs inside the controller and gives the rules nothing: it only listens to the same edges.
So the strike moves in it for nothing but the release that a hand presses, as always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from controller.clock import Clock
from controller.events import Command, Edge, Note
from controller.state import State

#: What proves each line, in the order in which a hand gets to them.
STEPS: Mapping[str, str] = {
    "beam_outer": "break the outer beam, on the street side, with your hand, and let go",
    "beam_inner": "break the inner beam, and let go",
    "release_button": "press the release behind the counter: the strike must be heard",
    "door_contact": "open the door, and shut it",
    "bolt_contact": "let the bolt go back and come out again (the release does it)",
    "exit_button": "press the exit button",
    "hatch_contact": "open the hatch, and shut it",
    "hatch_knock": "knock twice at the hatch",
    "door_knock": "knock twice at the front door",
}
#: Tested with the fire panel's people: it opens the house until somebody releases it.
NOT_ASKED = frozenset({"evacuate"})
KNOCKS = frozenset({"hatch_knock", "door_knock"})
#: A hand takes longer than a glitch, and a rap is over before the next one.
PRESS_MS, RAP_GAP_MS, KNOCK_MS = 30.0, 60.0, 3000.0
#: From the page: time to walk from wire to wire with the phone in one hand.
PAGE_LIMIT_S = 180.0


class Burst(NamedTuple):
    """One rap as the sensor gives it: when, how many pulses, from first to last, active time."""

    t_ms: float
    pulses: int
    span_ms: float
    active_ms: float


@dataclass(slots=True)
class Line:
    """What one line has done so far."""

    edges: int = 0
    level: bool = False
    since_ms: float = 0.0
    proven: bool = False
    bursts: list[Burst] = field(default_factory=list)

    def take(self, edge: Edge) -> None:
        """Count one edge; a pulse close to the last one belongs to the same burst."""
        if edge.level is self.level and self.edges:
            return
        held_ms = edge.t_ms - self.since_ms if self.edges else 0.0
        self.edges += 1
        last = self.bursts[-1] if self.bursts else None
        if edge.level and (last is None or edge.t_ms - last.t_ms - last.span_ms > RAP_GAP_MS):
            self.bursts = [*self.bursts[-19:], Burst(edge.t_ms, 1, 0.0, 0.0)]
        elif last is not None:
            pulses, span_ms = last.pulses + edge.level, edge.t_ms - last.t_ms
            active_ms = last.active_ms + (0.0 if edge.level else held_ms)
            self.bursts[-1] = Burst(last.t_ms, pulses, span_ms, active_ms)
        self.level, self.since_ms = edge.level, edge.t_ms

    def pressed(self, edge: Edge) -> bool:
        """Tell whether this edge ends a pulse that a hand made; to be asked before `take`."""
        return self.edges > 0 and self.level and edge.t_ms - self.since_ms >= PRESS_MS

    def knocked(self) -> bool:
        """Tell whether there were two raps within a moment."""
        raps = [burst.t_ms for burst in self.bursts[-2:]]
        return len(raps) == 2 and raps[1] - raps[0] <= KNOCK_MS


class Proof:
    """Ticks lines off as their edges prove them."""

    def __init__(self, lines: Mapping[str, object]) -> None:
        self.lines = {name: Line() for name in [*STEPS, *NOT_ASKED] if name in lines}

    def edge(self, edge: Edge) -> str:
        """Take one edge; return the name of the line that it proves, or nothing."""
        line = self.lines.get(edge.line)
        if line is None:
            return ""
        pressed = not edge.level and line.pressed(edge)
        line.take(edge)
        if line.proven or not (line.knocked() if edge.line in KNOCKS else pressed):
            return ""
        line.proven = True
        return edge.line

    def asked(self) -> dict[str, Line]:
        """Return the lines that are to be proven, in the order of `STEPS`."""
        return {name: line for name, line in self.lines.items() if name not in NOT_ASKED}

    def missing(self) -> list[str]:
        """Return those that nobody has proven yet."""
        return [name for name, line in self.asked().items() if not line.proven]

    def table(self) -> list[str]:
        """Return a row for each line: level, edges so far, the last burst's shape."""
        width = max((len(name) for name in self.lines), default=4)
        rows = [f"{'line':{width}}  level  edges  last burst: pulses, length, active"]
        for name, line in self.lines.items():
            shape = ""
            if line.bursts:
                last = line.bursts[-1]
                shape = f"{last.pulses:3} {last.span_ms:8.1f} ms {last.active_ms:8.1f} ms"
            rows.append(f"{name:{width}}  {int(line.level):5}  {line.edges:5}  {shape}".rstrip())
        return rows


class House(Protocol):
    """What the drill needs of the loop that it runs in."""

    @property
    def state(self) -> State:
        """The rules' state."""

    def post(self, item: Command) -> None:
        """Have a command done."""

    def note(self, note: Note) -> None:
        """Keep and tell something."""

    def tell(self, name: str, told: Mapping[str, Any]) -> None:
        """Say a latest value that is not of the rules."""


class Drill:
    """One guided test at a time; the loop hands it every edge, and the time once a second."""

    def __init__(self, lines: Mapping[str, object], clock: Clock) -> None:
        self._lines = lines
        self._clock = clock
        self._proof: Proof | None = None
        self._end_ms = 0.0
        self.house: House
        #: Hears what the house is told: the terminal.
        self.heard: Callable[[Mapping[str, Any]], None] = lambda told: None

    def begin(self, limit_s: float = PAGE_LIMIT_S) -> None:
        """Begin; while one runs it goes on as it was."""
        if self._proof is None:
            self._proof = Proof(self._lines)
            self._end_ms = self._clock.now_ms() + limit_s * 1000
            self._tell(self._proof)

    def edge(self, edge: Edge) -> None:
        """Take one edge; the one that proves the last wire ends the test."""
        proof = self._proof
        if proof is not None and proof.edge(edge):
            self._tell(proof) if proof.missing() else self.end()

    def beat(self) -> None:
        """Say how it stands, or that the time is over."""
        if self._proof is None:
            return
        over = self._clock.now_ms() >= self._end_ms or not self._proof.missing()
        self.end() if over else self._tell(self._proof)

    def end(self) -> None:
        """Keep the result; what the test did to an empty room is put right with it."""
        proof, self._proof = self._proof, None
        if proof is None:
            return
        missing = proof.missing()
        proven = len(proof.asked()) - len(missing)
        self.house.note(
            Note("self_tested", {"ok": not missing, "proven": proven, "missing": missing})
        )
        if self.house.state.occupancy.count == 0 and self.house.state.session is None:
            now_ms = self._clock.now_ms()
            self.house.post(Command(now_ms, "room_empty", id="self-test", cause="self-test"))
        self._tell(proof, running=False)  # last: whoever hears it may stop the house

    def _tell(self, proof: Proof, *, running: bool = True) -> None:
        left_s = max(self._end_ms - self._clock.now_ms(), 0.0) / 1000
        told = {
            "running": running,
            "ok": not proof.missing(),
            "remaining_s": round(left_s if running else 0.0, 1),
            "lines": [
                {"line": name, "proven": line.proven, "edges": line.edges}
                for name, line in proof.asked().items()
            ],
        }
        self.house.tell("self_test", told)
        self.heard(told)
