"""Two break-beams across a doorway: who went through, which way, and when we do not know.

The raw levels pass a stable-for filter (a receiver chatters for up to 5 ms at an edge, a glitch
lasts below 2 ms) that dates every change at its first raw edge. What is left is collected until
both beams have been clear for longer than a drop-out lasts (40 ms), then judged as a whole.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from controller.events import Doorway, Fault, Passage, Sensed
from controller.shapes import judge

#: Changes remembered a beam and passage: somebody who dances in the doorway must not cost memory.
MOST_CHANGES = 64
#: A bag at 0.3 m/s takes this long from one beam to the other, 120 mm further.
MOST_PATIENCE_MS = 400.0
#: A hand of 60 mm takes twice as long to the other beam, 120 mm further, as it breaks one.
HAND_PATIENCE = 2.0


class Numbers(Protocol):
    """The settings that passages are decided with (see ``sensing.Settings``)."""

    @property
    def beam_spacing_mm(self) -> float: ...
    @property
    def beam_settle_ms(self) -> float: ...
    @property
    def beam_dropout_ms(self) -> float: ...
    @property
    def beam_stuck_after_ms(self) -> float: ...


class Beam:
    """One receiver: its raw level, its filtered level and its changes in this passage."""

    __slots__ = ("changes", "due", "line", "raw", "since", "stable", "stuck")

    def __init__(self, line: str) -> None:
        self.line = line
        self.raw: bool | None = None
        self.stable = False
        self.stuck = False
        #: First raw edge of the unsettled stretch, and when it will have settled.
        self.since = inf
        self.due = inf
        #: Times of filtered changes: broken, clear, broken, ... in turn.
        self.changes: list[float] = []


class Passages:
    """The doorway as a stream: raw beam edges in, `Doorway`, `Passage` and beam faults out."""

    def __init__(self, numbers: Numbers, *, door: bool) -> None:
        self.due = inf
        self._n = numbers
        self._door_wired = door
        self._door_open = False
        self._door_moved_ms = -inf
        self.outer = Beam("beam_outer")
        self.inner = Beam("beam_inner")
        self._clear_ms = inf
        self._coming_in = 0
        self._told = Doorway(0.0, False, 0)

    def outer_edge(self, t_ms: float, level: bool) -> list[Sensed]:
        """Take a raw edge of the outer beam."""
        self._edge(self.outer, t_ms, level)
        return []

    def inner_edge(self, t_ms: float, level: bool) -> list[Sensed]:
        """Take a raw edge of the inner beam; reaching it from outside is told at once."""
        beam = self.inner
        self._edge(beam, t_ms, level)
        if level and not beam.stable and self.outer.stable and self._from_outside():
            return self._tell(t_ms, self._coming_in + 1)
        return []

    def door_edge(self, t_ms: float, level: bool) -> None:
        """Remember whether the door was open at any time during a passage."""
        self._door_open = level
        self._door_moved_ms = t_ms

    def _from_outside(self) -> bool:
        outer, inner = self.outer.changes, self.inner.changes
        return bool(outer) and (not inner or outer[0] <= inner[0])

    def _edge(self, beam: Beam, t_ms: float, level: bool) -> None:
        """Note one raw edge: the beam is unsettled until it keeps a level for the settle time."""
        if beam.raw is None:
            beam.raw = beam.stable = level
            beam.stuck = level  # broken at boot: nobody was seen coming, nothing to count
            return
        beam.raw = level
        if beam.due == inf:
            beam.since = t_ms
        beam.due = t_ms + self._n.beam_settle_ms
        if self._clear_ms < beam.due:  # perhaps somebody comes before the last one was decided
            self._clear_ms = beam.due
        self._plan()

    def _plan(self) -> None:
        self.due = min(self.outer.due, self.inner.due, self._clear_ms, self._stuck_due())

    def _stuck_due(self) -> float:
        due = inf
        for beam in (self.outer, self.inner):
            if beam.stable and not beam.stuck and beam.changes:
                due = min(due, beam.changes[-1] + self._n.beam_stuck_after_ms)
        return due

    def tick(self, t_ms: float) -> list[Sensed]:
        """Settle what has stood still, decide what is clear, doubt what is stuck."""
        told: list[Sensed] = []
        for beam in (self.outer, self.inner):
            if beam.due <= t_ms:
                told += self._settle(beam)
        if self._clear_ms <= t_ms:
            told += self._verdict(self._clear_ms)
        if self._stuck_due() <= t_ms:
            told += self._stick(t_ms)
        self._plan()
        return told

    def _settle(self, beam: Beam) -> list[Sensed]:
        now, since = beam.due, beam.since
        beam.due = beam.since = inf
        if beam.raw == beam.stable:  # a glitch: it was never there
            return self._tell(now, self._reached())
        beam.stable = beam.raw is True
        if beam.stuck:
            return self._unstick(beam, now)
        beam.changes.append(since)
        if len(beam.changes) > MOST_CHANGES:
            del beam.changes[2:4]
        any_broken = self.outer.stable or self.inner.stable
        self._clear_ms = inf if any_broken else since + self._patience_ms()
        return self._tell(now, self._reached())

    def _patience_ms(self) -> float:
        """How long both beams must be clear: a drop-out, or an arm still between the beams."""
        outer, inner = self.outer.changes, self.inner.changes
        if not outer or not inner:
            wait_ms = HAND_PATIENCE * (_broken(outer) + _broken(inner))
        elif len(outer) == len(inner) == 2 and (outer[0] < inner[0]) == (outer[1] < inner[1]):
            return self._n.beam_dropout_ms
        else:
            wait_ms = 1.5 * abs(outer[0] - inner[0])
        return max(self._n.beam_dropout_ms, min(wait_ms, MOST_PATIENCE_MS))

    def _reached(self) -> int:
        """People who came from outside and reached the inner beam, less those who turned back."""
        if not self._from_outside():
            return 0
        reached = 0
        outer, inner = self.outer.changes, self.inner.changes
        for i, t_ms in enumerate(inner):
            covered = sum(1 for o in outer if o <= t_ms)
            if i % 2 == 0:
                reached += covered % 2
                before = covered
            elif covered == before and covered % 2:
                reached -= 1
        return max(0, reached)

    def _tell(self, t_ms: float, coming_in: int) -> list[Sensed]:
        busy = bool(self.outer.changes or self.inner.changes)
        if busy == self._told.busy and coming_in == self._told.coming_in:
            return []
        self._coming_in = coming_in
        self._told = Doorway(t_ms, busy, coming_in)
        return [self._told]

    def _verdict(self, now: float) -> list[Sensed]:
        outer, inner = self.outer.changes, self.inner.changes
        self.outer.changes, self.inner.changes = [], []
        self._clear_ms = inf
        began = min(outer[:1] + inner[:1])
        told: list[Sensed] = []
        for least, most, why in judge(outer, inner, self._n):
            if self._door_wired and not self._door_open and self._door_moved_ms < began:
                least, most, why = 0, 0, "phantom"  # noqa: PLW2901
            told.append(Passage(now, least, most, why, began, _broken(outer), _broken(inner)))
        return told + self._tell(now, 0)

    def _stick(self, t_ms: float) -> list[Sensed]:
        told: list[Sensed] = []
        for beam in (self.outer, self.inner):
            if beam.stable and not beam.stuck:
                beam.stuck = True
                told.append(Fault(t_ms, "BeamStuck", beam.line, True))
        self.outer.changes, self.inner.changes = [], []
        return told + self._tell(t_ms, 0)

    def _unstick(self, beam: Beam, now: float) -> list[Sensed]:
        beam.stuck = False
        return [Fault(now, "BeamStuck", beam.line, False)]


def _broken(changes: list[float]) -> float:
    return sum(changes[1::2]) - sum(changes[::2])
