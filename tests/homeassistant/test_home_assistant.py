"""The house in a real Home Assistant: every entity, every command, every restart.

Runs with ``make test-ha``; without a Home Assistant it is skipped.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import WIRING
from controller.mqtt.message import Message
from tests.conftest import Broker
from tests.homeassistant.homeassistant import BLUEPRINTS, HomeAssistant
from tests.homeassistant.house import House
from tests.support.subscriber import Subscriber
from tests.support.wait import eventually

pytestmark = pytest.mark.timeout(300)

STRIKE, HATCH_LIGHT = 16, 20


def becomes(ha: HomeAssistant, entity: str, state: str, limit_s: float = 15) -> None:
    eventually(lambda: ha.state(entity) == state, limit_s)


def attributes(ha: HomeAssistant, entity: str) -> Any:
    return ha.states()[f"{entity}"]["attributes"]


#: Every entity, its state in an empty house, and attributes that a typo would lose in silence.
ENTITIES: dict[str, tuple[str, dict[str, Any]]] = {
    "lock.backdoor_bar": ("locked", {"supported_features": 1, "strike": False}),
    "event.backdoor_bar_refused": ("unknown", {}),
    "event.backdoor_bar_command_refused": ("unknown", {}),
    "binary_sensor.backdoor_bar_letting_in": ("off", {}),
    "binary_sensor.backdoor_bar_somebody_at_the_door": ("off", {}),
    "select.backdoor_bar_how_many_came_in": ("unknown", {"options": ["0", "1", "2", "3", "4"]}),
    "binary_sensor.backdoor_bar_door": ("off", {"device_class": "door"}),
    "binary_sensor.backdoor_bar_bolt": ("off", {"device_class": "lock"}),
    "sensor.backdoor_bar_guests": (
        "0",
        {"state_class": "measurement", "min": 0, "max": 0, "certain": True},
    ),
    "sensor.backdoor_bar_free_places": ("4", {"state_class": "measurement"}),
    "binary_sensor.backdoor_bar_full": ("off", {}),
    "binary_sensor.backdoor_bar_count_uncertain": ("off", {"device_class": "problem"}),
    "binary_sensor.backdoor_bar_question_open": ("off", {"device_class": "problem"}),
    "number.backdoor_bar_set_guests": ("0", {"min": 0.0, "max": 4.0, "step": 1.0}),
    "button.backdoor_bar_room_empty": ("unknown", {}),
    "sensor.backdoor_bar_session_ends": ("unknown", {"device_class": "timestamp"}),
    "sensor.backdoor_bar_session": (
        "no_session",
        {
            "device_class": "enum",
            "options": ["no_session", "running", "last_call", "overtime"],
        },
    ),
    "event.backdoor_bar_knock_at_the_hatch": (
        "unknown",
        {"device_class": "doorbell", "event_types": ["ring"]},
    ),
    "event.backdoor_bar_knock_at_the_door": (
        "unknown",
        {"device_class": "doorbell", "event_types": ["ring"]},
    ),
    "binary_sensor.backdoor_bar_hatch_light": ("off", {"waiting": 0, "blinking": False}),
    "button.backdoor_bar_hatch_answered": ("unknown", {}),
    "siren.backdoor_bar_chime": (
        "off",
        {
            "available_tones": ["warning", "time_up", "overtime", "over_capacity"],
            "supported_features": 7,  # on, off, tones; no duration, no volume
        },
    ),
    "event.backdoor_bar_chime_rang": ("unknown", {}),
    "binary_sensor.backdoor_bar_problem": ("off", {"device_class": "problem", "faults": []}),
    "sensor.backdoor_bar_faults": ("0", {"state_class": "measurement"}),
    "sensor.backdoor_bar_started": ("", {"device_class": "timestamp"}),
    "binary_sensor.backdoor_bar_door_forced": ("off", {"device_class": "safety"}),
    "binary_sensor.backdoor_bar_door_open_too_long": ("off", {"device_class": "problem"}),
    "binary_sensor.backdoor_bar_evacuation": ("off", {"device_class": "safety"}),
    "binary_sensor.backdoor_bar_lock_down": ("off", {"device_class": "safety"}),
    "binary_sensor.backdoor_bar_closed_to_guests": ("off", {}),
    "binary_sensor.backdoor_bar_too_many_inside": ("off", {"device_class": "problem"}),
    "binary_sensor.backdoor_bar_staff_pass": ("off", {}),
    "binary_sensor.backdoor_bar_hatch": ("off", {"device_class": "opening"}),
    "sensor.backdoor_bar_raps_at_the_hatch": ("unknown", {"state_class": "measurement"}),
    "sensor.backdoor_bar_raps_at_the_door": ("unknown", {"state_class": "measurement"}),
    "sensor.backdoor_bar_guests_tonight": ("0", {"state_class": "total_increasing"}),
    "sensor.backdoor_bar_parties_tonight": ("0", {}),
    "sensor.backdoor_bar_knocks_tonight": ("0", {}),
    "sensor.backdoor_bar_refused_tonight": ("0", {}),
    "sensor.backdoor_bar_self_test": ("unknown", {"device_class": "enum"}),
    **{f"button.backdoor_bar_let_in_{n}": ("unknown", {}) for n in range(1, 5)},
    **{
        f"button.backdoor_bar_{name}": ("unknown", {})
        for name in (
            "door_answered",
            "stop_the_release",
            "take_back",
            "arm_staff_pass",
            "close_to_guests",
            "open_to_guests",
            "lock_down",
            "end_lock_down",
            "evacuate",
            "end_evacuation",
            "begin_self_test",
        )
    },
}
OURS = sorted(ENTITIES)
MOMENTARY = ("started", "raps", "tonight")


def ours(ha: HomeAssistant) -> dict[str, str]:
    """The states of our entities, without those that are sent when something happens."""
    found = {entity: state["state"] for entity, state in ha.states().items()}
    lasting = [entity for entity in OURS if not any(word in entity for word in MOMENTARY)]
    return {entity: found.get(entity, "") for entity in lasting}


def settles(ha: HomeAssistant, before: dict[str, str]) -> None:
    """Wait until every entity is as it was; say which are not."""
    found: dict[str, str] = {}

    def as_before() -> bool:
        found.clear()
        found.update({k: v for k, v in ours(ha).items() if before[k] != v})
        return not found

    try:
        eventually(as_before, 40)
    except AssertionError:
        raise AssertionError({k: (before[k], v) for k, v in found.items()}) from None


def test_every_entity_is_there_with_its_attributes(ha: HomeAssistant) -> None:
    becomes(ha, "lock.backdoor_bar", "locked")
    eventually(lambda: "T" in ha.state("sensor.backdoor_bar_started"))
    found = {name: state for name, state in ha.states().items() if "backdoor_bar" in name}
    assert sorted(found) == OURS
    for name, (state, expected) in ENTITIES.items():
        assert state in ("", found[name]["state"]), name
        assert found[name]["attributes"].items() >= expected.items(), name


def test_lock_open_opens_the_strike(ha: HomeAssistant, house: House) -> None:
    ha.call("lock.open", "lock.backdoor_bar")
    eventually(lambda: house.pin(STRIKE).state, 3)
    becomes(ha, "lock.backdoor_bar", "open")
    assert attributes(ha, "lock.backdoor_bar")["strike"] is True
    eventually(lambda: not house.pin(STRIKE).state, 8)
    becomes(ha, "lock.backdoor_bar", "locked")


def test_lock_at_four_is_refused_with_the_reason(ha: HomeAssistant, house: House) -> None:
    ha.call("number.set_value", "number.backdoor_bar_set_guests", value=4)
    becomes(ha, "sensor.backdoor_bar_guests", "4")
    becomes(ha, "binary_sensor.backdoor_bar_full", "on")
    becomes(ha, "sensor.backdoor_bar_free_places", "0")
    becomes(ha, "sensor.backdoor_bar_session", "running")
    assert "T" in ha.state("sensor.backdoor_bar_session_ends")
    ha.call("lock.open", "lock.backdoor_bar")
    eventually(lambda: ha.state("event.backdoor_bar_refused") != "unknown")
    event = attributes(ha, "event.backdoor_bar_refused")
    assert (event["event_type"], event["cause"]) == ("CapacityReached", "homeassistant")
    assert not house.pin(STRIKE).state
    assert ha.state("lock.backdoor_bar") == "locked"


def test_door_that_opens_is_seen(ha: HomeAssistant, house: House) -> None:
    house.simulator.act("open_door")
    becomes(ha, "binary_sensor.backdoor_bar_door", "on")
    becomes(ha, "lock.backdoor_bar", "open")
    house.simulator.act("close_door")
    becomes(ha, "binary_sensor.backdoor_bar_door", "off")
    becomes(ha, "lock.backdoor_bar", "locked")


def test_knock_at_the_hatch_is_an_event_and_is_answered(ha: HomeAssistant, house: House) -> None:
    house.simulator.act("knock_hatch")
    becomes(ha, "binary_sensor.backdoor_bar_hatch_light", "on")
    eventually(lambda: ha.state("event.backdoor_bar_knock_at_the_hatch") != "unknown")
    event = attributes(ha, "event.backdoor_bar_knock_at_the_hatch")
    assert (event["event_type"], event["raps"]) == ("ring", 2)
    assert ha.state("event.backdoor_bar_knock_at_the_door") == "unknown"
    ha.call("button.press", "button.backdoor_bar_hatch_answered")
    becomes(ha, "binary_sensor.backdoor_bar_hatch_light", "off")
    assert not house.pin(HATCH_LIGHT).state


def test_chime_is_rung_as_a_siren(ha: HomeAssistant) -> None:
    ha.call("siren.turn_on", "siren.backdoor_bar_chime", tone="time_up")
    eventually(lambda: attributes(ha, "event.backdoor_bar_chime_rang")["event_type"] == "time_up")
    assert ha.state("siren.backdoor_bar_chime") == "off"


def test_front_door_has_a_doorbell_of_its_own(ha: HomeAssistant, house: House) -> None:
    before = ha.state("event.backdoor_bar_knock_at_the_hatch")

    def heard() -> bool:
        house.simulator.act("knock_door")  # while the chime rings it is taken for the chime
        return ha.state("event.backdoor_bar_knock_at_the_door") != "unknown"

    eventually(heard)
    assert ha.state("event.backdoor_bar_knock_at_the_hatch") == before


def test_room_is_set_to_empty(ha: HomeAssistant) -> None:
    ha.call("button.press", "button.backdoor_bar_room_empty")
    becomes(ha, "sensor.backdoor_bar_guests", "0")
    becomes(ha, "sensor.backdoor_bar_session", "no_session")
    becomes(ha, "sensor.backdoor_bar_session_ends", "unknown")


def test_knock_rings_once_over_a_restart(ha: HomeAssistant, house: House, broker: Broker) -> None:
    bell = "event.backdoor_bar_knock_at_the_hatch"
    before = ha.state(bell)

    def rung() -> bool:
        house.simulator.act("knock_hatch")
        return ha.state(bell) != before

    eventually(rung)
    eventually(lambda: ha.state("sensor.backdoor_bar_raps_at_the_hatch") == "2")
    rung_at = ha.state(bell)
    house.stop()
    becomes(ha, bell, "unavailable")
    house.start()
    becomes(ha, "lock.backdoor_bar", "locked")
    becomes(ha, bell, rung_at)
    ha.call("button.press", "button.backdoor_bar_hatch_answered")
    ha.call("button.press", "button.backdoor_bar_room_empty")


SWITCHES = (
    ("evacuation", "evacuate", "end_evacuation"),
    ("lock_down", "lock_down", "end_lock_down"),
    ("closed_to_guests", "close_to_guests", "open_to_guests"),
)


@pytest.mark.parametrize(("sensor", "begin", "end"), SWITCHES)
def test_what_holds_is_begun_and_ended(
    ha: HomeAssistant, sensor: str, begin: str, end: str
) -> None:
    for button, state in ((begin, "on"), (end, "off")):
        ha.call("button.press", f"button.backdoor_bar_{button}")
        becomes(ha, f"binary_sensor.backdoor_bar_{sensor}", state)


def test_party_is_let_in_and_stopped_and_a_tap_is_taken_back(
    ha: HomeAssistant, house: House
) -> None:
    becomes(ha, "button.backdoor_bar_let_in_2", "unknown", 30)
    ha.call("button.press", "button.backdoor_bar_let_in_2")
    eventually(lambda: house.pin(STRIKE).state, 5)
    ha.call("button.press", "button.backdoor_bar_stop_the_release")
    eventually(lambda: not house.pin(STRIKE).state)
    ha.call("number.set_value", "number.backdoor_bar_set_guests", value=3)
    becomes(ha, "sensor.backdoor_bar_guests", "3")
    undo = "button.backdoor_bar_take_back"
    eventually(
        lambda: [each["type"] for each in attributes(ha, undo)["undoable"]][:1] == ["set_count"]
    )
    ha.call("button.press", undo)
    becomes(ha, "sensor.backdoor_bar_guests", "0")


def test_question_is_answered_where_two_were_let_in_and_one_came(
    ha: HomeAssistant, house: House
) -> None:
    ha.call("button.press", "button.backdoor_bar_let_in_2")
    becomes(ha, "binary_sensor.backdoor_bar_letting_in", "on")
    assert attributes(ha, "binary_sensor.backdoor_bar_letting_in")["party"] == 2
    house.simulator.act("walk_in")
    becomes(ha, "binary_sensor.backdoor_bar_question_open", "on", 30)
    answer = "select.backdoor_bar_how_many_came_in"
    eventually(lambda: attributes(ha, answer).get("answers") == [1, 2])
    ha.call("select.select_option", answer, option="2")
    becomes(ha, "binary_sensor.backdoor_bar_question_open", "off")
    becomes(ha, "sensor.backdoor_bar_guests", "2")
    ha.call("select.select_option", answer, option="1")  # nothing is asked any more
    refused = "event.backdoor_bar_command_refused"
    eventually(lambda: attributes(ha, refused).get("command") == "answer_question")
    assert attributes(ha, refused)["reason"] == "StaleCommand"
    ha.call("button.press", "button.backdoor_bar_room_empty")
    becomes(ha, "sensor.backdoor_bar_guests", "0")


def said(mqtt: Subscriber, topic: str) -> list[Any]:
    return [json.loads(payload) for payload in mqtt.payloads(topic)]


def test_blueprint_tells_a_phone_and_its_answer_answers(
    ha: HomeAssistant, house: House, mqtt: Subscriber
) -> None:
    def pushed() -> list[Any]:
        return [each for each in said(mqtt, "test/phone") if each["data"]]

    before = len(pushed())

    def tells() -> bool:
        house.simulator.act("knock_hatch")
        return len(pushed()) > before

    eventually(tells)
    (button,) = pushed()[-1]["data"]["actions"]
    assert button["title"] == "Answered"
    becomes(ha, "binary_sensor.backdoor_bar_hatch_light", "on")

    def answered() -> bool:
        ha.fire("mobile_app_notification_action", action=button["action"])
        return ha.state("binary_sensor.backdoor_bar_hatch_light") == "off"

    eventually(answered)


def test_blueprint_reminds_of_a_taxi(ha: HomeAssistant, mqtt: Subscriber) -> None:
    def reminders() -> int:
        return sum("taxi" in each["message"] for each in said(mqtt, "test/phone"))

    becomes(ha, "sensor.backdoor_bar_session", "no_session", 30)
    before = reminders()
    ha.call("number.set_value", "number.backdoor_bar_set_guests", value=1)
    eventually(lambda: reminders() > before)
    ha.call("button.press", "button.backdoor_bar_room_empty")
    becomes(ha, "sensor.backdoor_bar_guests", "0")


def test_blueprint_turns_lights_on_in_an_evacuation(ha: HomeAssistant, mqtt: Subscriber) -> None:
    ha.call("button.press", "button.backdoor_bar_evacuate")
    eventually(lambda: {"state": "ON", "brightness": 255} in said(mqtt, "test/shelf"))
    ha.call("button.press", "button.backdoor_bar_end_evacuation")
    becomes(ha, "binary_sensor.backdoor_bar_evacuation", "off")


def test_blueprint_dims_a_light_at_last_call(ha: HomeAssistant, mqtt: Subscriber) -> None:
    house_says = {"phase": "last_call", "ends_at": "2099-01-01T00:00:00+00:00"}
    session = Message("backdoor/bar/session", json.dumps(house_says).encode())
    mqtt.send_message(session)
    eventually(lambda: {"state": "ON", "brightness": 76} in said(mqtt, "test/shelf"))
    mqtt.send_message(Message("backdoor/bar/session", b"null"))
    eventually(lambda: {"state": "ON", "brightness": 204} in said(mqtt, "test/shelf"))


def test_dashboard_names_entities_that_are_there(ha: HomeAssistant) -> None:
    text = (BLUEPRINTS.parent / "dashboard.yaml").read_text()
    named = set(re.findall(r"- (\w+\.backdoor_bar\w*)", text))
    assert named <= set(ha.states())
    assert len(named) > 10


def attic_has(ha: HomeAssistant, entities: int) -> bool:
    return sum("backdoor_attic" in name for name in ha.states()) == entities


@pytest.mark.parametrize("way", ["device 1", "component 2"])
def test_entities_no_longer_wired_are_removed(
    ha: HomeAssistant, broker: Broker, tmp_path: Path, way: str
) -> None:
    """In both ways of discovery, and from the one to the other."""
    for lines, entities in ((WIRING, len(ENTITIES)), (("strike", "door_contact"), 43)):
        discovery = f"homeassistant.discovery={way[:-2]}"
        attic = House(tmp_path, broker.port, "house.venue=attic", discovery)
        attic.config = attic.config.wired({line: WIRING[line] for line in lines})
        with attic:
            becomes(ha, "lock.backdoor_attic", "locked")
            eventually(partial(attic_has, ha, entities))


def test_home_assistant_restarts(ha: HomeAssistant, house: House) -> None:
    ha.call("number.set_value", "number.backdoor_bar_set_guests", value=2)
    becomes(ha, "sensor.backdoor_bar_guests", "2")
    becomes(ha, "sensor.backdoor_bar_session", "running")
    eventually(lambda: "T" in ha.state("sensor.backdoor_bar_session_ends"))
    before = ours(ha)
    ha.stop()
    ha.start()
    settles(ha, before)
    ha.call("lock.open", "lock.backdoor_bar")
    eventually(lambda: house.pin(STRIKE).state, 5)
    eventually(lambda: not house.pin(STRIKE).state, 8)
    becomes(ha, "lock.backdoor_bar", "locked")


def test_controller_that_stops_is_unavailable_until_it_is_back(
    ha: HomeAssistant, house: House
) -> None:
    ha.call("number.set_value", "number.backdoor_bar_set_guests", value=2)
    becomes(ha, "sensor.backdoor_bar_guests", "2")
    becomes(ha, "sensor.backdoor_bar_session", "running")
    eventually(lambda: "T" in ha.state("sensor.backdoor_bar_session_ends"))
    before = ours(ha)
    house.stop()
    becomes(ha, "lock.backdoor_bar", "unavailable")
    eventually(lambda: set(ours(ha).values()) == {"unavailable"})
    house.start()
    becomes(ha, "lock.backdoor_bar", "locked")
    # after more than two seconds the door may have moved unseen, and the count asks
    ha.call("number.set_value", "number.backdoor_bar_set_guests", value=2)
    settles(ha, before)


@pytest.mark.its_own("MQTT server", "paho.mqtt.client", "Task exception was never retrieved")
def test_broker_killed_without_its_memory_is_filled_again(
    ha: HomeAssistant, house: House, broker: Broker
) -> None:
    before = ours(ha)
    broker.kill()
    becomes(ha, "lock.backdoor_bar", "unavailable", 30)
    broker.start()
    settles(ha, before)
    ha.call("number.set_value", "number.backdoor_bar_set_guests", value=0)
    becomes(ha, "sensor.backdoor_bar_guests", "0")
