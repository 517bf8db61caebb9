"""A small driver for the rules: give it events, look at the effects."""

from __future__ import annotations

from dataclasses import replace

from controller.events import (
    EVENTS,
    Answer,
    Chime,
    Command,
    Contact,
    Doorway,
    Effect,
    Event,
    Knock,
    Note,
    Opening,
    Passage,
    Reason,
    Set,
    Tick,
)
from controller.rules.state import RuleSettings, State, deadline, wanted
from controller.rules.step import step


class Room:
    """One house in virtual time; every method returns the effects of its event."""

    def __init__(self, **numbers: object) -> None:
        self.settings = replace(RuleSettings(), **numbers)  # type: ignore[arg-type]
        self.state = State()
        self.now_ms = 0.0
        self.outputs = {line: out.level for line, out in wanted(self.state, self.settings).items()}
        self.all: list[Effect] = []

    def step(self, event: Event) -> list[Effect]:
        self.state, effects = step(self.state, event, self.settings)
        for effect in effects:
            assert not isinstance(effect, Note) or effect.name in EVENTS
            if isinstance(effect, Set):
                self.outputs[effect.line] = effect.level
        self.all += effects
        return list(effects)

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass, with a Tick at every deadline on the way."""
        effects: list[Effect] = []
        end_ms = self.now_ms + seconds * 1000
        while (due := deadline(self.state, self.settings)) is not None and due <= end_ms:
            self.now_ms = max(due, self.now_ms)
            effects += self.step(Tick(self.now_ms))
            after = deadline(self.state, self.settings)
            assert after is None or after > due or self.state.session, "a deadline must be consumed"
        self.now_ms = end_ms
        return effects

    def passes(self, least: int, most: int | None = None) -> list[Effect]:
        return self.step(Passage(self.now_ms, least, least if most is None else most))

    def doorway(self, coming_in: int, busy: bool = True) -> list[Effect]:
        return self.step(Doorway(self.now_ms, busy, coming_in))

    def door(self, is_open: bool) -> list[Effect]:
        return self.contact("door_contact", is_open)

    def door_opening(self, active: bool) -> list[Effect]:
        return self.step(Opening(self.now_ms, active))

    def contact(self, line: str, active: bool) -> list[Effect]:
        return self.step(Contact(self.now_ms, line, active))

    def knock(self, place: str = "hatch", raps: int = 2) -> list[Effect]:
        return self.step(Knock(self.now_ms, place, raps))

    def command(self, name: str, number: int | None = None) -> Reason | None:
        """Ask for something; return the reason why not, or None when it was done."""
        effects = self.step(Command(self.now_ms, name, number, id="x", cause="page"))
        (answer,) = [effect for effect in effects if isinstance(effect, Answer)]
        assert answer.ok == (answer.reason is None)
        return answer.reason

    def inside(self, count: int) -> None:
        """Bring the count to ``count`` by people walking in."""
        for _ in range(count):
            self.passes(1)

    @property
    def strike(self) -> bool:
        return self.outputs["strike"]


def names(effects: list[Effect]) -> list[str]:
    """Return the names of the notes."""
    return [effect.name for effect in effects if isinstance(effect, Note)]


def tones(effects: list[Effect]) -> list[str]:
    """Return the tones that were rung."""
    return [effect.tone for effect in effects if isinstance(effect, Chime)]


def note(effects: list[Effect], name: str) -> dict[str, object]:
    """Return the data of the one note called ``name``."""
    (found,) = [e for e in effects if isinstance(e, Note) and e.name == name]
    return dict(found.data)
