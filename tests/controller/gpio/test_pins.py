"""Pins on gpiozero's own working fake: MockFactory, whose pins remember every level they had."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory

from controller.config.settings import LineSettings
from controller.events import CHIME_MS, Edge
from controller.gpio.pins import TONES, Pins, PinsError, make_factory
from tests.support.stuck_pin import hang_blinking
from tests.support.wait import HANGS_S, eventually

LIMIT_S = 5.0
INPUTS = {
    "beam_outer": LineSettings(pin=5),
    "door_contact": LineSettings(pin=6, pull="up", active="high"),
    "exit_button": LineSettings(pin=13, pull="down", active="high"),
    "hatch_knock": LineSettings(pin=16, pull="none", active="high"),
    "bolt_contact": LineSettings(pin=19, pull="down", active="low"),
    "evacuate": LineSettings(pin=20, pull="none", active="low"),
}
OUTPUTS = {
    "full_lamp": LineSettings(pin=22, active="low"),
    "chime": LineSettings(pin=24, active="high"),
    "hatch_light": LineSettings(pin=25, active="high"),
    "strike": LineSettings(pin=17, active="high"),
}


class Rig:
    """A factory, the pins on it, and the edges that came out."""

    def __init__(self) -> None:
        self.factory = MockFactory()
        self.edges: list[Edge] = []
        self.on_edge: Callable[[Edge], None] = self.edges.append
        self.open_pins: list[Pins] = []

    def hear(self, edge: Edge) -> None:
        self.on_edge(edge)

    def pins(self, **kwargs: Any) -> Pins:
        settings = {"inputs": INPUTS, "outputs": OUTPUTS, "strike_max_on_s": LIMIT_S, **kwargs}
        inputs, outputs = settings.pop("inputs"), settings.pop("outputs")
        pins = Pins(
            self.factory,
            inputs,
            outputs,
            on_edge=self.hear,
            to_house_ms=lambda seconds: seconds * 1000.0,
            **settings,
        )
        self.open_pins.append(pins)
        return pins

    def pin(self, line: str) -> Any:
        return self.factory.pin((INPUTS | OUTPUTS)[line].pin)

    def levels(self, line: str) -> list[bool]:
        return [state.state for state in self.pin(line).states]


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    for pins in rig.open_pins:
        pins.close()


def test_behind_is_true_for_a_backend_that_cannot_know(rig: Rig) -> None:
    assert rig.pins().behind()


def test_strike_is_claimed_at_off(rig: Rig) -> None:
    rig.pins()
    assert rig.pin("strike").function == "output"
    assert rig.levels("strike") == [False]


def test_active_low_lamp_is_off_at_start(rig: Rig) -> None:
    rig.pins()
    assert rig.pin("full_lamp").state is True


def test_strike_is_claimed_before_any_other_line(rig: Rig) -> None:
    rig.pins()
    assert str(next(iter(rig.factory.pins.values()))) == "GPIO17"


@pytest.mark.parametrize(
    ("line", "idle", "active"),
    [
        ("beam_outer", True, False),
        ("door_contact", False, True),  # pulled up, and active when it opens
        ("exit_button", False, True),
        ("hatch_knock", False, True),
        ("bolt_contact", True, False),
        ("evacuate", True, False),
    ],
)
def test_active_level_is_as_configured_whatever_the_pull(
    rig: Rig, line: str, idle: bool, active: bool
) -> None:
    rig.pins()
    drive(rig.pin(line), idle)
    rig.edges.clear()
    drive(rig.pin(line), active)
    drive(rig.pin(line), idle)
    assert [(edge.line, edge.level) for edge in rig.edges] == [(line, True), (line, False)]


def drive(pin: Any, high: bool) -> None:
    if high:
        pin.drive_high()
    else:
        pin.drive_low()


def test_no_edge_while_pins_are_made(rig: Rig) -> None:
    rig.pins()
    assert rig.edges == []


def test_first_edges_have_the_level_of_each_input(rig: Rig) -> None:
    rig.pin("beam_outer").drive_low()
    pins = rig.pins(inputs={"beam_outer": LineSettings(pin=5, pull="none", active="low")})
    first = pins.first_edges()
    assert [(edge.line, edge.level, edge.resync) for edge in first] == [("beam_outer", True, False)]
    assert pins.reread() == []


def test_edge_has_time_stamp_of_the_backend(rig: Rig) -> None:
    rig.pins()
    rig.pin("beam_outer").drive_low()
    assert rig.edges[0].t_ms == rig.pin("beam_outer")._last_change * 1000.0


@pytest.mark.parametrize("ticks", [1.8e9, -5.0], ids=["wall clock", "long ago"])
def test_stamp_of_another_clock_is_replaced_by_now(rig: Rig, ticks: float) -> None:
    pins = rig.pins()
    before = rig.factory.ticks()
    pins._inputs["beam_outer"]._fire_events(ticks, True)
    assert before * 1000 <= rig.edges[0].t_ms <= rig.factory.ticks() * 1000


def test_same_level_twice_is_one_edge(rig: Rig) -> None:
    pins = rig.pins()
    device = pins._inputs["beam_outer"]
    device._fire_events(rig.factory.ticks(), True)
    device._fire_events(rig.factory.ticks(), True)
    assert len(rig.edges) == 1


def test_reread_does_not_take_a_late_edge_for_lost(rig: Rig) -> None:
    """All sensors of a supply that fails change at once, between one look and the next."""
    pins = rig.pins()
    pins.first_edges()
    pin = rig.pin("beam_outer")
    for level in (False, True, False):
        pin._change_state(level)
        assert pins.reread() == []
        pin._change_state(not level)
        (pin.drive_high if level else pin.drive_low)()  # now its edge comes
    assert [(edge.level, edge.resync) for edge in rig.edges] == [
        (True, False), (False, False), (True, False)
    ]  # fmt: skip
    assert pins.reread() == pins.reread() == []


def test_reread_finds_a_lost_edge(rig: Rig) -> None:
    pins = rig.pins()
    pins.first_edges()
    rig.pin("beam_outer")._change_state(False)  # the level moves and no edge is told
    assert pins.reread() == []  # its edge may be on its way
    (edge,) = pins.reread()
    assert (edge.line, edge.level, edge.resync) == ("beam_outer", True, True)
    assert pins.reread() == []
    rig.pin("beam_outer").drive_high()
    assert [(edge.level, edge.resync) for edge in rig.edges] == [(False, False)]


def test_edges_lost_together_are_dated_apart_so_that_a_trace_shows_no_spike(rig: Rig) -> None:
    pins = rig.pins()
    pins.first_edges()
    for line in ("beam_outer", "door_contact"):
        rig.pin(line)._change_state(not rig.pin(line).state)
    assert pins.reread() == []
    first, second = pins.reread()
    assert second.t_ms - first.t_ms > 0.1


def test_exception_in_on_edge_is_logged_and_next_edge_comes(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.pins()

    def broken(edge: Edge) -> None:
        raise RuntimeError("queue gone")

    rig.on_edge = broken
    rig.pin("beam_outer").drive_low()
    rig.on_edge = rig.edges.append
    rig.pin("beam_outer").drive_high()
    assert [edge.level for edge in rig.edges] == [False]
    assert "beam_outer: an edge was lost" in caplog.text


def test_edges_of_two_threads_keep_their_order(rig: Rig) -> None:
    queue: SimpleQueue[Edge] = SimpleQueue()
    rig.on_edge = queue.put
    rig.pins()

    def pulse(line: str) -> None:
        for _ in range(200):
            rig.pin(line).drive_low()
            rig.pin(line).drive_high()

    threads = [threading.Thread(target=pulse, args=(line,)) for line in ("beam_outer", "evacuate")]
    rig.pin("evacuate").drive_high()
    while not queue.empty():
        queue.get()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    edges = [queue.get() for _ in range(queue.qsize())]
    for line in ("beam_outer", "evacuate"):
        assert [edge.level for edge in edges if edge.line == line] == [True, False] * 200


# --- outputs ------------------------------------------------------------------------------------


def test_set_switches_and_ignores_an_unwired_output(rig: Rig) -> None:
    pins = rig.pins(outputs={"full_lamp": LineSettings(pin=22, active="high")})
    pins.set("full_lamp", True)
    pins.set("full_lamp", False)
    pins.set("strike", True)
    pins.set("hatch_light", True, blink=True)
    pins.chime("warning")
    assert rig.levels("full_lamp") == [False, True, False]


def test_lamp_blinks_until_set_without_blink(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.gpio.pins.BLINK_S", 0.01)
    pins = rig.pins()
    pins.set("hatch_light", True, blink=True)
    pins.set("hatch_light", True, blink=True)
    eventually(lambda: rig.levels("hatch_light").count(True) >= 3)
    pins.set("hatch_light", True)
    assert rig.pin("hatch_light").state is True
    pins.set("hatch_light", False)
    seen = len(rig.levels("hatch_light"))
    assert rig.pin("hatch_light").state is False
    assert len(rig.levels("hatch_light")) == seen


def test_blinking_that_does_not_end_is_a_fault_of_its_line_and_keeps_nobody_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = rig.pins()
    goes_on = hang_blinking(rig.pin("hatch_light"), monkeypatch)
    pins.set("hatch_light", True, blink=True)
    began_s = time.monotonic()
    pins.set("hatch_light", True)
    pins.set("strike", True)
    assert time.monotonic() - began_s < 8  # gpiozero waits ten seconds, then it raises
    assert rig.pin("strike").state is True
    pins.set("full_lamp", True)
    assert rig.pin("full_lamp").state is False  # active low
    assert pins.retry() == set()  # it may just be slow
    monkeypatch.setattr("controller.gpio.pins.FAILED_S", 0.0)
    assert pins.retry() == {"hatch_light"}
    pins.set("hatch_light", False)
    assert pins.retry() == {"hatch_light"}
    goes_on.set()
    eventually(lambda: pins.retry() == set())
    assert rig.pin("hatch_light").state is False
    assert pins.driven()["hatch_light"] == (False, False)


def test_chime_that_hangs_rings_its_next_tone_when_it_can(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = rig.pins()
    goes_on = hang_blinking(rig.pin("chime"), monkeypatch)
    pins.chime("warning")
    pins.chime("time_up")
    pins.chime("evacuate")
    rung = len(rig.levels("chime"))
    goes_on.set()
    eventually(lambda: pins.retry() == set() and rig.pin("chime").state is True)
    assert rig.levels("chime")[rung:].count(True) <= 2  # the first write of the one that hung


def test_strike_that_cannot_be_switched_raises(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the loop ends, and a new start begins with the strike off."""
    pins = rig.pins()

    def refused(value: bool) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(rig.pin("hatch_light"), "_change_state", refused)
    pins.set("hatch_light", True)
    with monkeypatch.context() as broken:
        broken.setattr(rig.pin("strike"), "_change_state", refused)
        with pytest.raises(OSError, match="Input/output"):
            pins.set("strike", True)


@pytest.mark.parametrize("tone", TONES)
def test_chime_rings_its_pattern_and_is_off_after_it(
    rig: Rig, tone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {name: (0.002, 0.002, times) for name, (_, _, times) in TONES.items()}
    monkeypatch.setattr("controller.gpio.pins.TONES", quick)
    pins = rig.pins()
    pins.chime(tone)
    wanted = [False, *[True, False] * TONES[tone][2]]
    eventually(lambda: rig.levels("chime") == wanted)


def test_unknown_tone_rings(rig: Rig) -> None:
    pins = rig.pins()
    pins.chime("no such tone")
    eventually(lambda: rig.pin("chime").state is True)


# --- the strike's time limit ----------------------------------------------------------------------


def test_cutoff_switches_strike_off_after_limit(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    pins = rig.pins(strike_max_on_s=0.05)
    pins.set("strike", True)
    eventually(lambda: "its time limit" in caplog.text)
    assert rig.levels("strike") == [False, True, False]
    pins.set("strike", True)  # after the cutoff, on is ignored until off was set
    assert rig.pin("strike").state is False
    pins.set("strike", False)
    pins.set("strike", True)
    assert rig.pin("strike").state is True


def due_s(pins: Pins) -> float | None:
    assert pins._cutoff is not None
    return pins._cutoff._due_s


def test_off_before_limit_prevents_cutoff(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    pins = rig.pins(strike_max_on_s=60.0)
    pins.set("strike", True)
    assert due_s(pins) is not None
    pins.set("strike", False)
    assert due_s(pins) is None
    assert caplog.text == ""


def test_second_on_does_not_extend_the_limit(rig: Rig) -> None:
    pins = rig.pins(strike_max_on_s=60.0)
    pins.set("strike", True)
    due = due_s(pins)
    pins.set("strike", True)
    assert due_s(pins) == due


def test_limit_of_one_release_does_not_end_the_next(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    pins = rig.pins(strike_max_on_s=1.0)
    pins.set("strike", True)
    first_s = due_s(pins) or 0.0
    pins.set("strike", False)
    eventually(lambda: time.monotonic() > first_s - 0.5)
    pins.set("strike", True)
    eventually(lambda: time.monotonic() > first_s + 0.05)
    assert rig.pin("strike").state is True
    eventually(lambda: "its time limit" in caplog.text)
    assert rig.pin("strike").state is False


def test_cutoff_has_one_thread_that_ends_with_the_pins(rig: Rig) -> None:
    pins = rig.pins()
    for _ in range(3):
        pins.set("strike", True)
        pins.set("strike", False)
    cutoffs = [one for one in threading.enumerate() if one.name == "strike-cutoff"]
    assert pins._cutoff is not None
    own = pins._cutoff._thread
    assert own in cutoffs
    pins.close()
    own.join(HANGS_S)
    assert not own.is_alive()


def test_strike_stays_off_when_cutoff_thread_cannot_start(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pins = rig.pins()
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError, match="new thread"):
        pins.set("strike", True)
    assert rig.levels("strike") == [False]


def test_close_switches_the_strike_off_first(rig: Rig) -> None:
    pins = rig.pins()
    pins.set("strike", True)
    pins.set("full_lamp", True)
    strike, lamp = rig.pin("strike"), rig.pin("full_lamp")
    order: list[str] = []

    def noted(what: str, call: Callable[..., None]) -> Callable[..., None]:
        def noting(*args: Any) -> None:
            order.append(" ".join([what, *map(str, args)]))
            call(*args)

        return noting

    lamp.close = noted("lamp released", lamp.close)
    strike._set_state = noted("strike", strike._set_state)
    pins.close()
    assert order[:2] == ["strike False", "lamp released"]
    assert [state.state for state in strike.states] == [False, True, False]
    pins.close()


def test_close_goes_on_when_one_line_fails(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    pins = rig.pins()
    pins.set("strike", True)
    strike, lamp = rig.pin("strike"), rig.pin("full_lamp")

    def broken() -> None:
        raise OSError("unplugged")

    lamp.close = broken
    pins.close()
    assert strike.state is False
    assert strike.function == "input"
    assert "not closed cleanly" in caplog.text
    lamp.close = lambda: None


# --- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "outputs", "text"),
    [
        (
            {"beam_outer": LineSettings(pin=17)},
            {"strike": LineSettings(pin=17, active="high")},
            "lines beam_outer and strike: both on pin 17; give each line its own pin",
        ),
        (
            {"beam_outer": LineSettings(pin=99)},
            {},
            "line beam_outer: pin 99 does not exist on this board; use a GPIO number, 2 to 27",
        ),
        (
            {},
            {"chime": LineSettings(pin=40, active="high")},
            "line chime: pin 40 does not exist on this board; use a GPIO number, 2 to 27",
        ),
        (
            {"beam_outer": LineSettings(pin=2, pull="down")},
            {},
            "line beam_outer: pin 2 has a fixed resistor on the board that pull = "
            '"down" cannot change; use another pin or pull = "up"',
        ),
        (
            {},
            {"strike": LineSettings(pin=17, active="low")},
            'line strike: active = "low" would open the door whenever the pin is low, as it is '
            'while the Pi starts; wire the strike active high and set active = "high"',
        ),
        (
            {},
            {"strike": LineSettings(pin=4, active="high")},
            "line strike: pin 4 is pulled up while the Pi starts and would open the door; "
            "use GPIO 9 to 27, with a pull-down resistor",
        ),
    ],
)
def test_impossible_wiring_is_one_line_with_way_out(
    rig: Rig, inputs: dict[str, Any], outputs: dict[str, Any], text: str
) -> None:
    with pytest.raises(PinsError) as refused:
        rig.pins(inputs=inputs, outputs=outputs)
    assert str(refused.value) == text


def test_pin_in_use_is_one_line_with_way_out(rig: Rig) -> None:
    from gpiozero import DigitalOutputDevice

    with (
        DigitalOutputDevice(5, pin_factory=rig.factory),
        pytest.raises(PinsError, match=r"line beam_outer: pin 5 cannot be used .*gpioinfo"),
    ):
        rig.pins()


def test_error_while_claiming_releases_the_strike(rig: Rig) -> None:
    strike = rig.pin("strike")
    with pytest.raises(PinsError):
        rig.pins(inputs={"beam_outer": LineSettings(pin=99)})
    assert [state.state for state in strike.states] == [False]
    assert strike.function == "input"
    rig.pins()


def test_unknown_factory_names_the_known_ones() -> None:
    with pytest.raises(PinsError, match=r'"pigpio" is unknown; use .*"lgpio" or .*"mock"'):
        make_factory("pigpio")


def test_mock_factory_is_of_gpiozero() -> None:
    assert isinstance(make_factory("mock"), MockFactory)


def test_nothing_is_logged_in_normal_use(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pins = rig.pins()
    pins.first_edges()
    rig.pin("beam_outer").drive_low()
    pins.set("strike", True)
    pins.close()
    assert caplog.records == []


def test_tones_are_as_long_as_sensing_expects() -> None:
    lengths = {tone: (on_s + off_s) * times * 1000 for tone, (on_s, off_s, times) in TONES.items()}
    assert lengths == pytest.approx(CHIME_MS)
