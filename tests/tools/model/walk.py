"""The walk: breadth first from an empty house, so the first way to a broken law is the shortest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from controller.events import Effect, Event
from controller.rules.state import RuleSettings, State
from controller.rules.step import step
from tests.tools.model import laws
from tests.tools.model.space import Forget, Move, beyond, exactly, key, normal
from tests.tools.model.truth import lost


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the house with one set of numbers; ``forget`` drops what it leaves out."""

    name: str
    settings: RuleSettings
    moves: Mapping[str, Move]
    forget: Forget
    #: Where the walk begins: an empty house.
    start: State = field(default_factory=State)
    #: Where to stop though not all is seen; None walks to the end.
    most_steps: int | None = None


@dataclass(slots=True)
class Walked:
    """What was seen; ``ways`` are the shortest ways to broken laws."""

    states: int = 0
    steps: int = 0
    beyond: int = 0
    ways: list[str] = field(default_factory=list)


class Walk:
    """One walk over one slice."""

    def __init__(
        self,
        part: Slice,
        step: Callable[[State, Event, RuleSettings], tuple[State, tuple[Effect, ...]]] = step,
    ) -> None:
        self.seen = Walked()
        self._part = part
        self._step = step
        self._came: dict[Hashable, tuple[Hashable, str] | None] = {}
        self._next: deque[tuple[Hashable, State]] = deque()
        self._raw: set[Hashable] = set()  # states before `normal`, which costs more than a look

    def run(self, most_steps: int | None = None) -> Walked:
        """Walk until all is seen, a law is broken, or ``most_steps`` are done."""
        start = self._part.forget(normal(self._part.start, self._part.settings))
        self._meet(start, None)
        while self._next and not self.seen.ways:
            if most_steps is not None and self.seen.steps >= most_steps:
                break
            self._leave(*self._next.popleft())
        return self.seen

    def _leave(self, here: Hashable, state: State) -> None:
        settings = self._part.settings
        for label, move in self._part.moves.items():
            moved = move(state, settings)
            if moved is None:
                continue
            before, event = moved
            after, effects = self._step(before, event, settings)
            self.seen.steps += 1
            problems = laws.broken(
                laws.OF_STEPS, laws.Step(before, event, after, effects), settings
            )
            if problems:
                self._fail(problems, (here, label))
                return
            raw = exactly(after)
            if raw not in self._raw:
                self._raw.add(raw)
                self._arrive(after, (here, label))

    def _arrive(self, after: State, came: tuple[Hashable, str]) -> None:
        settings = self._part.settings
        if beyond(after, settings) or lost(after):
            self.seen.beyond += 1
            self._check(after, came)
            return
        self._meet(self._part.forget(normal(after, settings)), came, after)

    def _meet(
        self, state: State, came: tuple[Hashable, str] | None, raw: State | None = None
    ) -> None:
        name = key(state)
        if name in self._came:
            return
        self._came[name] = came
        self.seen.states += 1
        if raw is not None:
            self._check(raw, came)
        self._next.append((name, state))

    def _check(self, state: State, came: tuple[Hashable, str] | None) -> None:
        problems = laws.broken(laws.OF_STATES, state, self._part.settings)
        if problems:
            self._fail(problems, came)

    def _fail(self, problems: list[str], came: tuple[Hashable, str] | None) -> None:
        way = []
        while came is not None:
            here, label = came
            way.append(label)
            came = self._came[here]
        steps = "\n".join(f"  {n}. {label}" for n, label in enumerate(reversed(way), 1))
        self.seen.ways.append(f"{self._part.name}: {'; '.join(problems)}\n{steps}")
