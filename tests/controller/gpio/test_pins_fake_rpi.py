"""The wiring table against a second backend: gpiozero's real RPi.GPIO pins over fake-rpi.

What this proves: our pins drive gpiozero's *unchanged* RPi.GPIO backend rightly - which calls it
makes, in which order and with which levels, pulls and polarity. fake-rpi as it is remembers nothing
(its inputs are random, its outputs do nothing), so a class derived from its ``_GPIO`` adds a memory
of function, level and callback, as the real library has it in the chip.

What it does not prove: anything about time, a kernel, or a Pi. It shows a real weakness of that
backend, though: the level is read when the callback runs, so a pulse that is over by then is not
seen. lgpio hands the level over with the edge; that is why it is our default.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from fake_rpi import toggle_print
from fake_rpi.RPi import _GPIO

from controller.config.settings import LineSettings
from controller.events import Edge
from controller.gpio.pins import Pins, PinsError, make_factory

LINES = {
    "beam_outer": LineSettings(pin=5, pull="up", active="low"),
    "door_contact": LineSettings(pin=6, pull="up", active="high"),
    "exit_button": LineSettings(pin=13, pull="down", active="high"),
    "hatch_knock": LineSettings(pin=16, pull="none", active="high"),
}
OUTPUTS = {
    "full_lamp": LineSettings(pin=22, active="low"),
    "strike": LineSettings(pin=17, active="high"),
}


class RememberingGPIO(_GPIO):  # type: ignore[misc] # fake-rpi has no types
    """fake-rpi's GPIO with the memory that the chip has."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: dict[int, int] = {}
        self.levels: dict[int, int] = {}
        self.callbacks: dict[int, Callable[[int], None]] = {}
        self.calls: list[tuple[Any, ...]] = []

    def setup(
        self, channel: int, state: int, pull_up_down: int = 20, initial: int | None = None
    ) -> None:
        self.functions[channel] = state
        self.calls.append(("setup", channel, "out" if state == self.OUT else "in", initial))
        if state == self.OUT:
            self.levels[channel] = int(initial or 0)
        else:
            self.levels[channel] = int(pull_up_down == self.PUD_UP)

    def gpio_function(self, channel: int) -> int:
        return self.functions[channel]

    def input(self, channel: int) -> int:
        return self.levels[channel]

    def output(self, channel: int, state: int) -> None:
        assert self.functions[channel] == self.OUT
        self.calls.append(("output", channel, int(state)))
        self.levels[channel] = int(state)

    def add_event_detect(
        self, channel: int, edge: int, callback: Any = None, bouncetime: int = -666
    ) -> None:
        assert (edge, bouncetime) == (self.BOTH, -666), "no bounce time: debounce is in sensing"
        self.callbacks[channel] = callback

    def remove_event_detect(self, channel: int) -> None:
        self.callbacks.pop(channel, None)

    def cleanup(self, channel: int | None = None) -> None:
        self.calls.append(("cleanup", channel))

    def drive(self, channel: int, level: int, *, late: bool = False) -> None:
        """Let the world drive an input; ``late`` if its callback has not run yet."""
        if self.levels[channel] != level:
            self.levels[channel] = level
            if not late and channel in self.callbacks:
                self.callbacks[channel](channel)


@pytest.fixture
def gpio(monkeypatch: pytest.MonkeyPatch) -> Iterator[RememberingGPIO]:
    """Put the fake where gpiozero's backend imports it from, and everything back afterwards."""
    toggle_print(False)
    gpio = RememberingGPIO()
    package, module = ModuleType("RPi"), "gpiozero.pins.rpigpio"
    package.GPIO = gpio  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "RPi", package)
    monkeypatch.setitem(sys.modules, "RPi.GPIO", gpio)
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03111)
    before = sys.modules.pop(module, None)
    yield gpio
    sys.modules.pop(module, None)
    if before is not None:
        sys.modules[module] = before


class Rig:
    """Pins on the fake, and the edges that came out."""

    def __init__(self, gpio: RememberingGPIO, **lines: LineSettings) -> None:
        self.edges: list[Edge] = []
        self.factory = make_factory("rpigpio")
        self.pins = Pins(
            self.factory,
            {name: line for name, line in (lines or LINES).items() if name not in OUTPUTS},
            OUTPUTS,
            on_edge=self.edges.append,
            to_house_ms=lambda seconds: seconds * 1000,
            strike_max_on_s=5.0,
        )

    def levels(self) -> list[tuple[str, bool]]:
        return [(edge.line, edge.level) for edge in self.edges]


@pytest.fixture
def rig(gpio: RememberingGPIO) -> Iterator[Rig]:
    rig = Rig(gpio)
    yield rig
    rig.pins.close()


def test_strike_is_set_up_at_low_in_one_call(gpio: RememberingGPIO, rig: Rig) -> None:
    calls = [call for call in gpio.calls if call[1] == 17]
    assert calls == [("setup", 17, "in", None), ("setup", 17, "out", False)]


def test_active_low_lamp_is_set_up_high_in_one_call(gpio: RememberingGPIO, rig: Rig) -> None:
    calls = [call for call in gpio.calls if call[1] == 22]
    assert calls[-1] == ("setup", 22, "out", True)


def test_level_is_active_as_wired(gpio: RememberingGPIO, rig: Rig) -> None:
    first = {edge.line: edge.level for edge in rig.pins.first_edges()}
    assert first == {
        "beam_outer": False,  # pulled up, active low
        "door_contact": True,  # pulled up, active high: nobody holds it down, the door is open
        "exit_button": False,
        "hatch_knock": False,
    }


@pytest.mark.parametrize(
    ("line", "pin", "active"),
    [("beam_outer", 5, 0), ("exit_button", 13, 1), ("hatch_knock", 16, 1)],
)
def test_both_edges_are_reported(
    gpio: RememberingGPIO, rig: Rig, line: str, pin: int, active: int
) -> None:
    gpio.drive(pin, active)
    gpio.drive(pin, 1 - active)
    assert rig.levels() == [(line, True), (line, False)]
    assert rig.edges[0].t_ms <= rig.edges[1].t_ms <= rig.factory.ticks() * 1000


def test_known_weakness_short_pulse_gives_no_edge(gpio: RememberingGPIO, rig: Rig) -> None:
    """The knock came and went before the callback ran: RPi.GPIO reads the level only now."""
    rig.pins.first_edges()
    gpio.drive(16, 1, late=True)
    gpio.drive(16, 0, late=True)
    gpio.callbacks[16](16)
    gpio.callbacks[16](16)
    assert rig.levels() == []
    assert rig.pins.reread() == []


def test_reread_finds_a_lost_edge(gpio: RememberingGPIO, rig: Rig) -> None:
    rig.pins.first_edges()
    gpio.drive(5, 0, late=True)
    assert rig.pins.reread() == []  # its edge may be on its way
    (edge,) = rig.pins.reread()
    assert (edge.line, edge.level, edge.resync) == ("beam_outer", True, True)


def test_strike_goes_on_and_off_and_off_at_the_end(gpio: RememberingGPIO) -> None:
    rig = Rig(gpio)
    gpio.calls.clear()
    rig.pins.set("strike", True)
    rig.pins.set("strike", False)
    rig.pins.set("strike", True)
    rig.pins.close()
    ours = [call for call in gpio.calls if call[1] == 17]
    assert ours[:4] == [("output", 17, 1), ("output", 17, 0), ("output", 17, 1), ("output", 17, 0)]
    assert ours[4] == ("cleanup", 17)
    assert gpio.callbacks == {}


def test_pull_the_board_does_not_have_is_refused(gpio: RememberingGPIO) -> None:
    with pytest.raises(PinsError, match="pin 2 has a fixed resistor on the board"):
        Rig(gpio, beam_outer=LineSettings(pin=2, pull="down"))


def test_missing_library_is_one_line_with_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "RPi", None)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.rpigpio", raising=False)
    with pytest.raises(PinsError, match=r'"rpigpio": .*apt install python3-rpi-lgpio'):
        make_factory("rpigpio")
