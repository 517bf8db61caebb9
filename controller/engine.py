"""Sensing and rules joined: edges and commands in, timed effects out.

`service` feeds it in real time and `replay` in virtual time, so both do the same. It owns the order
of deadlines: whatever is due before an edge happens before that edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from controller.events import CHIME_MS, Chime, Edge, Effect, Event, Note, Set, Tick
from controller.rules.state import RuleSettings, State, deadline, wanted
from controller.rules.step import step
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings

#: More wake-ups than this at one single time are a bug: a deadline that nobody consumes.
STANDSTILL = 1000

TimedEffects = list[tuple[float, Effect]]


class Engine:
    """One house; each method returns ``(t_ms, effect)`` pairs in the order in which they arose."""

    def __init__(
        self, rules: RuleSettings, sensing: SensingSettings, state: State | None = None
    ) -> None:
        self.settings = rules
        self.state = State() if state is None else state
        self._senses = Senses(sensing, rules.lines)
        self._now_ms = self.state.t_ms
        self._rules_due = self._due = inf
        self._plan()

    def active_outputs(self) -> TimedEffects:
        """Return the outputs that are on in this state: at a start all pins are off."""
        outputs = wanted(self.state, self.settings).values()
        return [(self._now_ms, output) for output in outputs if output.level]

    def deadline(self) -> float | None:
        """Return when `advance` is needed next."""
        return None if self._due == inf else self._due

    def advance(self, t_ms: float) -> TimedEffects:
        """Do everything that is due up to ``t_ms``; RuntimeError when a deadline never ends."""
        effects: TimedEffects = []
        rounds = 0
        while (due := self._due) <= t_ms:
            rounds = rounds + 1 if due == self._now_ms else 0
            if rounds > STANDSTILL:
                raise RuntimeError(f"no progress at {due} ms: a deadline is not consumed")
            self._wake(due if due > self._now_ms else self._now_ms, effects)
        return effects

    def edge(self, edge: Edge) -> TimedEffects:
        """Take one edge; one that is older than the last event is taken as happening now."""
        t_ms = edge.t_ms
        if t_ms < self._now_ms:
            t_ms = self._now_ms
            edge = Edge(t_ms, edge.line, edge.level, resync=True)
        effects = self.advance(t_ms) if self._due <= t_ms else []
        self._now_ms = t_ms
        events = self._senses.edge(edge)
        if events:
            self._take(events, effects)
        if self._senses.due < self._due:
            self._due = self._senses.due
        return effects

    def event(self, event: Event) -> TimedEffects:
        """Take a command, or anything else that is not an edge."""
        effects = self.advance(event.t_ms)
        self._now_ms = max(self._now_ms, event.t_ms)
        self._take((event,), effects)
        return effects

    def _wake(self, t_ms: float, effects: TimedEffects) -> None:
        self._now_ms = t_ms
        if self._senses.due <= t_ms:
            events = self._senses.tick(t_ms)
            if events:
                self._take(events, effects)
        if self._rules_due <= t_ms:
            self._take((Tick(t_ms),), effects)
        self._due = min(self._senses.due, self._rules_due)

    def _take(self, events: Iterable[Event], effects: TimedEffects) -> None:
        for event in events:
            self.state, caused = step(self.state, event, self.settings)
            for effect in caused:
                effects.append((self.state.t_ms, effect))
                if not isinstance(effect, Note):
                    self._mute_knocks(effect)
        self._plan()

    def _plan(self) -> None:
        due = deadline(self.state, self.settings)
        self._rules_due = inf if due is None else due
        self._due = min(self._senses.due, self._rules_due)

    def _mute_knocks(self, effect: Effect) -> None:
        """Mute the knock sensors while the strike or the chime sounds: they would hear it."""
        if isinstance(effect, Chime):
            self._senses.mute_knocks(self.state.t_ms, CHIME_MS[effect.tone])
        elif isinstance(effect, Set) and effect.line == "strike":
            self._senses.mute_knocks(self.state.t_ms)
