"""The state belongs to whoever holds it: a step works on a copy of its own."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from controller.events import Event, Tick
from controller.rules.state import RuleSettings, State, deadline
from controller.rules.step import step
from tests.tools.model.alphabet import all_moves

SETTINGS = RuleSettings()
MOVES = all_moves(SETTINGS)
TIME = "time reaches the next deadline"


def moved(name: str, state: State) -> tuple[State, Event] | None:
    """Return the state in which a move happens, and its event; None when it can't happen."""
    if name != TIME:
        return MOVES[name](state, SETTINGS)
    due_ms = deadline(state, SETTINGS)
    return None if due_ms is None else (state, Tick(due_ms))


@given(st.lists(st.just(TIME) | st.sampled_from(sorted(MOVES)), min_size=1, max_size=40))
def test_step_never_changes_its_input_state(names: list[str]) -> None:
    state = State()
    inputs: list[tuple[State, State]] = []
    for name in names:
        move = moved(name, state)
        if move is not None:
            before, event = move
            inputs.append((before, deepcopy(before)))
            state, _ = step(before, event, SETTINGS)
            assert state is not before
    for before, as_it_was in inputs:
        assert before == as_it_was
