"""The default backend: our gpiozero factory on libgpiod, over a faked chip (see ``gpio_chip``)."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpiozero import LED, Button, OutputDevice
from gpiozero.exc import GPIOZeroError, PinFixedPull, PinInvalidPull, PinPWMUnsupported, PinSetInput

from controller.config.settings import WIRING, LineSettings
from controller.events import INPUT_LINES, OUTPUT_LINES, Edge
from controller.gpio.gpiod import ListenerError
from controller.gpio.pins import Pins, PinsError, make_factory
from tests.support.gpio_chip import Board
from tests.support.wait import eventually

pytest.importorskip("gpiod", reason="Linux only")

OUTPUTS = {
    "full_lamp": LineSettings(pin=22, active="low"),
    "strike": LineSettings(pin=17, active="high"),
}
INPUTS = {"beam_outer": LineSettings(pin=5), "hatch_knock": LineSettings(16, "down", "high")}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    (tmp_path / "gpiochip0").touch()
    monkeypatch.setattr("controller.gpio.gpiod.DEV", tmp_path)
    monkeypatch.setattr("controller.gpio.factories.DEV", tmp_path)
    return Board().install(monkeypatch)


@pytest.fixture
def factory(board: Board) -> Iterator[Any]:
    made = make_factory("gpiod")
    yield made
    made.close()


def make_pins(factory: Any, edges: list[Edge], **lines: Any) -> Pins:
    return Pins(
        factory,
        lines.get("inputs", INPUTS),
        lines.get("outputs", OUTPUTS),
        on_edge=edges.append,
        to_house_ms=lambda seconds: seconds * 1000,
        strike_max_on_s=5.0,
    )


def lines_and_levels(edges: list[Edge]) -> list[tuple[str, bool]]:
    return [(edge.line, edge.level) for edge in edges]


# --- outputs -------------------------------------------------------------------------------------


def test_output_is_requested_at_off_and_no_other_pin_is_touched(board: Board, factory: Any) -> None:
    pins = make_pins(factory, [], inputs={})
    assert board.calls == [
        ("close chip",),  # the one that was looked at
        ("request", 17, "output", 0),
        ("request", 22, "output", 1),  # the lamp is active low
    ]
    pins.close()


def test_strike_is_off_before_its_line_is_released(board: Board, factory: Any) -> None:
    pins = make_pins(factory, [])
    pins.set("strike", True)
    assert board.lines[17].level
    board.calls.clear()
    pins.close()
    assert board.calls[0] == ("set", 17, 0)
    assert board.calls.index(("release", 17)) < board.calls.index(("close chip",))
    assert not any(line.request for line in board.lines.values())


def test_output_requested_again_has_its_level_set_again(board: Board, factory: Any) -> None:
    """The kernel keeps the level that was set last, not the one of the request."""
    pin = factory.pin(17)
    pin.output_with_state(False)
    pin.state = 1
    pin.output_with_state(False)
    assert not board.lines[17].level


# --- edges ---------------------------------------------------------------------------------------


def test_edge_has_level_and_time_of_the_kernel(board: Board, factory: Any) -> None:
    """A pulse of 3 ms that is over long before anybody looks is seen in full."""
    edges: list[Edge] = []
    pins = make_pins(factory, edges)
    now_ns = time.monotonic_ns()
    board.edge(16, True, now_ns - 20_000_000)
    board.edge(16, False, now_ns - 17_000_000)
    eventually(lambda: len(edges) == 2)
    assert lines_and_levels(edges) == [("hatch_knock", True), ("hatch_knock", False)]
    stamps = [edge.t_ms for edge in edges]
    assert stamps == pytest.approx([now_ns / 1e6 - 20, now_ns / 1e6 - 17], abs=0.001)
    pins.close()


def test_waiting_edges_of_two_lines_are_passed_on_in_time_order(board: Board, factory: Any) -> None:
    edges: list[Edge] = []
    pins = make_pins(factory, edges, inputs={**INPUTS, "beam_inner": LineSettings(6)})
    asleep = threading.Event()

    def slow(edge: Edge) -> None:
        edges.append(edge)
        asleep.wait(30)

    pins._on_edge = slow
    board.edge(16, True)
    eventually(lambda: len(edges) == 1)
    start_ns = time.monotonic_ns()
    for step in range(10):  # while the thread is busy, both beams chatter
        board.edge(5, bool(step % 2), start_ns + 2 * step)
        board.edge(6, bool(step % 2), start_ns + 2 * step + 1)
    asleep.set()
    eventually(lambda: len(edges) == 21)
    assert [edge.line for edge in edges[1:]] == ["beam_outer", "beam_inner"] * 10
    pins.close()


def test_burst_longer_than_kernel_buffer_counts_lost_edges(board: Board, factory: Any) -> None:
    edges: list[Edge] = []
    awake = threading.Event()

    def slow(edge: Edge) -> None:
        edges.append(edge)
        awake.wait(30)

    pins = make_pins(factory, [])
    pins._on_edge = slow
    board.edge(16, True)
    eventually(lambda: len(edges) == 1)
    for _ in range(1000):  # nobody reads meanwhile, and the kernel keeps 1,024 of these 2,000
        board.edge(16, False)
        board.edge(16, True)
    awake.set()
    eventually(lambda: len(edges) == 1 + 1024)
    assert factory.lost == {16: 2000 - 1024}
    assert edges[-1].level is True
    pins.close()


def test_gap_in_line_seqno_counts_lost_edges_and_rereads_level(
    board: Board, factory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    edges: list[Edge] = []
    pins = make_pins(factory, edges)
    board.edge(16, True)
    board.lines[16].seqno += 3
    board.edge(16, False, left=True)
    eventually(lambda: len(edges) == 3)
    assert lines_and_levels(edges)[-1] == ("hatch_knock", True)
    assert factory.lost == {16: 3}
    assert "the kernel lost edges, 3 since the start" in caplog.text
    pins.close()


def test_two_rising_edges_in_a_row_count_a_lost_edge(board: Board, factory: Any) -> None:
    edges: list[Edge] = []
    pins = make_pins(factory, edges)
    board.edge(16, True)
    board.edge(16, True)
    board.edge(16, False)
    eventually(lambda: len(edges) == 2)
    assert lines_and_levels(edges) == [("hatch_knock", True), ("hatch_knock", False)]
    assert factory.lost == {16: 1}
    pins.close()


def test_reread_finds_an_edge_the_hardware_missed(board: Board, factory: Any) -> None:
    pins = make_pins(factory, [])
    pins.first_edges()
    board.miss(16, True)
    assert pins.reread() == []  # its edge may be on its way
    (edge,) = pins.reread()
    assert (edge.line, edge.level, edge.resync) == ("hatch_knock", True, True)
    pins.close()


def test_behind_while_an_edge_is_passed_on_or_waits(board: Board, factory: Any) -> None:
    heard, go_on = threading.Event(), threading.Event()

    def callback() -> None:
        heard.set()
        go_on.wait(30)

    with Button(5, pin_factory=factory) as button:
        button.when_pressed = callback
        assert not factory.behind()
        board.edge(5, False)
        assert heard.wait(30)
        assert factory.behind()  # it is being told
        factory.listener._dispatching = False  # as if that were done
        assert not factory.behind()
        board.edge(5, True)
        assert factory.behind()  # one waits in the kernel
        go_on.set()
        eventually(lambda: not factory.behind())


# --- what goes wrong -----------------------------------------------------------------------------


def test_exception_in_callback_costs_one_edge(
    board: Board, factory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    def callback() -> None:
        heard.append(1)
        if len(heard) == 1:
            raise RuntimeError("no")

    with Button(5, pin_factory=factory) as button:
        button.when_pressed = callback
        for _ in range(2):
            board.edge(5, False)
            board.edge(5, True)
        eventually(lambda: len(heard) == 2)
    assert "an edge was not passed on" in caplog.text


def test_read_raises_after_the_listening_thread_has_ended(board: Board, factory: Any) -> None:
    pins = make_pins(factory, [])
    pins.first_edges()
    factory.listener._pins = None  # whatever may kill it
    board.edge(16, True)
    eventually(lambda: not factory.listener._thread.is_alive())
    with pytest.raises(ListenerError, match="thread that listens to the pins has ended"):
        pins.reread()
    factory.listener._pins = {}
    pins.close()


def test_read_of_a_broken_line_raises_and_other_lines_work(
    board: Board, factory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    edges: list[Edge] = []
    pins = make_pins(factory, edges)
    pins.first_edges()
    request = board.lines[16].request
    assert request is not None

    def gone(most: int | None) -> Any:
        raise OSError(errno.ENODEV, "No such device")

    request.read_edge_events = gone  # type: ignore[method-assign]
    board.edge(16, True)
    eventually(lambda: "can't be read" in caplog.text)
    board.edge(5, False)
    eventually(lambda: ("beam_outer", True) in lines_and_levels(edges))
    with pytest.raises(ListenerError, match=r"GPIO16 can't be read any more: .*No such device"):
        pins.reread()
    pins.close()


def test_line_held_by_another_program_is_one_line_with_way_out(board: Board, factory: Any) -> None:
    board.lines[17].request = board  # type: ignore[assignment]
    with pytest.raises(PinsError, match=r"line strike: pin 17 cannot be used .*busy.*gpioinfo"):
        make_pins(factory, [])
    board.lines[17].request = None


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), r"cannot open .*usermod -aG gpio"),
        (FileNotFoundError(errno.ENOENT, "gone"), r"cannot open .*gpiochip0"),
    ],
)
def test_chip_without_permission_names_the_group(board: Board, error: OSError, says: str) -> None:
    board.refuses = error
    with pytest.raises(PinsError, match=says):
        make_factory("gpiod")


def test_chip_without_the_header_is_not_used(board: Board) -> None:
    board.label = "raspberrypi-exp-gpio"
    with pytest.raises(PinsError, match="no GPIO chip is one of pinctrl-bcm2835") as refused:
        make_factory("gpiod")
    assert "does not know the Pi's 40-pin header" in str(refused.value)
    assert "On a Pi 5 use Raspberry Pi OS" in str(refused.value)
    assert "usermod" not in str(refused.value)


def test_chip_that_appears_late_is_found_by_its_label(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def appears(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            board.label = "pinctrl-rp1"

    board.label = "raspberrypi-exp-gpio"
    monkeypatch.setattr("controller.gpio.gpiod.sleep", appears)
    monkeypatch.setattr("controller.gpio.gpiod.LATE_S", 60.0)
    make_factory("gpiod").close()
    assert len(waited) == 3


def test_without_a_pi_is_one_line_with_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.gpio.factories.DEV", tmp_path)
    with pytest.raises(PinsError, match=r'"gpiod": this machine has no Raspberry Pi pins'):
        make_factory("gpiod")


def test_missing_gpiod_names_the_other_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    monkeypatch.delitem(sys.modules, "controller.gpio.gpiod", raising=False)
    with pytest.raises(PinsError, match=r'make setup.* or use factory "lgpio"'):
        make_factory("gpiod")


# --- gpiozero's own devices ----------------------------------------------------------------------


def test_gpiozero_devices_work_on_the_factory(board: Board, factory: Any) -> None:
    with (
        Button(5, bounce_time=0.01, pin_factory=factory) as button,
        Button(6, pull_up=None, active_state=True, pin_factory=factory) as floating,
        LED(17, pin_factory=factory) as led,
        OutputDevice(22, active_high=False, initial_value=None, pin_factory=factory),
    ):
        assert (button.pull_up, floating.pull_up) == (True, None)
        assert (button.pin.bounce, button.pin.edges, led.pin.function) == (0.01, "both", "output")
        led.on()
        assert (led.value, board.lines[17].level) == (1, True)
        board.edge(5, False)
        assert button.wait_for_press(5)
        button.pin.edges = "rising"
        assert button.pin.edges == "rising"
        led.pin.function = "input"
        assert led.pin.function == "input"


def test_impossible_pin_settings_raise_gpiozeros_errors(board: Board, factory: Any) -> None:
    pin = factory.pin(5)
    assert (pin.function, pin.state) == ("input", 0)
    with pytest.raises(PinSetInput):
        pin.state = 1
    with pytest.raises(PinInvalidPull):
        pin.pull = "sideways"
    with pytest.raises(PinPWMUnsupported):
        pin.frequency = 100
    with pytest.raises(GPIOZeroError):
        pin.function = "alt5"
    with pytest.raises(PinFixedPull):
        factory.pin(2).input_with_pull("down")  # a resistor on the board pulls it up
    pin.output_with_state(True)
    with pytest.raises(PinFixedPull):
        pin.pull = "up"


def test_close_twice_and_close_from_a_callback(board: Board, factory: Any) -> None:
    button = Button(5, pin_factory=factory)
    button.when_pressed = button.close
    board.edge(5, False)
    eventually(lambda: button.closed)
    eventually(lambda: board.lines[5].request is None)
    button.close()
    with Button(5, pin_factory=factory) as again:  # the same pin, for its next user
        board.edge(5, True)
        board.edge(5, False)
        assert again.wait_for_press(5)
    factory.close()
    factory.close()


# --- idle ----------------------------------------------------------------------------------------


def test_listening_thread_sleeps_with_all_lines_idle(board: Board, factory: Any) -> None:
    """What the whole controller costs is in the bench; this thread's share of it is nothing."""
    pins = make_pins(
        factory,
        [],
        inputs={line: WIRING[line] for line in INPUT_LINES},
        outputs={line: WIRING[line] for line in OUTPUT_LINES},
    )
    (thread,) = [t for t in threading.enumerate() if t.name == "gpio-edges"]
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> list[str]:
        return [line for line in status.read_text().splitlines() if "ctxt_switches" in line]

    eventually(lambda: "S (sleeping)" in status.read_text())
    before = switches()
    time.sleep(1.0)  # the stretch that is measured
    assert switches() == before
    pins.close()


def test_benched_program_loads_no_test_runner() -> None:
    """No test runner in the measured process: its memory and its CPU would be in the figures."""
    program = (
        "import runpy, sys\n"
        "sys.argv = ['backdoor', '--help']\n"
        "try: runpy.run_module('tests.tools.bench.on_chip', run_name='__main__')\n"
        "except SystemExit: print(*sys.modules)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"controller.gpio.gpiod", "gpiod"} <= loaded
    assert not loaded & {"pytest", "_pytest", "hypothesis"}
