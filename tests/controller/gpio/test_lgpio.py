"""The other backend: gpiozero's lgpio pins, on a stub of lgpio that writes down every call.

No GPIO chip is needed. What the stub proves is the order of claims: an output is claimed *with* its
level, so that nothing that opens a door or lights a lamp is on for even a microsecond.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from controller.config.settings import LineSettings
from controller.events import Edge
from controller.gpio.pins import Pins, PinsError, make_factory

IS_OUT, PULL_UP = 1 << 1, 1 << 5


class Lgpio(ModuleType):
    """The part of lgpio that gpiozero uses, remembering calls, modes and levels."""

    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 1 << 7, PULL_UP, 1 << 6
    RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, 3

    class error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.calls: list[tuple[Any, ...]] = []
        self.modes: dict[int, int] = {}
        self.levels: dict[int, int] = {}
        self.callbacks: dict[int, Callable[..., None]] = {}
        self.refuses = ""

    def gpiochip_open(self, chip: int) -> int:
        if self.refuses:
            raise self.error(self.refuses)
        return 7

    def gpiochip_close(self, handle: int) -> None:
        self.calls.append(("close chip",))

    def gpio_claim_input(self, handle: int, gpio: int, flags: int = 0) -> None:
        self.calls.append(("input", gpio))
        self.modes[gpio] = flags
        self.levels[gpio] = int(flags == PULL_UP)

    def gpio_claim_output(self, handle: int, gpio: int, level: int = 0, flags: int = 0) -> None:
        self.calls.append(("output", gpio, level))
        self.modes[gpio] = IS_OUT
        self.levels[gpio] = level

    def gpio_claim_alert(self, handle: int, gpio: int, edges: int, flags: int = 0) -> None:
        self.calls.append(("alert", gpio, edges))
        self.modes[gpio] = flags

    def gpio_free(self, handle: int, gpio: int) -> None:
        self.calls.append(("free", gpio))

    def gpio_get_mode(self, handle: int, gpio: int) -> int:
        return self.modes[gpio]

    def gpio_read(self, handle: int, gpio: int) -> int:
        return self.levels[gpio]

    def gpio_write(self, handle: int, gpio: int, level: int) -> None:
        self.calls.append(("write", gpio, int(level)))
        self.levels[gpio] = int(level)

    def gpio_set_debounce_micros(self, handle: int, gpio: int, micros: int) -> None:
        assert micros == 0, "no bounce time: debounce is in sensing"

    def callback(self, handle: int, gpio: int, edges: int, function: Callable[..., None]) -> Any:
        self.callbacks[gpio] = function
        lgpio = self

        class Callback:
            def cancel(self) -> None:
                lgpio.callbacks.pop(gpio, None)

        return Callback()

    def edge(self, gpio: int, level: int, at_ns: int) -> None:
        """Tell an edge as the kernel does: with its level and its own time stamp."""
        self.callbacks[gpio](0, gpio, level, at_ns)


@pytest.fixture
def lgpio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lgpio]:
    """Stand in for lgpio where gpiozero imports it, and put everything back afterwards."""
    stub, module = Lgpio(), "gpiozero.pins.lgpio"
    monkeypatch.setitem(sys.modules, "lgpio", stub)
    monkeypatch.setenv("LG_WD", os.getcwd())
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03111)
    before = sys.modules.pop(module, None)
    yield stub
    sys.modules.pop(module, None)
    if before is not None:
        sys.modules[module] = before


OUTPUTS = {
    "full_lamp": LineSettings(pin=22, active="low"),
    "strike": LineSettings(pin=17, active="high"),
}
INPUTS = {"beam_outer": LineSettings(pin=5), "hatch_knock": LineSettings(16, "down", "high")}


def make_pins(edges: list[Edge]) -> tuple[Any, Pins]:
    factory = make_factory("lgpio")
    pins = Pins(
        factory,
        INPUTS,
        OUTPUTS,
        on_edge=edges.append,
        to_house_ms=lambda seconds: seconds * 1000,
        strike_max_on_s=5.0,
    )
    return factory, pins


def test_outputs_are_claimed_at_off(lgpio: Lgpio) -> None:
    _, pins = make_pins([])
    outputs = [call for call in lgpio.calls if call[0] in ("output", "write")]
    assert outputs == [("output", 17, 0), ("output", 22, 1)]  # the lamp is active low
    pins.close()


def test_strike_is_off_before_its_line_is_released(lgpio: Lgpio) -> None:
    _, pins = make_pins([])
    pins.set("strike", True)
    lgpio.calls.clear()
    pins.close()
    assert lgpio.calls[:2] == [("write", 17, 0), ("input", 17)]
    assert lgpio.calls[-1] == ("close chip",)


def test_edge_has_level_and_time_of_the_kernel(lgpio: Lgpio) -> None:
    """A pulse of 3 ms that is over long before the callbacks run is seen in full."""
    edges: list[Edge] = []
    factory, pins = make_pins(edges)
    now_ns = int(factory.ticks() * 1e9)
    lgpio.edge(16, 1, now_ns - 20_000_000)
    lgpio.edge(16, 0, now_ns - 17_000_000)
    assert [(edge.line, edge.level) for edge in edges] == [
        ("hatch_knock", True),
        ("hatch_knock", False),
    ]
    assert [edge.t_ms for edge in edges] == pytest.approx(
        [now_ns / 1e6 - 20, now_ns / 1e6 - 17], abs=0.001
    )
    pins.close()


def test_wall_clock_stamp_of_an_old_kernel_is_replaced(lgpio: Lgpio) -> None:
    edges: list[Edge] = []
    factory, pins = make_pins(edges)
    before = factory.ticks()
    lgpio.edge(5, 0, 1_800_000_000_000_000_000)
    assert before * 1000 <= edges[0].t_ms <= factory.ticks() * 1000
    pins.close()


def test_line_held_by_another_program_is_one_line_with_way_out(lgpio: Lgpio) -> None:
    def busy(handle: int, gpio: int, level: int = 0, flags: int = 0) -> None:
        raise lgpio.error("GPIO busy")

    lgpio.gpio_claim_output = busy  # type: ignore[method-assign]
    with pytest.raises(PinsError, match=r"line strike: pin 17 cannot be used \(GPIO busy\)"):
        make_pins([])


def test_chip_without_permission_names_the_group(
    lgpio: Lgpio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lgpio.refuses = "can not open gpiochip"
    monkeypatch.setattr("controller.gpio.factories.DEV", tmp_path)
    with pytest.raises(PinsError, match="this machine has no Raspberry Pi pins"):
        make_factory("lgpio")
    (tmp_path / "gpiochip0").touch()
    with pytest.raises(PinsError, match=r"cannot open .*/gpiochip0 .*usermod -aG gpio"):
        make_factory("lgpio")


def test_missing_lgpio_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.setenv("LG_WD", os.getcwd())
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    with pytest.raises(PinsError, match="apt install python3-lgpio"):
        make_factory("lgpio")


def test_pipe_that_cannot_be_made_names_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lgpio.py").write_text("open('/no/such/place/.lgd-nfy-3')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LG_WD", "/no/such/place")
    monkeypatch.delitem(sys.modules, "lgpio", raising=False)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    with pytest.raises(PinsError, match="cannot make its pipe in /no/such/place"):
        make_factory("lgpio")


def test_pipe_gets_a_folder_of_its_own_without_lg_wd(
    lgpio: Lgpio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LG_WD")
    make_factory("lgpio").close()
    assert Path(os.environ["LG_WD"]).is_dir()


# --- the real lgpio, in a process of its own: it starts a thread and moves to another directory ---

REAL = """
import os
from controller.gpio.pins import PinsError, make_factory
try:
    make_factory("lgpio")
except PinsError as error:
    print(error)
print(os.getcwd(), os.listdir("."))
"""


def real(cwd: Path, **environment: str) -> list[str]:
    pytest.importorskip("lgpio", reason="no wheel for this Python; apt has it on a Pi")
    env = {**os.environ, "PYTHONPATH": os.getcwd(), **environment}
    done = subprocess.run(
        [sys.executable, "-c", REAL], cwd=cwd, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_real_lgpio_without_a_chip_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    message, place = real(tmp_path)
    assert "this machine has no Raspberry Pi pins" in message
    assert "backdoor demo" in message
    assert place == f"{tmp_path} []"  # neither its pipe nor its change of directory


def test_real_lgpio_without_a_folder_for_its_pipe_names_it(tmp_path: Path) -> None:
    message, _ = real(tmp_path, LG_WD="/no/such/place")
    assert "cannot make its pipe in /no/such/place" in message
    assert "set LG_WD" in message
