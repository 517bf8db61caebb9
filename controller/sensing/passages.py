"""Two break-beams across a doorway: who went through, which way, and when we do not know.

The raw levels pass a stable-for filter that dates every change at its first raw edge. What is left
is collected until both beams are clear for longer than a drop-out lasts, then classified as a whole
(see `classify`). While one beam cannot be trusted (covered, chattering, dead) whatever breaks the
other for as long as a body does was somebody, in or out or neither: least -1, most +1.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf

from controller.events import Doorway, Fault, Passage, Sensed
from controller.sensing.classify import SWAY_PART, VEIL_MS, Verdict, carrier_ms, classify
from controller.sensing.depths import People
from controller.sensing.patterns import BODY_MS, Span, broken_ms, spans_of
from controller.sensing.settings import SensingSettings

#: Filtered changes kept for one beam and passage; nobody makes more, so the beam chatters.
MOST_CHANGES = 64
#: A bag at 0.3 m/s takes this long from one beam to the other, 120 mm further.
MOST_PATIENCE_MS = 400.0
#: A hand of 60 mm takes twice as long to the other beam, 120 mm further, as it breaks one.
HAND_PATIENCE = 2.0
#: Broken this long is no walker: from here on the other beam's breaks are evidence by themselves.
COVERED_MS = 10_000.0
#: Whoever came to a beam as a walker does may stand in it for so long, and chat.
STOOD_MS = 180_000.0
#: So many changes of somebody who sways into the other beam are kept.
MOST_SWAYS = 16
#: So many moments are kept at which a broken beam was clear too briefly for a change.
MOST_BLINKS = 16
#: So many bodies in a row at one beam and none at the other: the other is dead.
DEAD_AFTER = 4
#: A beam that chattered is trusted again after this much quiet.
CALM_MS = 5_000.0


class Beam:
    """One receiver: its raw level, its filtered level and its changes in this passage."""

    __slots__ = (
        "alone", "alone_ms", "blinks", "broken_ms", "calm_ms", "changes", "check_due", "covered",
        "dead", "due", "ghost", "line", "raw", "since", "stable", "stuck",
    )  # fmt: skip

    def __init__(self, line: str) -> None:
        self.line = line
        self.raw: bool | None = None
        self.stable = False
        #: First raw edge of the unsettled stretch, and when it will have settled.
        self.since = inf
        self.due = inf
        #: Times of filtered changes: broken, clear, broken, ... in turn.
        self.changes: list[float] = []
        #: From when to when it was clear meanwhile, too briefly for a change.
        self.blinks: list[Span] = []
        #: Since when it is broken (inf: it is not), and why it is not trusted.
        self.broken_ms = inf
        #: While it is broken: when to ask whether it is covered, or stuck.
        self.check_due = inf
        self.covered = self.stuck = self.dead = self.ghost = False
        #: When a chattering beam is trusted again; None if it does not chatter.
        self.calm_ms: float | None = None
        #: Bodies seen in a row by this beam alone.
        self.alone = 0
        #: How long the last of them broke it.
        self.alone_ms = 0.0

    def distrusted(self) -> str:
        """Return why this beam can't be trusted, as a passage's ``why``; "" if it can."""
        if self.calm_ms is not None:
            return "beam_chatter"
        if self.dead:
            return "beam_dead"
        return "beam_covered" if self.covered else ""


def walked_into(beam: Beam, mate: Beam) -> bool:
    """Tell whether this beam broke as somebody comes or goes: soon before or after its mate."""
    since = beam.broken_ms
    near = any(abs(t_ms - since) < VEIL_MS for t_ms in mate.changes)
    return near or bisect_right(mate.changes, since) % 2 == 1


def forget_sway(beam: Beam, mate: Beam) -> None:
    """Forget the break before the last if it lies within the other beam's: a step, and back."""
    if beam.stable or not mate.stable:
        return
    on, off = beam.changes[-4:-2]
    if on > mate.broken_ms + VEIL_MS and off - on >= BODY_MS[0]:
        del beam.changes[-4:-2]


class Passages:
    """The doorway as a stream: raw beam edges in, `Doorway`, `Passage` and beam faults out."""

    def __init__(self, settings: SensingSettings, *, door: bool) -> None:
        self.due = inf
        self._settings = settings
        self._covered_ms = min(COVERED_MS, settings.beam_stuck_after_ms)
        self._door_wired = door
        self._door_open = False
        self._door_moved_ms = -inf
        self.outer = Beam("beam_outer")
        self.inner = Beam("beam_inner")
        self._pairs = ((self.outer, self.inner), (self.inner, self.outer))
        self._clear_ms = inf
        self._people = People(settings)
        self._busy = False
        self._coming_in = 0

    def edge(self, beam: Beam, t_ms: float, level: bool) -> list[Sensed]:
        """Take a raw edge; somebody who reaches the inner beam from outside is reported at once."""
        beam.raw = level
        if beam.due == inf:
            beam.since = t_ms
        beam.due = due = t_ms + self._settings.beam_settle_ms
        if due < self.due:
            self.due = due
        if self._clear_ms < due:  # somebody may come before the last was decided
            self._clear_ms = due
        if level and beam is self.inner and not beam.stable and self.outer.stable:
            return self._announce_arrival(t_ms)
        return []

    def first(self, beam: Beam, t_ms: float, level: bool) -> list[Sensed]:
        """Take the level at boot: nobody was seen to come, so a broken beam counts nobody."""
        beam.raw = beam.stable = beam.ghost = level
        beam.broken_ms = t_ms if level else inf
        beam.check_due = beam.broken_ms + self._covered_ms
        self._plan()
        return self._doorway(t_ms, 0)

    def door_edge(self, t_ms: float, level: bool) -> None:
        """Remember whether the door was open at any time during a passage."""
        self._door_open = level
        self._door_moved_ms = t_ms

    def distrust(self, beam: Beam, t_ms: float, calm_ms: float) -> list[Sensed]:
        """Take a chattering beam out of the decision until ``calm_ms`` (inf: not yet known)."""
        events: list[Sensed] = []
        if beam.calm_ms is None:
            events.append(Fault(t_ms, "BeamChatter", beam.line, True))
            if self._busy:
                events.append(self._passage(t_ms, (-1, 1, "beam_chatter")))
        beam.calm_ms = calm_ms
        beam.raw, beam.since, beam.due = beam.stable, inf, inf  # its last edge settles nothing
        for each in (self.outer, self.inner):
            each.changes, each.blinks, each.ghost = [], [], each.stable
        self._clear_ms = inf
        self._plan()
        return events + self._doorway(t_ms, 0)

    def tick(self, t_ms: float) -> list[Sensed]:
        """Settle levels, decide a passage that is over, distrust a beam that stays broken."""
        events: list[Sensed] = []
        for beam, mate in self._pairs:
            if beam.due <= t_ms:
                events += self._settle(beam, mate)
            if beam.check_due <= t_ms or beam.calm_ms is not None:
                events += self._check_trust(beam, mate, t_ms)
        if self._clear_ms <= t_ms:
            events += self._decide(self._clear_ms)
        self._plan()
        return events

    def _plan(self) -> None:
        due = self._clear_ms
        for beam, _ in self._pairs:
            if beam.due < due:
                due = beam.due
            if beam.calm_ms is not None:
                due = min(due, beam.calm_ms)
            elif beam.check_due < due:
                due = beam.check_due
        self.due = due

    def _settle(self, beam: Beam, mate: Beam) -> list[Sensed]:
        """Accept a level that stood still, or forget a glitch."""
        now, since = beam.due, beam.since
        beam.due = beam.since = inf
        if beam.raw == beam.stable:  # a glitch, or the gap between two in touch
            if beam.stable and len(beam.blinks) < MOST_BLINKS:
                beam.blinks.append((since, now - self._settings.beam_settle_ms))
            return self._doorway(now, self._arrivals())
        beam.stable = beam.raw is True
        beam.broken_ms = since if beam.stable else inf
        beam.check_due = beam.broken_ms + self._covered_ms
        events = self._revive(beam, now) if beam.covered or beam.dead else []
        if beam.calm_ms is not None:
            beam.calm_ms = now + CALM_MS
            return events
        if beam.ghost:
            beam.ghost = beam.stable
            return events + self._doorway(now, 0)
        beam.changes.append(since)
        if len(beam.changes) > MOST_SWAYS:
            forget_sway(beam, mate)
            if len(beam.changes) > MOST_CHANGES:
                return events + self.distrust(beam, now, now + CALM_MS)
        if not beam.stable and mate.distrusted():
            events += self._lone_bodies(beam, mate, now)
        self._await_clear(since)
        return events + self._doorway(now, self._arrivals())

    def _revive(self, beam: Beam, now: float) -> list[Sensed]:
        """End the faults of a beam that moves: it is neither covered nor stuck nor dead."""
        events: list[Sensed] = []
        if beam.stuck:
            events.append(Fault(now, "BeamStuck", beam.line, False))
        if beam.dead:
            events.append(Fault(now, "BeamDead", beam.line, False))
        beam.covered = beam.stuck = beam.dead = False
        return events

    def _lone_bodies(self, beam: Beam, mate: Beam, now: float) -> list[Sensed]:
        """Doubt every body that this beam saw since its mate says nothing."""
        since = mate.broken_ms if mate.covered else -inf
        # while the count relies on this beam alone, whoever lingers in it is somebody too
        least_ms, most_ms = BODY_MS[0], inf if mate.stuck else BODY_MS[1]
        breaks = spans_of(beam.changes)
        bodies = [a for a, b in breaks if a > since and least_ms <= b - a <= most_ms]
        if not bodies:
            return []
        passage = self._passage(now, (-len(bodies), len(bodies), mate.distrusted()), bodies[0])
        beam.changes = [t for t in beam.changes if t < bodies[0]]
        return [passage]

    def _check_trust(self, beam: Beam, mate: Beam, t_ms: float) -> list[Sensed]:
        """Distrust a beam that stays broken; trust one again that was calm long enough."""
        events: list[Sensed] = []
        if beam.calm_ms is not None:
            if beam.calm_ms > t_ms:
                return []
            beam.calm_ms, beam.ghost = None, beam.stable
            events += [Fault(t_ms, "BeamChatter", beam.line, False), *self._doorway(t_ms, 0)]
        if beam.check_due <= t_ms:
            events += self._stays_broken(beam, mate, t_ms)
        return events

    def _stays_broken(self, beam: Beam, mate: Beam, t_ms: float) -> list[Sensed]:
        """Take a beam as covered, then as stuck; but whoever walked into it may stand there."""
        since, events = beam.broken_ms, list[Sensed]()
        if not beam.covered:
            if t_ms < since + STOOD_MS and walked_into(beam, mate):
                beam.check_due = since + STOOD_MS
                return []
            beam.covered = True
            events += [] if mate.stable else self._lone_bodies(mate, beam, t_ms)
        if t_ms < since + self._settings.beam_stuck_after_ms:
            beam.check_due = since + self._settings.beam_stuck_after_ms
            return events
        beam.stuck, beam.check_due = True, inf
        return [*events, Fault(t_ms, "BeamStuck", beam.line, True)]

    def _await_clear(self, since: float) -> None:
        if self.outer.stable or self.inner.stable:
            self._clear_ms = inf
        elif self.outer.changes or self.inner.changes:
            self._clear_ms = since + self._patience_ms()

    def _patience_ms(self) -> float:
        """Return how long both beams must be clear: an arm may still be between them."""
        outer, inner = self.outer.changes, self.inner.changes
        if not outer or not inner:
            wait_ms = HAND_PATIENCE * (broken_ms(outer) + broken_ms(inner))
        elif len(outer) == len(inner) == 2 and (outer[0] < inner[0]) == (outer[1] < inner[1]):
            wait_ms = carrier_ms(outer, inner, self._settings.beam_spacing_mm)
        elif (outer[0] < inner[0]) == (outer[-1] < inner[-1]) or len(outer) == len(inner) == 2:
            wait_ms = 1.5 * abs(outer[0] - inner[0])
        else:
            wait_ms = MOST_PATIENCE_MS
        return max(self._settings.beam_dropout_ms, min(wait_ms, MOST_PATIENCE_MS))

    def _announce_arrival(self, t_ms: float) -> list[Sensed]:
        """Report somebody at the inner beam, if from outside: the strike depends on it now."""
        outer, inner = self.outer.changes, self.inner.changes
        if outer and (not inner or outer[0] <= inner[0]):
            return self._doorway(t_ms, self._arrivals() + 1)
        return []

    def _arrivals(self) -> int:
        """Return how many came from outside to the inner beam and did not turn back."""
        outer, inner = self.outer.changes, self.inner.changes
        if not outer or not inner or outer[0] > inner[0]:
            return 0
        reached, before = 0, 0
        for i, t_ms in enumerate(inner):
            covered = bisect_right(outer, t_ms)
            if i % 2 == 0:
                reached += covered % 2
                before = covered
            elif covered == before and covered % 2:
                reached -= 1
        return reached if reached > 0 else 0

    def _doorway(self, t_ms: float, coming_in: int) -> list[Sensed]:
        busy = bool(
            self.outer.stable or self.inner.stable or self.outer.changes or self.inner.changes
        )
        if busy == self._busy and coming_in == self._coming_in:
            return []
        self._busy, self._coming_in = busy, coming_in
        return [Doorway(t_ms, busy, coming_in)]

    def _decide(self, now: float) -> list[Sensed]:
        """Classify what the beams saw, now that both are clear, and begin anew."""
        outer, inner = self.outer.changes, self.inner.changes
        blinks = self.outer.blinks, self.inner.blinks
        verdicts = classify(outer, inner, self._people, blinks)
        events: list[Sensed] = [self._passage(now, verdict) for verdict in verdicts]
        if verdicts[-1][0] == verdicts[-1][1] != 0:
            self._people.passed(outer, inner)
        if verdicts[-1][2] in ("", "abreast"):
            self._people.walked(outer, inner)
        events += self._count_alone(self.outer, self.inner, now)
        events += self._count_alone(self.inner, self.outer, now)
        self.outer.changes, self.inner.changes = [], []
        self.outer.blinks, self.inner.blinks = [], []
        self._clear_ms = inf
        return events + self._doorway(now, 0)

    def _count_alone(self, beam: Beam, mate: Beam, now: float) -> list[Sensed]:
        """Report a mate as dead that missed several bodies in a row, and those as uncertain."""
        if mate.changes or mate.distrusted() or not beam.changes:
            beam.alone = 0
            return []
        lasted_ms = beam.changes[-1] - beam.changes[0]
        body = BODY_MS[0] <= lasted_ms <= BODY_MS[1]
        if not body or self._shut_since(beam.changes[0]):
            return []
        sways = abs(lasted_ms - beam.alone_ms) <= SWAY_PART * lasted_ms
        beam.alone_ms = lasted_ms
        if sways:  # the same body once more, that stands beside the beam
            return []
        beam.alone += 1
        if beam.alone < DEAD_AFTER:
            return []
        missed, beam.alone, mate.dead = beam.alone, 0, True
        fault = Fault(now, "BeamDead", mate.line, True)
        return [fault, self._passage(now, (-missed, missed, "beam_dead"))]

    def _shut_since(self, t_ms: float) -> bool:
        return self._door_wired and not self._door_open and self._door_moved_ms < t_ms

    def _passage(self, now: float, verdict: Verdict, began: float | None = None) -> Passage:
        """Return a verdict as an event; nobody passes a door that was shut all the time."""
        outer, inner = self.outer.changes, self.inner.changes
        least, most, why = verdict
        if self._door_wired and not self._door_open and (least or most):
            since_ms = min(outer[:1] + inner[:1], default=now) if began is None else began
            if self._door_moved_ms < since_ms:
                least, most, why = 0, 0, "phantom"
        return Passage(now, least, most, why, broken_ms(outer), broken_ms(inner))
