"""The state's own copy, on which every rule works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.occupancy import settled
from controller.state import State, changed


def test_a_changed_state_is_what_replace_would_give_and_leaves_the_old_one_alone() -> None:
    old = State(t_ms=5.0)
    new = changed(old, occupancy=settled(3), busy=True)
    assert new == replace(old, occupancy=settled(3), busy=True)
    assert old == State(t_ms=5.0)


def test_a_field_that_state_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="State has no field ocupancy"):
        changed(State(), ocupancy=settled(3))
