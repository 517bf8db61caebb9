"""States from a disk: whatever the rules make is one, a number that cannot be is named."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from controller.rules.plausible import LAST_MS, LONGEST_TIMER_MS, problem
from controller.rules.question import Question, Reading
from controller.rules.state import (
    UNDO_MS,
    ActiveFault,
    DoorKnock,
    Grant,
    Session,
    State,
    Undo,
)

DAY_MS = 86_400_000.0


def asked(**fields: Any) -> Question:
    return replace(Question("1", 2, 1, 5.0, ()), **fields)


def at_work(**fields: Any) -> State:
    """A state in the middle of an evening, with these fields changed."""
    usual: dict[str, Any] = {
        "t_ms": DAY_MS,
        "coming_in": 1,
        "grant": Grant(2),
        "question": asked(),
        "exit_asked_ms": DAY_MS,
        "session": Session(DAY_MS - 5.0, 2),
        "hatch_waiting": (1.0, DAY_MS),
        "hatch_knock_ms": DAY_MS,
        "door_knock": DoorKnock(DAY_MS, 3),
        "faults": (ActiveFault("BeamStuck", "beam_outer", 0.0),),
        "timers": {"release": DAY_MS + 5000, "bolt": None},
        "undos": (Undo("a", "access_door", DAY_MS + UNDO_MS, State(), 2),),
    }
    return State(**usual | fields)


def test_usual_states_have_no_problem() -> None:
    assert problem(State()) == ""
    assert problem(at_work()) == ""
    assert problem(at_work(session=None, grant=None, question=None, door_knock=None)) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("t_ms", -1.0),
        ("t_ms", nan),
        ("t_ms", inf),
        ("t_ms", 2 * LAST_MS),
        ("coming_in", -1),
        ("undos", (Undo("a", "set_count", DAY_MS + UNDO_MS + 1, State()),)),
        ("undos", (Undo("a", "set_count", -1.0, State()),)),
        ("undos", (Undo("a", "access_door", DAY_MS, State(), 1000),)),
        ("coming_in", 100),
        ("exit_asked_ms", DAY_MS + 1),
        ("hatch_knock_ms", -1.0),
        ("hatch_waiting", (DAY_MS + 1,)),
        ("hatch_waiting", (nan,)),
        ("hatch_waiting", (0.0,) * 100_001),
        ("faults", (ActiveFault("BeamStuck", "beam_outer", -1.0),)),
        ("timers", {"release": -1.0}),
        ("timers", {"release": DAY_MS + LONGEST_TIMER_MS + 1}),
        ("timers", {"release": nan}),
        ("door_knock", DoorKnock(DAY_MS + 1, 1)),
        ("session", Session(DAY_MS + 1)),
        ("session", Session(-DAY_MS)),
        ("session", Session(0.0, -5)),
        ("session", Session(0.0, 10**9)),
        ("grant", Grant(0)),
        ("grant", Grant(100)),
        ("grant", Grant(1, entered=10**6)),
        ("grant", Grant(1, most=-(10**6))),
        ("question", asked(since_ms=DAY_MS + 1)),
        ("question", asked(expected=10**6)),
        ("question", asked(readings=(Reading(10**6, State().occupancy),))),
    ],
)
def test_number_that_cannot_be_is_named(name: str, value: Any) -> None:
    assert problem(at_work(**{name: value})) == name
