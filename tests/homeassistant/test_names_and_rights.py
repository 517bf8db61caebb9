"""What the house is called, how many it takes and what it may ask for, when these change."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.homeassistant.homeassistant import HomeAssistant
from tests.homeassistant.house import House
from tests.support.subscriber import Subscriber
from tests.support.wait import eventually

pytestmark = pytest.mark.timeout(300)


def entities(ha: HomeAssistant, venue: str) -> dict[str, str]:
    """Return the states of all entities of a venue."""
    return {
        name: state["state"] for name, state in ha.states().items() if f".backdoor_{venue}" in name
    }


def becomes(ha: HomeAssistant, entity: str, state: str) -> None:
    eventually(lambda: ha.state(entity) == state)


def is_gone(ha: HomeAssistant, venue: str) -> bool:
    return not entities(ha, venue)


def test_nothing_is_shown_that_the_installers_broker_would_deny(
    ha: HomeAssistant, broker: Broker, tmp_path: Path
) -> None:
    off = "homeassistant.commands=false"
    with House(tmp_path, broker.port, "house.venue=silent", off):
        becomes(ha, "sensor.backdoor_silent_lock", "locked")
        becomes(ha, "binary_sensor.backdoor_silent_problem", "off")
        eventually(lambda: "unavailable" not in entities(ha, "silent").values())
        shown = entities(ha, "silent")
        asks = {"lock", "button", "number", "siren", "switch", "select"}
        assert {name.partition(".")[0] for name in shown}.isdisjoint(asks)


def test_renamed_house_leaves_no_ghost(ha: HomeAssistant, broker: Broker, tmp_path: Path) -> None:
    for venue, former in (("old", ""), ("new", "old"), ("old", "new")):
        with House(tmp_path, broker.port, f"house.venue={venue}"):
            becomes(ha, f"lock.backdoor_{venue}", "locked")
            if former:
                eventually(partial(is_gone, ha, former))
    with closing(Subscriber(broker.port)) as late:
        eventually(lambda: "backdoor/old/status" in late.topics())
        eventually(lambda: "backdoor/bar/heartbeat" in late.topics())
        left = [topic for topic in late.topics() if topic.startswith("backdoor/new/")]
        assert left == []


NUMBER = "number.backdoor_larger_set_guests"
LET_IN = "button.backdoor_larger_let_in_"


def is_for(ha: HomeAssistant, capacity: int) -> bool:
    """Return whether the controls are those of a house of this capacity, and at hand."""
    found = ha.states()
    buttons = {name for name in found if name.startswith(LET_IN)}
    return (
        buttons == {f"{LET_IN}{n}" for n in range(1, capacity + 1)}
        and NUMBER in found
        and found[NUMBER]["attributes"]["max"] == capacity
        and found[NUMBER]["state"] != "unavailable"
    )


def test_another_capacity_has_other_bounds_and_buttons(
    ha: HomeAssistant, broker: Broker, tmp_path: Path
) -> None:
    for capacity in (4, 6, 2):
        with House(tmp_path, broker.port, "house.venue=larger", f"house.capacity={capacity}"):
            eventually(partial(is_for, ha, capacity))
            for count in (capacity, 0):
                ha.call("number.set_value", NUMBER, value=count)
                becomes(ha, "sensor.backdoor_larger_guests", str(count))


def test_device_says_where_its_page_is_and_which_area_suits_it(ha: HomeAssistant) -> None:
    lock = "lock.backdoor_bar"
    for attribute, value in (
        ("configuration_url", "http://backdoor.local:8080"),
        ("manufacturer", "backdoor"),
        ("name", "Backdoor bar"),
    ):
        assert ha.render(f"{{{{ device_attr('{lock}', '{attribute}') }}}}") == value
    assert ha.render(f"{{{{ area_name('{lock}') }}}}") == "Bar"
