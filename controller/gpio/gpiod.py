"""gpiozero pins on the kernel's GPIO character device, through libgpiod: no thread ever spins.

gpiozero's usual backend wakes some 1,700 times a second once an input has edges enabled. Here one
thread sleeps in the kernel until a line changes (`EdgeListener`). Every edge has the kernel's own
CLOCK_MONOTONIC time stamp and number. A gap in the numbers is a lost edge: it is counted, and the
line's level is read again.

An output is requested together with its level, so nothing is on for even a microsecond. Pins that
are not configured are not touched.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Lock, RLock, Thread, current_thread
from time import monotonic, sleep
from typing import Any

import gpiod
from gpiod.line import Bias, Direction, Value
from gpiod.line import Edge as Edges
from gpiozero.exc import PinFixedPull, PinInvalidFunction, PinInvalidPull, PinSetInput
from gpiozero.pins.local import LocalPiFactory, LocalPiPin

log = logging.getLogger(__name__)

DEV = Path("/dev")
#: The chips that carry a Pi's 40-pin header; their number in /dev differs between models, kernels.
HEADER_CHIPS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
#: So long a chip that is not there yet, or not ours yet, is waited for: seconds.
LATE_S = 5.0
#: As many edges as the kernel keeps for a line until we have read them (GPIO_V2_LINES_MAX * 16).
BUFFERED_EDGES = 1024
#: Who holds the line, as `gpioinfo` shows it.
CONSUMER = "backdoor"

PULLS = {"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "floating": Bias.DISABLED}
EDGES = {"both": Edges.BOTH, "rising": Edges.RISING, "falling": Edges.FALLING}

#: The time stamp of an edge (ns, CLOCK_MONOTONIC), and the call that passes the edge on.
PendingCall = tuple[int, Callable[[], None]]


class ListenerError(Exception):
    """A line, or the thread that listens to all lines, has failed; only a restart helps."""


class GpiodFactory(LocalPiFactory):  # type: ignore[misc] # gpiozero has no types
    """Makes pins on the chip at ``path``, or on the one that has the header."""

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        self._get_board_info()  # raises without a Pi, before any line is requested
        self.chip = gpiod.Chip(path or late_header_chip())
        self.pin_class = GpiodPin
        self.listener = EdgeListener()
        #: Edges known to be lost, by BCM number, since the start.
        self.lost: dict[int, int] = {}

    def behind(self) -> bool:
        """Return whether an edge of before now may not have been passed on yet."""
        return self.listener.behind()

    def close(self) -> None:
        """Release all lines, then the chip."""
        super().close()
        self.listener.stop()
        self.chip.close()


class NoHeaderError(FileNotFoundError):
    """This kernel has GPIO chips, or none, and none of them is the 40-pin header's."""


def late_header_chip() -> str:
    """Return the path of the chip with the header, which a Pi 5 finds some time after its start."""
    end_s = monotonic() + LATE_S
    while True:
        try:
            return header_chip()
        except OSError:
            if monotonic() > end_s:
                raise
        sleep(0.1)


def header_chip() -> str:
    """Return the path of the chip with the 40-pin header, by its label; OSError without one.

    Its number is no name: it differs between models and kernels, and may change at any boot.
    """
    refused: OSError | None = None
    for path in sorted(DEV.glob("gpiochip*")):
        try:
            with gpiod.Chip(str(path)) as chip:
                if chip.get_info().label in HEADER_CHIPS:
                    return str(path)
        except OSError as error:
            refused = error
    if refused is not None:
        raise refused
    raise NoHeaderError(f"no GPIO chip is one of {', '.join(HEADER_CHIPS)}")


class GpiodPin(LocalPiPin):  # type: ignore[misc] # gpiozero has no types
    """One pin: a line request to the kernel; its settings change without releasing the line."""

    def __init__(self, factory: GpiodFactory, info: Any) -> None:
        super().__init__(factory, info)
        self._lock = RLock()  # libgpiod wants its objects used by one thread at a time
        self._settings = gpiod.LineSettings()
        self._request: gpiod.LineRequest | None = None
        self._edges = Edges.BOTH
        self._bounce_s: float | None = None
        self._seqno: int | None = None
        self._level: bool | None = None
        self._gap = False
        self._broken: Exception | None = None

    def close(self) -> None:
        """Release the line; the next device gets a pin without settings."""
        self.when_changed = None  # or gpiozero takes its edges for enabled
        with self._lock:
            self._edges, self._bounce_s = Edges.BOTH, None
            request, self._request = self._request, None
            self._settings = gpiod.LineSettings()
            if request is not None:
                self.factory.listener.remove(request.fd)
                request.release()

    def output_with_state(self, state: bool) -> None:
        """Make the pin an output that has the level ``state`` from the first moment on."""
        self._stop_listening()
        value = Value(int(bool(state)))
        self._apply(gpiod.LineSettings(direction=Direction.OUTPUT, output_value=value))

    def input_with_pull(self, pull: str) -> None:
        """Make the pin an input that has its pull from its first moment on."""
        self._stop_listening()
        self._apply(gpiod.LineSettings(direction=Direction.INPUT, bias=self._bias(pull)))

    def _change(self, **changes: Any) -> gpiod.LineRequest:
        with self._lock:
            return self._apply(replace(self._settings, **changes))

    def _apply(self, settings: gpiod.LineSettings) -> gpiod.LineRequest:
        with self._lock:
            if self._request is None:
                self._request = self.factory.chip.request_lines(
                    {self._number: settings},
                    consumer=CONSUMER,
                    event_buffer_size=BUFFERED_EDGES,
                )
            elif settings != self._settings:
                self._request.reconfigure_lines({self._number: settings})
            self._settings = settings
            return self._request

    def _get_function(self) -> str:
        return "output" if self._settings.direction is Direction.OUTPUT else "input"

    def _set_function(self, value: str) -> None:
        if value == "output":
            self.output_with_state(False)
        elif value == "input":
            self._stop_listening()
            self._apply(gpiod.LineSettings(direction=Direction.INPUT, bias=Bias.DISABLED))
        else:
            raise PinInvalidFunction(f'invalid function "{value}" for pin {self!r}')

    def _get_state(self) -> int:
        self.factory.listener.check()
        if self._broken is not None:
            raise ListenerError(f"{self!r} can't be read any more: {self._broken}")
        with self._lock:
            return int(bool(self._change().get_value(self._number)))

    def _set_state(self, value: Any) -> None:
        if self._settings.direction is not Direction.OUTPUT:
            raise PinSetInput(f"cannot set state of pin {self!r}")
        with self._lock:
            level = Value(int(bool(value)))
            self._change().set_value(self._number, level)
            self._settings = replace(self._settings, output_value=level)

    def _bias(self, pull: str) -> Bias:
        if pull not in PULLS:
            raise PinInvalidPull(f'invalid pull "{pull}" for pin {self!r}')
        if self.info.pull not in (pull, ""):
            raise PinFixedPull(f"{self!r} has a physical pull-{self.info.pull} resistor")
        return PULLS[pull]

    def _get_pull(self) -> str:
        names = {bias: name for name, bias in PULLS.items()}
        return str(self.info.pull or names.get(self._settings.bias, "floating"))

    def _set_pull(self, value: str) -> None:
        if self.function != "input":
            raise PinFixedPull(f"cannot set pull on non-input pin {self!r}")
        self._change(bias=self._bias(value))

    def _get_bounce(self) -> float | None:
        return self._bounce_s

    def _set_bounce(self, value: float | None) -> None:
        """Set how long a level must last for the kernel to report it, in seconds."""
        self._bounce_s = value
        self._change(debounce_period=timedelta(seconds=value or 0))

    def _get_edges(self) -> str:
        return next(name for name, edges in EDGES.items() if edges is self._edges)

    def _set_edges(self, value: str) -> None:
        self._edges = EDGES[value]
        if self._settings.edge_detection is not Edges.NONE:
            self._change(edge_detection=self._edges)

    # --- edges ----------------------------------------------------------------------------------

    def _enable_event_detect(self) -> None:
        with self._lock:
            self._seqno = self._level = None
            request = self._change(direction=Direction.INPUT, edge_detection=self._edges)
            self.factory.listener.add(request.fd, self)

    def _disable_event_detect(self) -> None:
        self._stop_listening()
        if self._request is not None:
            self._change(edge_detection=Edges.NONE)

    def _stop_listening(self) -> None:
        with self._lock:
            if self._request is not None:
                self.factory.listener.remove(self._request.fd)

    def read_edges(self) -> list[PendingCall]:
        """Return the edges that are waiting, without waiting; mark a failing line broken."""
        with self._lock:
            try:
                if self._request is None or not self._request.wait_edge_events(0):
                    return []  # released meanwhile
                events = self._request.read_edge_events(BUFFERED_EDGES)
            except (OSError, ValueError) as error:
                log.error("%r: its edges can't be read (%s); the service restarts", self, error)
                self._broken = error
                self._stop_listening()
                return []
        return [(event.timestamp_ns, partial(self._handle_edge, event)) for event in events]

    def _handle_edge(self, event: gpiod.EdgeEvent) -> None:
        """Pass one edge on, and note whether one before it was lost."""
        level = event.event_type is gpiod.EdgeEvent.Type.RISING_EDGE
        lost = 0 if self._seqno is None else event.line_seqno - self._seqno - 1
        if not lost and self._edges is Edges.BOTH and level is self._level:
            lost = 1  # two rising edges: the falling one between them was too short for the kernel
        if lost:
            self.factory.lost[self._number] = self.factory.lost.get(self._number, 0) + lost
            self._gap = True
        self._seqno, self._level = event.line_seqno, level
        self._call_when_changed(event.timestamp_ns / 1e9, level)

    def recover_level(self) -> None:
        """After a loss, read the level, and pass it on if it differs from the last edge."""
        with self._lock:
            waiting = self._request is not None and self._request.wait_edge_events(0)
        if waiting or not self._gap:
            return  # the waiting edges are older than the level would be
        self._gap = False
        log.warning(
            "%r: the kernel lost edges, %d since the start; its level is read again",
            self,
            self.factory.lost[self._number],
        )
        level = bool(self._get_state())
        if level is not self._level:
            self._call_when_changed(self.factory.ticks(), level)


class EdgeListener:
    """One thread that sleeps until lines have edges, and passes them on in the order of time.

    It has no time-outs and polls nothing. An exception while an edge is passed on is logged and
    costs that edge, never the thread. If the thread ends all the same, `check` raises.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._stop, select.EPOLLIN)
        self._lock = Lock()
        self._pins: dict[int, GpiodPin] = {}
        self._thread: Thread | None = None
        self._dispatching = False

    def add(self, fd: int, pin: GpiodPin) -> None:
        """Listen to ``pin``; ``fd`` is readable when it has edges."""
        with self._lock:
            if fd not in self._pins:
                self._poll.register(fd, select.EPOLLIN)
            self._pins[fd] = pin
            if self._thread is None:
                self._thread = Thread(target=self._run, name="gpio-edges", daemon=True)
                self._thread.start()

    def remove(self, fd: int) -> None:
        """Stop listening to ``fd``, if it was added."""
        with self._lock:
            if self._pins.pop(fd, None) is not None and not self._poll.closed:
                self._poll.unregister(fd)

    def behind(self) -> bool:
        """Return whether an edge of before now may not have been passed on yet."""
        # In this order: an edge that can't be read any more is being passed on, or was already.
        return bool(self._poll.poll(0)) or self._dispatching

    def check(self) -> None:
        """Raise `ListenerError` if the thread has ended: from then on every edge is missed."""
        thread = self._thread
        if thread is not None and not thread.is_alive():
            raise ListenerError("the thread that listens to the pins has ended")

    def stop(self) -> None:
        """End the thread; may be called twice."""
        if self._poll.closed:
            return
        os.eventfd_write(self._stop, 1)
        thread, self._thread = self._thread, None
        if thread is not None and thread is not current_thread():
            thread.join()
        self._poll.close()
        os.close(self._stop)

    def _run(self) -> None:
        try:
            while True:
                ready = [fd for fd, _ in self._poll.poll()]
                if self._stop in ready:
                    return
                self._dispatching = True
                self._dispatch(ready)
                self._dispatching = False
        except Exception:  # `check` sees the end of this thread, and the service restarts
            log.exception("the thread that listens to the pins has ended; the service restarts")

    def _dispatch(self, ready: Iterable[int]) -> None:
        with self._lock:
            pins = [self._pins[fd] for fd in ready if fd in self._pins]
        waiting = [item for pin in pins for item in pin.read_edges()]
        for _, call in sorted(waiting, key=lambda item: item[0]):
            _call_safely(call)
        for pin in pins:
            _call_safely(pin.recover_level)


def _call_safely(call: Callable[[], None]) -> None:
    """Call a function that may raise: an exception must not end the listening thread."""
    try:
        call()
    except Exception:
        log.exception("an edge was not passed on; please report this")
