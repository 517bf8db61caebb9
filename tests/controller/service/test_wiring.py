"""The wires as they are published for the drawing of the header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import WIRING
from controller.events import Edge
from controller.gpio.simulated import Move
from controller.rules.state import ActiveFault
from controller.sensing.settings import SensingSettings
from controller.service.wiring import (
    REPEAT_S,
    SOONEST_S,
    WATCHED_S,
    Window,
    Wire,
    Wiring,
    WiringHost,
)
from tests.support.demo import Demo, house
from tests.support.wait import eventually


@dataclass
class Desk:
    """A wiring whose clocks stand where a test puts them; ``published`` is all that it sent."""

    now_ms: float = 0.0
    now_s: float = 0.0
    driven: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    faults: list[ActiveFault] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        host = WiringHost(
            lambda: self.now_ms, lambda: dict(self.driven), lambda: tuple(self.faults), self.take
        )
        self.wiring = Wiring(WIRING, SensingSettings(), host, lambda: self.now_s)

    def take(self, name: str, values: Mapping[str, Any]) -> None:
        assert name == "wiring"
        self.published.append({wire["line"]: wire for wire in values["lines"]})

    def after(self, passed_s: float) -> int:
        """Let time pass, and return how many messages that brought."""
        before = len(self.published)
        self.now_s += passed_s
        self.now_ms += passed_s * 1000
        self.wiring.tick()
        return len(self.published) - before

    def edge(self, line: str, level: bool, t_ms: float | None = None) -> None:
        self.wiring.edge(Edge(self.now_ms if t_ms is None else t_ms, line, level))


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- what is counted ----------------------------------------------------------------------------


def test_window_counts_the_last_minute() -> None:
    window = Window()
    for t_ms in (0.0, 500.0, 30_000.0, 59_000.0, 58_999.0):  # the last one came late
        window.add(t_ms)
    assert [window.total(now) for now in (59_000.0, 61_000.0, 90_500.0, 200_000.0)] == [5, 3, 2, 0]


def test_window_keeps_no_more_than_a_minute() -> None:
    window = Window()
    for second in range(1000):
        window.add(second * 1000.0)
    assert window.total(999_000.0) == len(window._seconds) == 60


def test_wire_takes_its_first_edge_as_its_level_only() -> None:
    wire = Wire(30.0)
    assert wire.take(Edge(0.0, "door_contact", True))
    assert not wire.take(Edge(1.0, "door_contact", True))
    assert (wire.level, wire.edge_ms, wire.edges.total(1.0)) == (True, None, 0)


def test_wire_counts_edges_that_no_level_came_of_as_noise() -> None:
    wire = Wire(30.0)
    for t_ms, level in ((0, False), (1000, True), (1004, False), (1006, True), (5000, False)):
        wire.take(Edge(float(t_ms), "door_contact", level))
    assert (wire.edges.total(5000.0), wire.noise.total(5000.0)) == (4, 2)


def test_pulses_of_a_knock_sensor_are_no_noise(desk: Desk) -> None:
    for t_ms in range(10):
        desk.edge("hatch_knock", t_ms % 2 == 1, float(t_ms))
    desk.wiring.watch()
    knock = desk.published[0]["hatch_knock"]
    assert (knock["edges"], knock["noise"]) == (9, 0)


# --- what is published, and when -----------------------------------------------------------------


def test_nothing_is_published_while_nobody_looks(desk: Desk) -> None:
    desk.edge("release_button", True)
    assert desk.after(60) == 0


def test_watch_publishes_at_once_and_for_half_a_minute(desk: Desk) -> None:
    desk.wiring.watch()
    assert len(desk.published) == 1
    assert desk.after(WATCHED_S - 1) == 1
    desk.wiring.watch()  # again: it goes on, and is no message of its own
    assert len(desk.published) == 2
    assert desk.after(WATCHED_S - 1) == 1
    assert desk.after(1) == 0
    desk.wiring.watch()
    assert len(desk.published) == 4


def test_change_is_published_soon_and_its_age_every_second(desk: Desk) -> None:
    desk.wiring.watch()
    desk.edge("release_button", False)
    desk.edge("release_button", True)
    assert desk.after(SOONEST_S / 2) == 0
    assert desk.after(SOONEST_S) == 1
    assert desk.published[-1]["release_button"]["level"] is True
    assert desk.published[-1]["release_button"]["last_edge_s"] == pytest.approx(0.3)
    assert desk.after(SOONEST_S) == 0
    assert desk.after(REPEAT_S) == 1
    assert desk.published[-1]["release_button"]["last_edge_s"] == pytest.approx(1.5)


def test_output_and_fault_are_changes_too(desk: Desk) -> None:
    desk.wiring.watch()
    desk.driven["hatch_light"] = (True, True)
    assert desk.after(SOONEST_S) == 1
    desk.faults.append(ActiveFault("LineChatter", "door_contact", 0.0))
    assert desk.after(SOONEST_S) == 1
    assert desk.after(SOONEST_S) == 0
    newest = desk.published[-1]
    assert newest["hatch_light"] == {
        "line": "hatch_light",
        "gpio": 20,
        "pin": 38,
        "active": "high",
        "faults": [],
        "direction": "out",
        "level": True,
        "blinking": True,
    }
    assert newest["strike"]["level"] is False
    assert newest["door_contact"]["faults"] == ["LineChatter"]
    assert newest["door_contact"]["last_edge_s"] is None
    assert list(newest) == list(WIRING)


# --- in the running controller ------------------------------------------------------------------


def wire(demo: Demo, line: str) -> dict[str, Any]:
    """Return how this line stands in the newest message; an empty one before the first."""
    message = demo.mqtt.last("wiring") or {"lines": []}
    return next((one for one in message["lines"] if one["line"] == line), {})


def test_wires_are_shown_by_command_and_leave_no_trace(tmp_path: Path) -> None:
    with house(tmp_path, "door.release_time=30", "door.strike_max_on=60") as demo:
        assert demo.mqtt.ask("watch_wiring")["ok"]
        eventually(lambda: wire(demo, "release_button").get("level") is False)
        assert wire(demo, "release_button")["last_edge_s"] is None
        assert wire(demo, "strike")["level"] is False
        demo.simulator.play([Move(0, "release_button", 1)])
        eventually(lambda: wire(demo, "release_button")["level"] is True)
        eventually(lambda: wire(demo, "strike")["level"] is True)
        demo.simulator.play([Move(0, "release_button", 0)])
        eventually(lambda: wire(demo, "release_button")["level"] is False)
        assert wire(demo, "release_button")["edges"] == 2
        assert demo.mqtt.ask("watch_wiring")["ok"]
        assert not demo.mqtt.events("command_refused")
    kept = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(b"release_button" in content for content in kept.values())  # the flight recorder
    assert [name for name, content in kept.items() if b"watch_wiring" in content] == []
