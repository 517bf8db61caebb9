"""The templates as Home Assistant renders them: which event rings, what each state is called.

Jinja is the same; what Home Assistant adds to it, the tests with a real one need.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from controller.integrations.entities import components
from controller.mqtt.message import Topics

PARTS = components(Topics("backdoor/bar"))
#: Strict: Home Assistant fills its log with a warning for each value that is not there.
ENVIRONMENT = Environment(autoescape=False, undefined=StrictUndefined)
ENVIRONMENT.filters["to_json"] = json.dumps
AT = "2026-11-25T22:00:{}+00:00"


def rendered(key: str, value: dict[str, Any], name: str = "value_template", **this: Any) -> str:
    template = ENVIRONMENT.from_string(PARTS[key][name])
    return template.render(value_json=value, this=SimpleNamespace(attributes=this))


def knock(second: str, **more: Any) -> dict[str, Any]:
    return {"at": AT.format(second), "place": "hatch", "raps": 2, **more}


@pytest.mark.parametrize(
    ("event", "last", "rings"),
    [
        (knock("10"), None, True),
        (knock("10"), "05", True),
        # live is live, whatever the clocks say: ours was set back meanwhile
        (knock("10"), "40", True),
        (knock("10"), "10", False),
        (knock("10", late_s=0.6), "10", False),
        (knock("10", late_s=0.6), "11", False),
        (knock("10", late_s=12.0), "05", True),
        (knock("10", late_s=12.0), None, True),
        (knock("10", late_s=31.0), "05", False),
        (knock("10") | {"place": "door"}, None, False),
    ],
)
def test_knock_rings_once_and_whatever_the_clocks_say(
    event: dict[str, Any], last: str | None, rings: bool
) -> None:
    this = {} if last is None else {"at": AT.format(last)}
    found = rendered("hatch_knock", event, **this)
    assert found == (
        json.dumps({"event_type": "ring", "at": event["at"], "raps": 2}) if rings else ""
    )


def snapshot(**door: Any) -> dict[str, Any]:
    normal = {"mode": "Controlled", "physical": "Closed", "lock": "Locked", "alarm": "Normal"}
    return {"door": normal | door, "full": False, "faults": [], "over_capacity": False}


@pytest.mark.parametrize(
    ("key", "state"),
    [
        ("forced", snapshot(alarm="DoorForcedOpen")),
        ("open_too_long", snapshot(alarm="DoorOpenTooLong")),
        ("evacuation", snapshot(mode="LockedOpen")),
        ("locked_down", snapshot(mode="LockedDown")),
        ("closed", snapshot(mode="Blocked")),
        ("over_capacity", snapshot() | {"over_capacity": True}),
        ("problem", snapshot(alarm="DoorForcedOpen")),
        ("problem", snapshot() | {"faults": [{"name": "BrokerDown", "line": "mqtt"}]}),
    ],
)
def test_each_sensor_is_on_for_its_own_cause(key: str, state: dict[str, Any]) -> None:
    assert rendered(key, state) == "ON"
    assert rendered(key, snapshot()) == "OFF"


def test_full_house_is_not_closed_to_guests() -> None:
    assert rendered("closed", snapshot(mode="Blocked") | {"full": True}) == "OFF"


def test_problem_tells_its_reason_with_the_seconds_of_a_clock() -> None:
    fault = {"name": "ClockDiffers", "line": "homeassistant", "ahead_s": 35.0}
    state = snapshot(alarm="DoorForcedOpen") | {"faults": [fault]}
    found = json.loads(rendered("problem", state, "json_attributes_template"))
    assert found == {
        "faults": ["ClockDiffers"],
        "reason": "DoorForcedOpen, ClockDiffers (homeassistant, 35.0 s)",
        "clocks": [fault],
    }


def test_lock_without_commands_says_the_same() -> None:
    door = {"lock": "Locked", "strike": False, "physical": "Closed"}
    assert rendered("lock_state", door) == "locked"
    assert rendered("lock_state", door | {"strike": True}) == "open"
    assert rendered("lock_state", door | {"lock": "Fault"}) == "jammed"
    assert rendered("lock_state", door | {"lock": "Unknown"}) == "None"


def test_count_that_cannot_be_set_is_unknown() -> None:
    assert rendered("count", {"count": 4, "capacity": 4}) == "4"
    assert rendered("count", {"count": 5, "capacity": 4}) == "None"


def test_raps_are_those_of_the_whole_knock_at_its_place() -> None:
    assert rendered("hatch_raps", {"place": "hatch", "raps": 5}) == "5"
    assert rendered("hatch_raps", {"place": "door", "raps": 5}) == ""


def test_answer_names_the_question_that_is_open() -> None:
    question = {"kind": "party", "id": "q7", "answers": [1, 2], "expected": 2}
    asked = rendered("answer", {"question": question}, "json_attributes_template")
    assert json.loads(asked) == {"id": "q7", "answers": [1, 2]}
    for other in (None, {"kind": "everybody_left"}):
        assert rendered("answer", {"question": other}, "json_attributes_template") == "{}"
    assert rendered("answer", {"question": question}) == "None"


def test_release_that_is_open_says_for_how_many() -> None:
    grant = {"party": 3, "entered": 1, "remaining_s": 4.0, "cancelled": False}
    assert rendered("letting_in", {"grant": grant}) == "ON"
    assert rendered("letting_in", {"grant": None}) == "OFF"
    found = rendered("letting_in", {"grant": grant}, "json_attributes_template")
    assert json.loads(found) == {"party": 3, "entered": 1}


def test_attributes_stand_still_while_nothing_is_wrong() -> None:
    """Each change of an attribute is a row in Home Assistant's recorder."""
    inside = [snapshot() | {"occupancy": {"count": n, "max": n}} for n in (1, 2)]
    found = {rendered("over_capacity", state, "json_attributes_template") for state in inside}
    assert found == {"{}"}
