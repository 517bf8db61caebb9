"""The truth behind the beams: who is really inside, walked beside what the house believes.

People who come or go side by side are one body to the beams, so of k people any number of bodies
from 1 to k is seen; a bag may be seen as one more. Nobody comes in who was not let in by a release:
while it is open, or through a door that began to open while its strike was on.
"""

from __future__ import annotations

from msgspec import structs

from controller.events import Command, Event, Opening, Passage, Started
from controller.rules.occupancy import settled
from controller.rules.state import RuleSettings, State, strike_on
from tests.tools.model.space import JUST_COUNTED, Move

#: Fewer came in than bodies were seen: no answer says that, only ``set_count`` can.
FEWER = -1000
#: As many came in as no release is open.
NOBODY_COMES = -1
#: What a question is called that stands again; in a state that is kept it has no name.
PUT_BACK = "b"


class Peopled(State):
    """A state, and how many are ``really`` inside.

    Of the open release ``came`` in, ``since`` the count was set last; of the releases that the open
    question is about ``asked``; of the release that was counted last ``before``. ``held``: so many
    may come in by the door that they began to open in time. ``wrong`` while a count stands that
    somebody tapped by mistake and will take back.
    """

    really: int = 0
    came: int = 0
    since: int = 0
    asked: int = 0
    before: int = 0
    held: int = 0
    wrong: bool = False


def remembered(state: Peopled) -> Peopled:
    """Return a state with what a person would remember at the end of a release."""
    if state.door != "Open" and not state.door_opening:
        state = structs.replace(state, held=0)
    believed = state.undos[0].before if state.wrong and state.undos else state
    question = believed.question
    if question is None:
        state = structs.replace(state, asked=0)
    elif question.id not in ("", PUT_BACK) and state.asked != FEWER:  # asked in this step
        state = structs.replace(state, asked=state.asked + state.since)
    if believed.grant is not None:
        state = structs.replace(state, came=max(state.came, 0))
    elif state.came != NOBODY_COMES:
        counted = bool(state.undos) and state.undos[0].id == JUST_COUNTED
        before = state.came if counted else state.before
        state = structs.replace(state, came=NOBODY_COMES, since=0, before=before)
    if not any(undo.party for undo in state.undos):
        state = structs.replace(state, before=0)
    if question is not None:
        least = question.answers[0]
        asked = state.asked - least
        state = structs.replace(state, asked=asked if asked >= 0 else FEWER)
    return state


def _come_in(people: int, least: int, most: int) -> Move:
    def move(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
        assert isinstance(state, Peopled)
        grant, coming = state.grant, state.held or NOBODY_COMES
        if people > (coming if grant is None else grant.party - state.came):
            return None
        if settings.sees_door and state.door != "Open":
            return None
        after = structs.replace(
            state,
            really=state.really + people,
            came=state.came + people,
            since=state.since + people,
            held=max(state.held - people, 0),
        )
        return after, Passage(0.0, least, most, "x")

    return move


def _open_in_time(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Somebody pulls the door while the strike is on; its contact has not settled yet."""
    assert isinstance(state, Peopled)
    grant = state.grant
    if grant is None or state.door != "Closed" or not strike_on(state, settings):
        return None
    held = grant.party - state.came
    return structs.replace(state, held=held), Opening(0.0, active=True)


def _leave(people: int, bodies: int) -> Move:
    def move(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
        assert isinstance(state, Peopled)
        if state.really < people:
            return None
        after = structs.replace(state, really=state.really - people)
        return after, Passage(0.0, -bodies, -bodies, "x")

    return move


def _count(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Somebody looks into the room and says how many there are; a wrong tap is taken back first."""
    assert isinstance(state, Peopled)
    if state.wrong:
        return None
    return structs.replace(state, since=0), Command(0.0, "set_count", state.really, id="x")


def _wrong(command: Command) -> Move:
    """Somebody taps a wrong number, and takes it back before long."""

    def move(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
        assert isinstance(state, Peopled)
        if state.wrong or state.occupancy == settled(command.number or 0):
            return None
        return structs.replace(state, wrong=True), command

    return move


def _undo(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Take back what was tapped last, rightly or wrongly."""
    assert isinstance(state, Peopled)
    if not state.undos:
        return None
    command = Command(0.0, "undo", id="u")
    if state.undos[0].party and state.asked != FEWER:
        asked = state.asked + state.before - state.since  # `remembered` adds those of this release
        return structs.replace(state, asked=asked), command
    if state.undos[0].party:
        return state, command
    # A true word that is taken back: the question stands again, and nobody remembers its answer.
    if not state.wrong:
        state = structs.replace(state, asked=FEWER, since=FEWER)
    return structs.replace(state, wrong=False), command


def lost(state: State) -> bool:
    """Return whether a count is wrong and can't be taken back: there the truth can't be known."""
    wrong = isinstance(state, Peopled) and state.wrong
    return wrong and not any(undo.command in WRONG for undo in state.undos)


WRONG = ("set_count", "room_empty")


def _answer(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Somebody remembers how many came in."""
    assert isinstance(state, Peopled)
    if state.question is None or state.asked == FEWER or state.wrong:
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


def taps(settings: RuleSettings) -> dict[str, Move]:
    """Return what people tap by mistake, and how they take it back."""
    wrong = {
        f"wrong count {n}": _wrong(Command(0.0, "set_count", n, id="x"))
        for n in range(settings.capacity + 2)
    }
    empty = _wrong(Command(0.0, "room_empty", id="x"))
    return wrong | {"wrongly empty": empty, "undo": _undo}


#: The last moment of a release, where a contact sees the door.
IN_TIME: dict[str, Move] = {"the door begins to open in time": _open_in_time}
