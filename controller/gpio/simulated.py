"""A doorway without hardware: gpiozero's mock pins, and a simulator that moves them.

`SimulatedPins` stamps every edge with exactly the house time at which it is meant to happen, as a
kernel would, and `Simulator` holds the clock until the edge is fed. So a guest walks at real speed
through an evening that runs 600 times as fast, and a trace played live gives what `replay` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Event, Lock
from typing import NamedTuple

from gpiozero.pins.mock import MockFactory, MockPin
from gpiozero.pins.pi import PiPin

from controller.clock import Clock
from controller.config.settings import LineSettings
from controller.events import INPUT_LINES, Command


class Move(NamedTuple):
    """One level of one line, ``at_ms`` after the beginning of the act.

    As in a trace, a line ``cmd:NAME`` is a command with ``level`` as its number.
    """

    at_ms: float
    line: str
    level: int


#: A guest 0.28 m deep at 0.8 m/s through beams 90 mm apart breaks each for 350 ms, 112 ms apart.
_LAG_MS, _BODY_MS = 112.0, 350.0
#: Time to walk up before knocking: a burst right after the door moved comes from the door, and one
#: within 1.2 s of a knock at the other place belongs to that knock.
_WALK_UP_MS = 1500.0
#: From the hand on the handle to the body in the doorway, and from there to the door falling shut.
_OPEN_MS, _SHUT_MS = 600.0, 700.0


def _crossing(first: str, second: str, at_ms: float) -> list[Move]:
    return [
        Move(at_ms, first, True),
        Move(at_ms + _LAG_MS, second, True),
        Move(at_ms + _BODY_MS, first, False),
        Move(at_ms + _LAG_MS + _BODY_MS, second, False),
    ]


def _turning_back(at_ms: float) -> list[Move]:
    return [
        Move(at_ms, "beam_outer", True),
        Move(at_ms + _LAG_MS, "beam_inner", True),
        Move(at_ms + _LAG_MS + 400, "beam_inner", False),
        Move(at_ms + 2 * _LAG_MS + 400, "beam_outer", False),
    ]


def _through_door(passage: list[Move]) -> list[Move]:
    """Return a passage with the door opened from inside before it (exit button), and shut after."""
    shut_ms = passage[-1].at_ms + _SHUT_MS
    return [
        Move(0, "exit_button", True),
        Move(150, "door_contact", True),
        Move(200, "exit_button", False),
        *passage,
        Move(shut_ms, "door_contact", False),
    ]


def _raps(line: str, times_ms: Iterable[float]) -> list[Move]:
    """Return the pulses of knocking: five a rap, as a piezo module gives them."""
    pulses = ((0.0, 1.4), (2.6, 0.9), (5.1, 0.7), (8.4, 0.5), (12.0, 0.4))
    return [
        Move(_WALK_UP_MS + rap_ms + start_ms + (0 if level else on_ms), line, level)
        for rap_ms in times_ms
        for start_ms, on_ms in pulses
        for level in (True, False)
    ]


def _press(line: str) -> list[Move]:
    return [Move(0, line, True), Move(150, line, False)]


ACTS: Mapping[str, list[Move]] = {
    "walk_in": _through_door(_crossing("beam_outer", "beam_inner", _OPEN_MS)),
    "walk_out": _through_door(_crossing("beam_inner", "beam_outer", _OPEN_MS)),
    "turn_back": _through_door(_turning_back(_OPEN_MS)),
    "knock_hatch": _raps("hatch_knock", (0.0, 260.0)),
    "knock_door": _raps("door_knock", (0.0, 240.0, 500.0)),
    "open_door": [
        Move(0, "exit_button", True),
        Move(100, "door_contact", True),
        Move(200, "exit_button", False),
    ],
    "close_door": [Move(0, "door_contact", False)],
    "open_hatch": [Move(0, "hatch_contact", True)],
    "close_hatch": [Move(0, "hatch_contact", False)],
    "press_release": _press("release_button"),
}

#: After this time all that was fed has been judged: contacts settle, beams must stay clear.
SETTLED_MS = 150.0
THROUGH_DOOR = frozenset({"walk_in", "walk_out", "turn_back"})


class SimulatedPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """A mock pin whose edges have its factory's ticks, as real pins do, not the machine's."""

    def _call_when_changed(self) -> None:
        PiPin._call_when_changed(self, self.factory.ticks(), self._state)


class SimulatedPins(MockFactory):  # type: ignore[misc] # gpiozero has no types
    """Mock pins of the input ``lines``, whose ticks are house time in seconds."""

    def __init__(self, clock: Clock, lines: Mapping[str, LineSettings]) -> None:
        super().__init__(pin_class=SimulatedPin)
        self._clock = clock
        self._lines = lines
        self._stamp_ms: float | None = None

    def rest(self) -> None:
        """Make all inputs inactive; a mock pin that was just claimed follows its pull."""
        for line in self._lines:
            self.drive(line, level=False)

    def ticks(self) -> float:
        """Return the house time, or the exact time of the edge that is being fed."""
        stamp_ms = self._stamp_ms
        return (self._clock.now_ms() if stamp_ms is None else stamp_ms) / 1000

    def behind(self) -> bool:
        """Return False: house time is held until each edge has been passed on."""
        return False

    def drive(self, line: str, *, level: bool, stamp_ms: float | None = None) -> None:
        """Bring the input pin of ``line`` to a level; nothing happens if it is not wired."""
        settings = self._lines.get(line)
        if settings is None:
            return
        pin = self.pin(settings.pin)
        self._stamp_ms = stamp_ms
        try:
            if level == (settings.active == "high"):
                pin.drive_high()
            else:
                pin.drive_low()
        finally:
            self._stamp_ms = None


class Simulator:
    """Moves the simulated pins; each method returns when its last edge has been fed and handled.

    ``send`` passes a command to the service. ``wait_for_effects`` returns once the effects of all
    that was fed so far have been published.
    """

    def __init__(
        self,
        clock: Clock,
        pins: SimulatedPins,
        send: Callable[[Command], None],
        wait_for_effects: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._pins = pins
        self._send = send
        self._wait_for_effects = wait_for_effects
        self._levels: dict[str, int] = {}
        self._one_act = Lock()
        self._stopped = Event()

    def act(self, name: str) -> None:
        """Play one act of `ACTS`, without the moves of the door if it already stands open."""
        moves = ACTS[name]
        with self._one_act:
            if name in THROUGH_DOOR and self._levels.get("door_contact"):
                moves = [move for move in moves if move.line not in ("door_contact", "exit_button")]
            self._play(moves)

    def line(self, line: str, level: bool) -> None:
        """Bring one line to a level; raise KeyError if there is no such input."""
        with self._one_act:
            if line not in INPUT_LINES:
                raise KeyError(line)
            self._play([Move(0, line, level)])

    def play(self, moves: Iterable[Move]) -> None:
        """Play a whole trace, beginning now."""
        with self._one_act:
            self._play(moves)

    def stop(self) -> None:
        """End what is being played."""
        self._stopped.set()

    def _play(self, moves: Iterable[Move]) -> None:
        start_ms = self._clock.now_ms()
        t_ms = start_ms
        try:
            for move in moves:
                t_ms = start_ms + move.at_ms
                self._feed(move, t_ms)
                if self._stopped.is_set():
                    return
        finally:
            self._clock.let_go(self)
        self._wait(t_ms + SETTLED_MS)
        self._wait_for_effects()

    def _feed(self, move: Move, t_ms: float) -> None:
        """Hold the clock at ``t_ms``, wait for it, and move."""
        self._clock.hold(self, t_ms)
        self._wait(t_ms)
        if move.line.startswith("cmd:"):
            name = move.line.removeprefix("cmd:")
            self._send(Command(t_ms, name, move.level, cause="trace"))
        else:
            self._levels[move.line] = move.level
            self._pins.drive(move.line, level=bool(move.level), stamp_ms=t_ms)

    def _wait(self, t_ms: float) -> None:
        while (wait_s := self._clock.seconds_until(t_ms)) > 0 and not self._stopped.is_set():
            self._stopped.wait(wait_s)
