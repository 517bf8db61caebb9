"""The self-test: raw edges in, wires ticked off one by one, the progress published.

It runs inside the controller and gets the same edges as the rules, which go on as ever: the strike
moves for what they let it move for, and where hands in the doorway pass for a guest, a guest is
counted. The result says how many are left inside. The self-test corrects nothing but this: where
nobody counts at the door, the rules believe that each release lets somebody in. If the room was
verified empty when the test began, the presses that it asked for let nobody in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, NamedTuple

from controller.clock import Clock
from controller.engine import Engine
from controller.events import Command, Edge, Note
from controller.rules.state import verified_empty
from controller.service.publisher import Item, Publisher

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
#: A passage or a release under way is waited for, but a broken beam not for ever.
SETTLE_MS = 10_000.0


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
    presses: int = 0
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
        """Return whether this edge ends a pulse that a hand made; to be called before `take`."""
        return self.edges > 0 and self.level and edge.t_ms - self.since_ms >= PRESS_MS

    def knocked(self) -> bool:
        """Return whether there were two raps within a moment."""
        raps = [burst.t_ms for burst in self.bursts[-2:]]
        return len(raps) == 2 and raps[1] - raps[0] <= KNOCK_MS


class Checklist:
    """Ticks lines off as their edges prove them."""

    def __init__(self, lines: Mapping[str, object]) -> None:
        self.lines = {name: Line() for name in [*STEPS, *NOT_ASKED] if name in lines}

    def edge(self, edge: Edge) -> str:
        """Take one edge; return the name of the line that it proves, or nothing."""
        line = self.lines.get(edge.line)
        if line is None:
            return ""
        pressed = not edge.level and line.pressed(edge)
        line.presses += pressed
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


@dataclass(frozen=True, slots=True)
class SelfTestHost:
    """What the self-test needs of the controller that it runs in."""

    clock: Clock
    engine: Engine
    publisher: Publisher
    queue: SimpleQueue[Item]


class SelfTest:
    """One guided test at a time; the loop hands it every edge, and calls `tick` once a second.

    ``limit_s`` is how long a test may take; ``on_progress`` gets what is published of it.
    """

    def __init__(
        self,
        lines: Mapping[str, object],
        host: SelfTestHost,
        limit_s: float = PAGE_LIMIT_S,
        on_progress: Callable[[Mapping[str, Any]], None] = lambda progress: None,
    ) -> None:
        self._lines = lines
        self._host = host
        self._clock = host.clock
        self._limit_s = limit_s
        self._on_progress = on_progress
        self._checklist: Checklist | None = None
        self._end_ms = 0.0
        self._verified = self._ending = False

    def begin(self, limit_s: float | None = None) -> None:
        """Begin; while one runs it goes on as it was."""
        if self._checklist is None:
            self._checklist = Checklist(self._lines)
            limit_s = self._limit_s if limit_s is None else limit_s
            self._end_ms = self._clock.now_ms() + limit_s * 1000
            self._verified = verified_empty(self._host.engine.state)
            self._publish(self._checklist)

    def edge(self, edge: Edge) -> None:
        """Take one edge; the one that proves the last wire ends the test, if nobody passes."""
        checklist = self._checklist
        if checklist is not None and checklist.edge(edge):
            unfinished = checklist.missing() or self._under_way()
            self._publish(checklist) if unfinished else self.end()

    def tick(self) -> None:
        """Publish how it stands, or end it when the time is over."""
        if self._checklist is None:
            return
        over = self._clock.now_ms() >= self._end_ms or not self._checklist.missing()
        self.end() if over and not self._under_way() else self._publish(self._checklist)

    def end(self) -> None:
        """Take back a guest whom only the test let in, and keep the result."""
        if self._checklist is None or self._ending:
            return
        if self._nobody_came(self._checklist):
            self._ending = True
            now_ms = self._clock.now_ms()
            self._host.queue.put(Command(now_ms, "room_empty", id="self-test", cause="self-test"))
            self._host.queue.put(self.stop)
        else:
            self.stop()

    def stop(self) -> None:
        """Record and publish the result as things stand: also when the controller stops."""
        checklist, self._checklist, self._ending = self._checklist, None, False
        if checklist is None:
            return
        missing = checklist.missing()
        result = {"ok": not missing, "proven": len(checklist.asked()) - len(missing)}
        note = Note("self_tested", {**result, "missing": missing, **self._inside()})
        host = self._host
        host.publisher.record([(self._clock.now_ms(), note)], host.engine.state)
        self._publish(checklist, running=False)  # last: whoever hears it may stop the controller

    def _under_way(self) -> bool:
        """Return whether it is not decided yet who came in."""
        state, settings = self._host.engine.state, self._host.engine.settings
        release = state.grant is not None and not settings.beams
        return (state.busy or release) and self._clock.now_ms() < self._end_ms + SETTLE_MS

    def _nobody_came(self, checklist: Checklist) -> bool:
        """Return whether the rules believe in guests whom only this test's release let in.

        Never in a walk-in: there an empty room may turn the strike on.
        """
        state, settings = self._host.engine.state, self._host.engine.settings
        if not self._verified or settings.beams or settings.entry == "walk_in":
            return False
        most = state.occupancy.max + (state.grant.party if state.grant else 0)
        button = checklist.lines.get("release_button")
        return button is not None and 0 < most <= button.presses

    def _inside(self) -> dict[str, Any]:
        """Return how many are inside now, and whether it was surely nobody at the beginning."""
        inside = self._host.engine.state.occupancy
        return {"verified": self._verified, "inside": {"min": inside.min, "max": inside.max}}

    def _publish(self, checklist: Checklist, *, running: bool = True) -> None:
        left_s = max(self._end_ms - self._clock.now_ms(), 0.0) / 1000
        progress = {
            "running": running,
            "ok": not checklist.missing(),
            "remaining_s": round(left_s if running else 0.0, 1),
            **self._inside(),
            "lines": [
                {"line": name, "proven": line.proven, "edges": line.edges}
                for name, line in checklist.asked().items()
            ],
        }
        self._host.publisher.publish_latest("self_test", progress)
        self._on_progress(progress)
