"""The state's own copy, on which every rule works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.events import Contact
from controller.rules.occupancy import settled
from controller.rules.state import RuleSettings, State, changed, draft, redraft
from controller.rules.step import step


def test_a_changed_state_is_what_replace_would_give_and_leaves_the_old_one_alone() -> None:
    old = State(t_ms=5.0)
    new = changed(old, occupancy=settled(3), busy=True)
    assert new == replace(old, occupancy=settled(3), busy=True)
    assert old == State(t_ms=5.0)


def test_a_field_that_state_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="State has no field ocupancy"):
        changed(State(), ocupancy=settled(3))


def test_a_draft_is_changed_in_place_and_never_what_it_was_drawn_from() -> None:
    old = State(t_ms=5.0, busy=True)
    new = draft(old, 6.0)
    redraft(new, {"occupancy": settled(2), "busy": False})
    assert new == State(t_ms=6.0, occupancy=settled(2))
    assert old == State(t_ms=5.0, busy=True)


def test_a_step_leaves_the_state_before_it_alone() -> None:
    old = State(door="Closed")
    kept = replace(old)
    new, _ = step(old, Contact(9.0, "door_contact", active=True), RuleSettings())
    assert (old, new.door, new.t_ms) == (kept, "Open", 9.0)
