"""The truth behind the beams: who is really inside, walked beside what the house believes.

People who come or go side by side are one body to the beams, so of k people any number of bodies
from 1 to k is seen; a bag may be seen as one more. Nobody comes in who was not let in by a release.
"""

from __future__ import annotations

from msgspec import structs

from controller.events import Command, Event, Passage, Started
from controller.rules.state import RuleSettings, State
from tests.tools.model.space import Move

#: Fewer came in than bodies were seen: no answer says that, only ``set_count`` can.
FEWER = -1000


class Peopled(State):
    """A state, and how many are ``really`` inside.

    Of the open release ``came`` in, ``since`` the count was set last; of the releases that the open
    question is about ``asked``.
    """

    really: int = 0
    came: int = 0
    since: int = 0
    asked: int = 0


def remembered(state: Peopled) -> Peopled:
    """Return a state with what a person would remember at the end of a release."""
    question = state.question
    if question is None:
        state = structs.replace(state, asked=0)
    elif question.id and state.asked != FEWER:  # asked in this step: only then it has its name
        state = structs.replace(state, asked=state.asked + state.since)
    if state.grant is None:
        state = structs.replace(state, came=0, since=0)
    if state.question is not None:
        least = state.question.answers[0]
        asked = state.asked - least
        state = structs.replace(state, asked=asked if asked >= 0 else FEWER)
    return state


def _come_in(people: int, least: int, most: int) -> Move:
    def move(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
        assert isinstance(state, Peopled)
        grant = state.grant
        if grant is None or state.came + people > grant.party:
            return None
        if settings.sees_door and state.door != "Open":
            return None
        after = structs.replace(
            state,
            really=state.really + people,
            came=state.came + people,
            since=state.since + people,
        )
        return after, Passage(0.0, least, most, "x")

    return move


def _leave(people: int, bodies: int) -> Move:
    def move(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
        assert isinstance(state, Peopled)
        if state.really < people:
            return None
        after = structs.replace(state, really=state.really - people)
        return after, Passage(0.0, -bodies, -bodies, "x")

    return move


def _count(state: State, settings: RuleSettings) -> tuple[State, Event]:
    """Somebody looks into the room and says how many there are."""
    assert isinstance(state, Peopled)
    return structs.replace(state, since=0), Command(0.0, "set_count", state.really, id="x")


def _answer(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Somebody remembers how many came in."""
    assert isinstance(state, Peopled)
    if state.question is None or state.asked == FEWER:
        return None
    return state, Command(0.0, "answer_question", state.asked, id="x")


def _restart(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Restart unnoticed: the door was shut all the while."""
    return (state, Started(0.0, doubt=False)) if state.door == "Closed" else None


def people(settings: RuleSettings) -> dict[str, Move]:
    """Return all that people can do at a door whose beams take several for one."""
    moves: dict[str, Move] = {
        "the true count": _count,
        "the true answer": _answer,
        "unnoticed restart": _restart,
    }
    for k in range(1, settings.capacity + 1):
        for bodies in range(1, k + 1):
            moves[f"{k} come in as {bodies}"] = _come_in(k, bodies, bodies)
            moves[f"{k} leave as {bodies}"] = _leave(k, bodies)
    for k in range(3):
        moves[f"{k} come in, perhaps"] = _come_in(k, 0, 1)
    for k in (1, 2):
        moves[f"{k} come in as one or two"] = _come_in(k, 1, 2)
    moves["a bag is taken for a guest"] = _come_in(0, 1, 1)
    return moves
