"""What may happen: every kind of event, by name, as moves of the walk."""

from __future__ import annotations

from collections.abc import Iterable

from controller.events import (
    SWITCHES,
    Command,
    Contact,
    Doorway,
    Event,
    Fault,
    Knock,
    KnockEnded,
    Opening,
    Passage,
    Reason,
    Started,
)
from controller.rules.state import RuleSettings, State
from controller.rules.step import TIMERS
from tests.tools.model.space import (
    LET_IN,
    Move,
    exit_grows_old,
    knock_grows_old,
    next_mark,
    ring,
    undos_grow_old,
)


def _happens(event: Event) -> Move:
    def move(state: State, settings: RuleSettings) -> tuple[State, Event]:
        return state, event

    return move


def passages(*spans: tuple[int, int]) -> dict[str, Move]:
    """Verdicts of the beams."""
    return {f"passage {low}..{high}": _happens(Passage(0.0, low, high, "x")) for low, high in spans}


CLEAR = passages((1, 1), (-1, -1))
AMBIGUOUS = passages((0, 0), (0, 1), (-1, 0), (-1, 1), (1, 2), (-2, -1))
DOORWAY: dict[str, Move] = {
    "doorway clear": _happens(Doorway(0.0, busy=False)),
    "doorway busy": _happens(Doorway(0.0, busy=True)),
    "one coming in": _happens(Doorway(0.0, busy=True, coming_in=1)),
    "two coming in": _happens(Doorway(0.0, busy=True, coming_in=2)),
}


OPENING_ENDS: dict[str, Move] = {"door is still": _happens(Opening(0.0, active=False))}
OPENING = OPENING_ENDS | {"door may be opening": _happens(Opening(0.0, active=True))}


def contacts(*lines: str) -> dict[str, Move]:
    """Both levels of each switch."""
    return {
        f"{line} {'on' if active else 'off'}": _happens(Contact(0.0, line, active))
        for line in lines
        for active in (False, True)
    }


def command(name: str, *numbers: int | None, refusal: Reason | None = None) -> dict[str, Move]:
    """One command, with each of the numbers."""
    return {
        f"{name} {'' if number is None else number}".strip(): _happens(
            Command(0.0, name, number, id="x", refusal=refusal)
        )
        for number in numbers or (None,)
    }


def commands(*names: str) -> dict[str, Move]:
    """Commands that take no number."""
    return {name: move for each in names for name, move in command(each).items()}


def releases(settings: RuleSettings) -> dict[str, Move]:
    """A release for every party that could fit, none, and one too many."""
    return command("access_door", *range(settings.capacity + 2))


def counts(settings: RuleSettings) -> dict[str, Move]:
    """The bartender's word on every count that is walked, and on one that makes no sense."""
    return command("set_count", *range(settings.capacity + 2), -1) | commands("room_empty")


def _answer(number: int) -> Move:
    def move(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
        readings = () if state.question is None else state.question.readings
        if number >= len(readings):
            return None
        return state, Command(0.0, "answer_question", readings[number].came, id="x")

    return move


def answers(settings: RuleSettings) -> dict[str, Move]:
    """Each answer to the open question, one that is not possible, and one to another question."""
    return {f"answer no. {n}": _answer(n) for n in range(settings.capacity + 2)} | {
        "answer nonsense": _happens(Command(0.0, "answer_question", -1, id="x")),
        "answer too late": _happens(Command(0.0, "answer_question", 1, id="x", question="other")),
    }


RESTARTS: dict[str, Move] = {
    "restart": _happens(Started(0.0, doubt=False)),
    "restart in doubt": _happens(Started(0.0, doubt=True)),
}
LOCKS = commands(
    "block_door", "unblock_door", "lock_down", "lock_down_release", "lock_open", "lock_open_release"
)
KNOCKS: dict[str, Move] = {
    f"{kind.__name__} {place}": _happens(kind(0.0, place, 2))
    for kind in (Knock, KnockEnded)
    for place in ("hatch", "door")
}
NONSENSE = command("open_sesame") | command("access_door", 9, refusal=Reason.STALE_COMMAND)


def faults(*names: str) -> dict[str, Move]:
    """A sensor's trouble, beginning and ending."""
    return {
        f"{name} {'begins' if active else 'ends'}": _happens(Fault(0.0, name, "beam_outer", active))
        for name in names
        for active in (True, False)
    }


def rings(timers: Iterable[str]) -> dict[str, Move]:
    """Each timer's ringing."""
    return {f"{timer} rings": ring(timer) for timer in sorted(timers)}


MARKS: dict[str, Move] = {"session mark": next_mark}
UNDO: dict[str, Move] = {
    "undo the newest": _happens(Command(0.0, "undo", id="u")),
    "undo the one before": _happens(Command(0.0, "undo", 1, id="u")),
    "undo the release": _happens(Command(0.0, "undo", id="u", undoes=LET_IN)),
    "undo nothing": _happens(Command(0.0, "undo", id="u", undoes="something else")),
    "undos grow old": undos_grow_old,
}
EXIT_GROWS_OLD: dict[str, Move] = {"exit press grows old": exit_grows_old}
KNOCK_GROWS_OLD: dict[str, Move] = {"knock grows old": knock_grows_old}


def all_moves(settings: RuleSettings) -> dict[str, Move]:
    """The whole alphabet."""
    switches = contacts(*SWITCHES)
    others = commands("staff_pass", "answer_hatch", "answer_door", "self_test", "release_cancel")
    sensors = CLEAR | AMBIGUOUS | DOORWAY | OPENING | KNOCKS | faults("BeamDead")
    time = rings(TIMERS) | MARKS | EXIT_GROWS_OLD | KNOCK_GROWS_OLD
    asked = releases(settings) | counts(settings) | answers(settings) | LOCKS | others | NONSENSE
    return sensors | switches | asked | RESTARTS | time | UNDO
