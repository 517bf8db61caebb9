"""Words for reasons, faults, events and lengths of time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import controller
from web.presentation.labels import (
    CAUSES,
    COMMANDS_DONE,
    EVENT_PLURALS,
    EVENT_WORDS,
    REASONS,
    command_words,
    event_words,
    fault_words,
    reason_words,
    span,
)

from controller.events import COMMANDS, EVENTS, Reason  # isort: skip
from controller.mqtt import inbox  # isort: skip
from controller.rules.transition import UNDOABLE  # isort: skip

pytestmark = pytest.mark.usefixtures("english")


def test_labels_for_every_reason_of_the_controller() -> None:
    assert {str(reason.value) for reason in Reason} <= set(REASONS)
    assert reason_words("SomethingNew") == "SomethingNew"
    assert reason_words(None) == "no reason given"
    assert fault_words("BrokerDown", "mqtt") == "no connection to the house (network)"
    ahead = fault_words("ClockDiffers", "homeassistant", 35.2)
    assert ahead == "clocks differ (Home Assistant: 35 s ahead of ours)"
    assert fault_words("ClockDiffers", "mqtt", -90) == "clocks differ (network: 1 min behind ours)"


def test_labels_for_every_event_of_the_evening() -> None:
    of_several = r"(knock|question_asked|question_ended)_(hatch|door|party|came|everybody_left)"
    named = {re.sub(of_several, r"\1", name) for name in (*EVENT_WORDS, *EVENT_PLURALS)}
    assert set(EVENTS) - named == {"output", "chime"}


def test_labels_for_every_cause_that_the_controller_can_name() -> None:
    """Causes are plain text in the messages: whatever the source names must have its words."""
    named = set(inbox.CAUSES)
    for path in Path(controller.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named |= set(_causes(node))
    assert {"page", "button", "evacuate", "terminal", "trace", "self-test", "mqtt"} <= named
    assert named - set(CAUSES) == set()


def _causes(node: ast.AST) -> Iterator[str]:
    """Return the causes that this piece of the controller names, by keyword or as a default."""
    if isinstance(node, ast.keyword) and node.arg == "cause":
        yield from _strings(node.value)
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "cause" and node.value:
        yield from _strings(node.value)
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".recount", ".settle")):
        yield from _strings(node.args[-1])


def _strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
            yield part.value


def test_labels_for_every_command_that_can_be_taken_back() -> None:
    assert set(UNDOABLE) <= set(COMMANDS_DONE) <= set(COMMANDS)
    assert command_words("something_new") == "something new"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (-4320, "1 h 12 min"),
    ],
)
def test_span_of_each_length(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("entry", {"count": 3}, "One came in: 3 inside"),
        ("knock", {"place": "hatch", "raps": 2}, "Knock at the hatch"),
        ("knock", {"place": "door", "raps": 2}, "Knock at the front door"),
        ("access_granted", {"party": 2, "cause": "page"}, "Let in 2, from the page"),
        ("access_denied", {"reason": "CapacityReached", "cause": "button"},
         "Not let in: the room is full, by the button"),
        ("access_taken", {"expected": 2, "entered": 1}, "1 of 2 came in"),
        ("count_adjusted", {"after": {"count": 2, "min": 2, "max": 4}, "cause": "release"},
         "Count set to 2–4, by what was let in"),
        ("access_denied", {"reason": "CountUncertain", "question": {"expected": 4, "seen": 2}},
         "Not let in: say first how many came in (let in 4, saw 2)"),
        ("tailgating", {"expected": 2, "entered": 3}, "3 came in where 2 were let in"),
        ("question_asked", {"kind": "party", "expected": 4, "seen": 2},
         "Let in 4, saw 2: how many came in?"),
        ("question_asked", {"kind": "everybody_left"}, "Has everybody left?"),
        ("question_ended", {"kind": "party", "expected": 4, "seen": 2, "came": 3, "cause": "page"},
         "Let in 4, saw 2: 3 came in, from the page"),
        ("question_ended", {"kind": "party", "expected": 4, "seen": 2, "how": "merged"},
         "Let in 4, saw 2: settled"),
        ("question_ended", {"kind": "everybody_left"}, "Whether everybody left: settled"),
        ("count_adjusted", {"after": {"count": 2}, "cause": "page"},
         "Count set to 2, from the page"),
        ("session_warning", {"remaining_s": 900.0}, "15 min left"),
        ("fault", {"name": "BeamStuck", "line": "beam_inner"},
         "Fault: a light beam is blocked (inner beam)"),
        ("self_tested", {"proven": 1, "ok": True}, "Self-test: 1 wire proven"),
        ("self_tested", {"proven": 7, "ok": True}, "Self-test: 7 wires proven"),
        ("undone", {"command": "room_empty", "cause": "page"},
         "Taken back: Room empty, from the page"),
        ("locked_open", {"cause": "evacuate"}, "Evacuation began, by the fire alarm's wire"),
        ("door_alarm", {"alarm": "Normal"}, "Door alarm: over"),
        ("access_denied", {"reason": "FromTheFuture", "age_s": -7.2, "cause": "homeassistant"},
         "Not let in: the sender's clock is 7 s ahead of ours, by Home Assistant"),
        ("command_refused", {"reason": "StaleCommand", "age_s": 99},
         "Refused: it was 1 min old, or the sender's clock is behind"),
        ("command_refused", {"reason": "StaleCommand"}, "Refused: it came too late"),
        ("command_refused", {"reason": "FromTheFuture", "age_s": None},
         "Refused: the clocks disagree"),
        ("entry", {}, "One came in: ? inside"),
        ("brand_new_event", {"cause": "moon"}, "brand new event, moon"),
    ],
)  # fmt: skip
def test_event_words_of_each_event(name: str, data: dict[str, Any], words: str) -> None:
    assert event_words(name, data) == words


def test_event_by_a_phone_says_whose() -> None:
    data = {"party": 2, "cause": "page", "by": "Anna"}
    assert event_words("access_granted", data) == "Let in 2, Anna"
    assert event_words("access_granted", data | {"by": ""}) == "Let in 2, from the page"
