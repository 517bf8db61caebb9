"""Whether a state that comes from a disk can have been: types are right, but do the numbers fit?

No rule makes such numbers, and none is written to bear them: a session that begins tomorrow, or a
mark of minus five.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.rules.occupancy import MOST_PEOPLE
from controller.rules.state import UNDO_MS, State

#: House time runs since the first start; a hundred years of it are none.
LAST_MS = 3.2e12
#: No timer runs longer than this.
LONGEST_TIMER_MS = 7 * 24 * 3_600_000.0
#: More marks than a session that nobody ends has in all that time, at one a minute.
MOST_MARKS = int(LAST_MS / 60_000) + 100
#: Knocks that can wait at a hatch where nobody ever answers.
MOST_WAITING = 100_000


def problem(state: State) -> str:
    """Return the first field with a number that can't be, or "" where all can be."""
    if not 0 <= state.t_ms <= LAST_MS:
        return "t_ms"
    return next((name for name, holds in _laws(state) if not holds), "")


def _laws(state: State) -> Iterator[tuple[str, bool]]:
    yield "coming_in", 0 <= state.coming_in <= MOST_PEOPLE
    yield "exit_asked_ms", _was(state, state.exit_asked_ms or 0.0)
    yield "hatch_knock_ms", _was(state, state.hatch_knock_ms)
    yield "hatch_waiting", len(state.hatch_waiting) <= MOST_WAITING
    yield "hatch_waiting", all(_was(state, since_ms) for since_ms in state.hatch_waiting)
    yield "faults", all(_was(state, fault.since_ms) for fault in state.faults)
    yield "timers", all(0 <= (at or 0.0) <= state.t_ms + LONGEST_TIMER_MS
                        for at in state.timers.values())  # fmt: skip
    yield "undos", all(0 <= undo.until_ms <= state.t_ms + UNDO_MS for undo in state.undos)
    yield "undos", all(_few(undo.party) for undo in state.undos)
    if state.door_knock is not None:
        yield "door_knock", _was(state, state.door_knock.t_ms)
    if state.session is not None:
        yield "session", _was(state, state.session.started_ms)
        yield "session", 0 <= state.session.next_mark <= MOST_MARKS
    if state.grant is not None:
        grant = state.grant
        yield "grant", 1 <= grant.party <= MOST_PEOPLE
        yield "grant", all(map(_few, (grant.entered, grant.counted, grant.most)))
    if state.question is not None:
        yield "question", _was(state, state.question.since_ms)
        yield "question", all(map(_few, (state.question.expected, state.question.seen)))
        yield "question", all(map(_few, state.question.answers))


def _was(state: State, t_ms: float) -> bool:
    """Return whether this house time is one that has been."""
    return 0 <= t_ms <= state.t_ms


def _few(people: int) -> bool:
    """Return whether a doorway can have seen so many, in or out, in one session."""
    return -10 * MOST_PEOPLE <= people <= 10 * MOST_PEOPLE
