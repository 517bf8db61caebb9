"""The header on the page: which wire is where, what its level means, and when nobody knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from controller.codec import encode
from controller.config.header import GROUNDS, HEADER, POWER
from controller.config.settings import WIRING, LineSettings
from controller.events import INPUT_LINES, OUTPUT_LINES
from controller.mqtt.message import Message, Topics
from tests.support.fake_controller import FakeController, page_of
from tests.support.wires import wire
from web.mirror import Mirror
from web.presentation.wiring import MEANS, SILENT_S, WIRES, WiringView, place


class Desk:
    """A view of the usual wiring whose clock stands where a test puts it."""

    def __init__(self, lines: Any = WIRING) -> None:
        self.now_s = 100.0
        self.view = WiringView(Mirror(Topics("backdoor/bar")), lines, lambda: self.now_s)

    def hear(self, *lines: dict[str, Any]) -> None:
        self.view.receive("wiring", Message("backdoor/bar/wiring", encode({"lines": lines})))


@pytest.fixture
def desk(controller: FakeController, tmp_path: Any) -> Iterator[Desk]:
    app: Flask = page_of(controller, tmp_path)
    with app.test_request_context():
        yield Desk()


def test_drawing_has_40_pins_each_as_what_it_is(desk: Desk) -> None:
    pins = {pin.number: pin for pin in desk.view.pins()}
    assert list(pins) == list(range(1, 41))
    assert {pin for pin in pins if pins[pin].kind == "power"} == set(POWER)
    assert {pin for pin in pins if pins[pin].kind == "ground"} == set(GROUNDS)
    wired = {pins[HEADER[settings.pin]].line: line for line, settings in WIRING.items()}
    assert wired == {line: line for line in WIRING}
    assert (pins[36].kind, pins[36].label) == ("strike", "strike")
    assert (pins[31].kind, pins[38].kind, pins[7].label) == ("in", "out", "GPIO 4")


def test_every_line_has_a_short_name_and_its_levels_words() -> None:
    assert set(WIRES) == {*INPUT_LINES, *OUTPUT_LINES}
    assert set(MEANS) == set(INPUT_LINES)


def test_before_the_first_message_no_level_is_shown(desk: Desk) -> None:
    assert not desk.view.live()
    assert {row["state"] for row in desk.view.rows().values()} == {"unknown"}
    assert {row["level"] for row in desk.view.rows().values()} == {"–"}
    assert desk.view.moved() == ""


@pytest.mark.parametrize(
    ("line", "level", "means", "volts"),
    [
        ("release_button", True, "pressed", "0 V"),
        ("release_button", False, "not pressed", "3.3 V"),
        ("beam_outer", True, "beam broken", "3.3 V"),
        ("door_contact", False, "door shut", "0 V"),
        ("hatch_knock", True, "pulse", "3.3 V"),
        ("strike", True, "switched on", "3.3 V"),
        ("strike", False, "switched off", "0 V"),
    ],
)
def test_level_is_said_as_what_it_means_and_in_volts(
    desk: Desk, line: str, level: bool, means: str, volts: str
) -> None:
    desk.hear(wire(line, level))
    row = desk.view.rows()[line]
    assert (row["level"], row["volts"]) == (means, volts)
    assert row["state"] == ("active" if level else "rest")


def test_row_has_age_changes_noise_and_fault(desk: Desk) -> None:
    faults = ["LineChatter", "NewFault"]
    desk.hear(wire("door_contact", True, last_edge_s=72.4, edges=7, noise=3, faults=faults))
    assert desk.view.rows()["door_contact"] == {
        "state": "fault",
        "level": "door open",
        "short": "! door open · 1 min",
        "volts": "3.3 V",
        "ago": "1 min ago",
        "edges": "7",
        "noise": "3",
        "faults": "a sensor chatters, NewFault",
    }


def test_output_that_blinks_says_so(desk: Desk) -> None:
    desk.hear(wire("hatch_light", True, blinking=True))
    assert desk.view.rows()["hatch_light"]["short"] == "blinking"
    assert desk.view.rows()["hatch_light"]["edges"] == "–"


def test_last_wire_that_moved_is_named(desk: Desk) -> None:
    desk.hear(
        wire("beam_outer", last_edge_s=4.0),
        wire("release_button", True, last_edge_s=0.3),
        wire("strike", True),
    )
    assert desk.view.moved() == "release button: pressed"


def test_level_is_shown_no_longer_than_it_is_confirmed(desk: Desk) -> None:
    desk.hear(wire("release_button", True, last_edge_s=0.1))
    desk.now_s += SILENT_S
    assert desk.view.rows()["release_button"]["state"] == "active"
    desk.now_s += 0.1
    assert desk.view.rows()["release_button"]["state"] == "unknown"
    assert desk.view.moved() == ""


def test_drawing_follows_the_controller_not_the_pages_own_file(desk: Desk) -> None:
    before = desk.view.layout()
    desk.hear(wire("exit_button", gpio=4))
    assert desk.view.layout() == "exit_button=4low" != before
    assert {pin.number: pin.line for pin in desk.view.pins() if pin.line} == {7: "exit_button"}


def test_line_on_a_pin_that_the_header_lacks_stands_in_the_table_only(desk: Desk) -> None:
    desk.view._configured = {"exit_button": LineSettings(40)}
    assert not any(pin.line for pin in desk.view.pins())
    assert list(desk.view.rows()) == ["exit_button"]
    assert place(desk.view.wires()[0]) == "GPIO 40"
    assert place(wire("exit_button")) == "pin 33 · GPIO 13"


def test_line_of_a_newer_controller_is_shown_by_its_name(desk: Desk) -> None:
    desk.hear(wire("strike") | {"line": "window", "level": True})
    assert desk.view.rows()["window"]["level"] == "switched on"
    assert [pin.label for pin in desk.view.pins() if pin.line] == ["window"]


@pytest.mark.parametrize(
    "odd",
    [
        b"[]",
        b"{}",
        b'{"lines":[1]}',
        encode({"lines": [wire("strike")] * 41}),
        encode({"lines": [wire("strike", gpio="16")]}),
        encode({"lines": [wire("exit_button", edges=-1)]}),
        encode({"lines": [wire("exit_button", noise=True)]}),
        encode({"lines": [wire("exit_button", last_edge_s="now")]}),
        encode({"lines": [wire("exit_button", faults=[1])]}),
        encode({"lines": [wire("exit_button", faults=None)]}),
        b'{"lines":[{"line":"exit_button","gpio":13,"active":"low","level":true,'
        b'"last_edge_s":1e999}]}',
    ],
)
def test_message_that_makes_no_sense_is_ignored(
    controller: FakeController, tmp_path: Any, odd: bytes
) -> None:
    app = page_of(controller, tmp_path)
    view = WiringView(app.extensions["backdoor"].mirror, WIRING)
    controller.publish("wiring", odd)
    assert (view.version, view.live()) == (0, False)
    controller.publish("wiring", {"lines": [wire("strike")]})
    assert view.version == 1
