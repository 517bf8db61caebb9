"""The pins, on gpiozero: edges with the kernel's time stamps; strike, lamps and chime.

Debouncing and the grouping of knocks are in ``sensing``, so that replay has them too; gpiozero's
``bounce_time`` means something else in every backend. Callbacks run on the backend's one thread,
and an exception would end all inputs, so they only pass the edge on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from gpiozero import DigitalInputDevice, DigitalOutputDevice
from gpiozero.exc import PinFixedPull, PinInvalidPin

from controller.config.settings import FIRST_SAFE_STRIKE_PIN
from controller.events import Edge
from controller.gpio.cutoff import StrikeCutoff
from controller.gpio.factories import PinsError, make_factory

if TYPE_CHECKING:
    from controller.config.settings import LineSettings

__all__ = ["TONES", "Pins", "PinsError", "make_factory"]

log = logging.getLogger(__name__)

#: Seconds on, seconds off and how often, for each tone of the chime.
TONES: Mapping[str, tuple[float, float, int]] = {
    "warning": (0.2, 0.2, 2),
    "time_up": (0.8, 0.4, 3),
    "overtime": (0.4, 0.4, 2),
    "over_capacity": (0.15, 0.1, 5),
    "evacuate": (0.5, 0.25, 20),
}

#: On and off time of a blinking lamp, seconds.
BLINK_S = 0.5

#: How long the loop waits for a blinking that ends, seconds; then it tries again at the next tick.
STOP_S = 0.05
#: At the end it waits longer, for each lamp: then nobody tries again.
CLOSE_S = 1.0
#: An output that could not be driven for so long is a fault, seconds.
FAILED_S = 5.0

#: Lost edges of several lines, found at the same moment, are dated so far apart (ms).
APART_MS = 0.2

#: Kernels before 5.7 stamp edges with the wall clock. A stamp further than this from now (seconds)
#: is not of our clock, and the time of the callback is used instead.
STAMP_LIMIT_S = 1.0


class Input(DigitalInputDevice):  # type: ignore[misc] # gpiozero has no types
    """One input that reports every edge with the time stamp (``ticks``) of the backend."""

    def __init__(
        self, settings: LineSettings, factory: Any, report: Callable[[float, bool], None]
    ) -> None:
        pulled = {"up": True, "down": False, "none": None}[settings.pull]
        active_high = settings.active == "high"
        # gpiozero ties the active level to the pull; a switch that opens (a door contact) does not.
        self._inverted = pulled is not None and pulled == active_high
        self._active_high = active_high
        self._report: Callable[[float, bool], None] | None = None
        super().__init__(
            settings.pin,
            pull_up=pulled,
            active_state=active_high if pulled is None else None,
            pin_factory=factory,
        )
        self._report = report  # from here on: the constructor's own call is not an edge

    def level(self) -> bool:
        """Read the line now and return whether it is active."""
        return bool(self.pin.state) is self._active_high

    def _fire_events(self, ticks: float, new_active: bool) -> None:
        report = self._report
        if report is not None:
            report(ticks, bool(new_active) != self._inverted)


class Output(DigitalOutputDevice):  # type: ignore[misc] # gpiozero has no types
    """One output; a blinking that does not end keeps nobody waiting.

    gpiozero blinks in a thread of its own and waits ten seconds for its end, as long as the
    watchdog waits for us; then it raises `ZombieThread`.
    """

    _patience_s = STOP_S

    def _stop_blink(self) -> None:
        blinking = getattr(self, "_blink_thread", None)
        if blinking is not None:
            blinking.stop(self._patience_s)
        super()._stop_blink()

    def close(self) -> None:
        """Switch it off, however long that takes, within reason: nothing else has to be done."""
        self._patience_s = CLOSE_S
        super().close()


class Pins:
    """All wired lines. Lines that are not wired give no edges, and setting them does nothing."""

    def __init__(
        self,
        factory: Any,
        inputs: Mapping[str, LineSettings],
        outputs: Mapping[str, LineSettings],
        *,
        on_edge: Callable[[Edge], None],
        to_house_ms: Callable[[float], float],
        strike_max_on_s: float,
    ) -> None:
        self._factory = factory
        self._on_edge = on_edge
        self._to_house_ms = to_house_ms
        self._reported: dict[str, bool] = {}
        #: Inputs whose level differed from the last reported one at the last re-read.
        self._mismatched: set[str] = set()
        self._lock = Lock()
        self._outputs: dict[str, Any] = {}
        self._levels: dict[str, tuple[bool, bool]] = {}
        #: What could not be done to a lamp or the chime, and since when, monotonic seconds.
        self._undone: dict[str, tuple[Callable[[], None], float]] = {}
        self._inputs: dict[str, Input] = {}
        self._cutoff: StrikeCutoff | None = None
        _check_wiring(inputs, outputs)
        try:
            self._claim(inputs, outputs, strike_max_on_s)
        except BaseException:
            self.close()
            raise

    def _claim(
        self,
        inputs: Mapping[str, LineSettings],
        outputs: Mapping[str, LineSettings],
        strike_max_on_s: float,
    ) -> None:
        for line in sorted(outputs, key=lambda name: name != "strike"):  # the strike first: at off
            self._outputs[line] = self._output(line, outputs[line])
        if "strike" in self._outputs:
            self._cutoff = StrikeCutoff(self._outputs["strike"], strike_max_on_s)
        for line, settings in inputs.items():
            self._inputs[line] = self._input(line, settings)

    def _output(self, line: str, settings: LineSettings) -> Any:
        try:
            return Output(
                settings.pin,
                active_high=settings.active == "high",
                initial_value=False,
                pin_factory=self._factory,
            )
        except Exception as error:  # lgpio.error has no better base
            raise _pins_error(line, settings, error) from error

    def _input(self, line: str, settings: LineSettings) -> Input:
        def report(ticks: float, level: bool) -> None:
            self._on_input(line, ticks, level)

        try:
            return Input(settings, self._factory, report)
        except Exception as error:  # lgpio.error has no better base
            raise _pins_error(line, settings, error) from error

    def _on_input(self, line: str, ticks: float, level: bool) -> None:
        try:
            with self._lock:  # edges are reported in the order of their handling
                self._mismatched.discard(line)
                if self._reported.get(line) is not level:
                    self._reported[line] = level
                    self._on_edge(Edge(self._house_ms(ticks), line, level))
        except Exception:  # an exception here would end every input for good
            log.exception("%s: an edge was lost; please report this", line)

    def _house_ms(self, ticks: float) -> float:
        now: float = self._factory.ticks()
        believed = now - STAMP_LIMIT_S <= ticks <= now
        return self._to_house_ms(ticks if believed else now)

    def behind(self) -> bool:
        """Return whether an edge of before now may not have been reported; True if unknown."""
        ask = getattr(self._factory, "behind", None)
        return ask is None or bool(ask())

    def first_edges(self) -> list[Edge]:
        """Read every input once and return its level as its first edge."""
        with self._lock:
            return [self._read(line, device.level()) for line, device in self._inputs.items()]

    def reread(self) -> list[Edge]:
        """Read every input again; return a ``resync`` edge for each whose edge was lost.

        A level that differs for the first time may belong to an edge that is on its way. If it
        still differs at the next call, and no edge of that line came meanwhile, the edge is lost.
        The returned edges are newer than all reported ones: handle them after the queue. Nobody
        knows when they were; they are dated a little apart, or a trace would show one spike.
        """
        with self._lock:
            differ = {
                line: level
                for line, device in self._inputs.items()
                if (level := device.level()) is not self._reported.get(line)
            }
            lost = [line for line in differ if line in self._mismatched]
            self._mismatched = differ.keys() - lost
            return [
                self._read(line, differ[line], APART_MS * k, resync=True)
                for k, line in enumerate(lost)
            ]

    def _read(self, line: str, level: bool, late_ms: float = 0.0, resync: bool = False) -> Edge:
        self._reported[line] = level
        t_ms = self._to_house_ms(self._factory.ticks()) + late_ms
        return Edge(t_ms, line, level, resync=resync)

    def set(self, line: str, level: bool, blink: bool = False) -> None:
        """Set an output; a lamp that is on may ``blink``. Without that line nothing happens.

        Only the strike raises what goes wrong: a lamp is tried again (`retry`).
        """
        if line == "strike":
            if self._cutoff is not None:
                self._cutoff.set(level)
        elif line in self._outputs and self._levels.get(line) != (level, blink):
            self._levels[line] = (level, blink)
            self._drive(line, partial(self._set_level, self._outputs[line], level, blink))

    def retry(self) -> frozenset[str]:
        """Do what outputs have not done; return those that have not for `FAILED_S`."""
        if not self._undone:
            return frozenset()
        for line, (action, _) in list(self._undone.items()):
            self._drive(line, action)
        late_s = monotonic() - FAILED_S
        return frozenset(line for line, (_, at_s) in self._undone.items() if at_s <= late_s)

    def _drive(self, line: str, action: Callable[[], None]) -> None:
        """Drive a lamp or the chime; the loop goes on whatever comes of it."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - lgpio.error has no better base
            if line not in self._undone:
                log.warning("%s: cannot be driven (%s); it is tried again", line, error)
            _, since_s = self._undone.get(line, (action, monotonic()))
            self._undone[line] = (action, since_s)
        else:
            self._undone.pop(line, None)

    def driven(self) -> dict[str, tuple[bool, bool]]:
        """Return for each output whether it is switched on now, and whether it blinks."""
        levels = {line: self._levels.get(line, (False, False)) for line in self._outputs}
        if "chime" in levels:
            levels["chime"] = (bool(self._outputs["chime"].is_active), False)
        if self._cutoff is not None:
            levels["strike"] = (self._cutoff.is_on, False)
        return levels

    def _set_level(self, output: Any, level: bool, blink: bool) -> None:
        if level and blink:
            output.blink(BLINK_S, BLINK_S)
        elif level:
            output.on()
        else:
            output.off()

    def chime(self, tone: str) -> None:
        """Start ``tone`` in place of one that still rings. Without a chime nothing happens."""
        if "chime" in self._outputs:
            on_s, off_s, times = TONES.get(tone, TONES["warning"])
            self._drive("chime", partial(self._outputs["chime"].blink, on_s, off_s, times))

    def close(self) -> None:
        """Switch the strike off first, then release all lines; may be called twice."""
        steps: list[Callable[[], None]] = []
        if self._cutoff is not None:
            steps.append(self._cutoff.close)
        steps += [output.close for output in self._outputs.values()]
        steps += [device.close for device in self._inputs.values()]
        for step in [*steps, self._factory.close]:
            try:
                step()
            except Exception:
                log.exception("pins: a line was not closed cleanly; please report this")
        self._cutoff = None
        self._outputs.clear()
        self._inputs.clear()


def _check_wiring(inputs: Mapping[str, LineSettings], outputs: Mapping[str, LineSettings]) -> None:
    owners: dict[int, str] = {}
    for line, settings in [*inputs.items(), *outputs.items()]:
        if settings.pin in owners:
            raise PinsError(
                f"lines {owners[settings.pin]} and {line}: both on pin {settings.pin}; "
                "give each line its own pin"
            )
        owners[settings.pin] = line
    strike = outputs.get("strike")
    if strike is not None and strike.active != "high":
        raise PinsError(
            f'line strike: active = "{strike.active}" would open the door whenever the pin is low, '
            'as it is while the Pi starts; wire the strike active high and set active = "high"'
        )
    if strike is not None and strike.pin < FIRST_SAFE_STRIKE_PIN:
        raise PinsError(
            f"line strike: pin {strike.pin} is pulled up while the Pi starts and would open the "
            f"door; use GPIO {FIRST_SAFE_STRIKE_PIN} to 27, with a pull-down resistor"
        )


def _pins_error(line: str, settings: LineSettings, error: Exception) -> PinsError:
    where = f"line {line}: pin {settings.pin}"
    match error:
        case PinInvalidPin():
            return PinsError(f"{where} does not exist on this board; use a GPIO number, 2 to 27")
        case PinFixedPull():
            return PinsError(
                f"{where} has a fixed resistor on the board that pull = "
                f'"{settings.pull}" cannot change; use another pin or pull = "up"'
            )
        case _:
            return PinsError(
                f"{where} cannot be used ({error}); stop the program that holds it "
                "(`gpioinfo` names it) or use another pin"
            )
