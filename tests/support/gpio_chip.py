"""A GPIO chip without hardware, at the lowest seam there is without a kernel module.

What is faked is the C extension of libgpiod's Python binding (``gpiod._ext``); the Python half of
the binding, gpiozero and our factory are the real ones. Each requested line has a real file
descriptor that can be read when edges wait, so a poll on it really sleeps. As in the kernel, edges
are stamped and numbered when they happen, and a full buffer drops the oldest.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gpiod
import gpiod._ext as ext

if TYPE_CHECKING:  # the benches measure a process that must be as it is in the field
    import pytest

OUTPUT, UP, NO_EDGES = ext.DIRECTION_OUTPUT, ext.BIAS_PULL_UP, ext.EDGE_NONE
RISING, FALLING = ext.EDGE_EVENT_TYPE_RISING, ext.EDGE_EVENT_TYPE_FALLING


class Settings:
    """What `gpiod.LineSettings` becomes on its way to C."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)


class Config:
    """Settings by offset."""

    def __init__(self) -> None:
        self.lines: dict[int, Any] = {}

    def add_line_settings(self, offsets: list[int], settings: Any) -> None:
        self.lines |= dict.fromkeys(offsets, settings)


@dataclass
class Line:
    """One line of the chip: its wire's level, and who holds it."""

    level: bool = False
    request: Request | None = None
    seqno: int = 0


@dataclass
class Board:
    """All lines, and every call that changed one, in order."""

    label: str = "pinctrl-bcm2711"
    refuses: OSError | None = None
    lines: dict[int, Line] = field(default_factory=lambda: {n: Line() for n in range(54)})
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def edge(
        self, offset: int, level: bool, at_ns: int | None = None, left: bool | None = None
    ) -> None:
        """Bring a wire to a level; whoever listens on it gets a stamped, numbered event.

        ``left`` is the level that later edges, lost ones, have left behind by then.
        """
        line = self.lines[offset]
        line.level = level if left is None else left
        if line.request is None or line.request.edges(offset) == NO_EDGES:
            return
        line.seqno += 1
        kind = RISING if level else FALLING
        stamp = monotonic_ns() if at_ns is None else at_ns
        line.request.deliver(gpiod.EdgeEvent(kind, stamp, offset, line.seqno, line.seqno))

    def miss(self, offset: int, level: bool) -> None:
        """Bring a wire to a level that the hardware does not notice."""
        self.lines[offset].level = level

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Board:
        """Put this board where the binding's C extension would find a chip."""
        monkeypatch.setattr(ext, "Chip", lambda path: Chip(self, path))
        monkeypatch.setattr(ext, "LineConfig", Config)
        monkeypatch.setattr(ext, "LineSettings", Settings)
        monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03111)
        return self


class Chip:
    """``gpiod._ext.Chip``."""

    def __init__(self, board: Board, path: str) -> None:
        if board.refuses is not None:
            raise board.refuses
        self._board = board
        self.path = path

    def get_info(self) -> gpiod.ChipInfo:
        return gpiod.ChipInfo("gpiochip0", self._board.label, len(self._board.lines))

    def get_line_name(self, offset: int) -> None:
        return None

    def request_lines(self, config: Config, consumer: str | None, size: int | None) -> Request:
        if any(self._board.lines[offset].request for offset in config.lines):
            raise OSError(errno.EBUSY, "Device or resource busy")
        return Request(self._board, config, size or 16)

    def close(self) -> None:
        self._board.calls.append(("close chip",))


class Request:
    """``gpiod._ext.Request``."""

    chip_name = "gpiochip0"

    def __init__(self, board: Board, config: Config, size: int) -> None:
        self._board = board
        self._lock = Lock()
        self._events: deque[gpiod.EdgeEvent] = deque(maxlen=size)
        self.fd, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        self.offsets = list(config.lines)
        self._apply("request", config)
        for offset in self.offsets:
            board.lines[offset].request = self

    num_lines = property(lambda self: len(self.offsets))

    def _apply(self, call: str, config: Config) -> None:
        self._lines = config.lines
        for offset, line in config.lines.items():
            if line.direction == OUTPUT:
                assert line.edge_detection == NO_EDGES, "EINVAL: edges of an output"
                self._board.calls.append((call, offset, "output", line.output_value.__int__()))
                self._board.lines[offset].level = bool(line.output_value)
            else:
                self._board.calls.append((call, offset, "input"))
                if line.bias in (UP, ext.BIAS_PULL_DOWN):
                    self._board.lines[offset].level = line.bias == UP

    def edges(self, offset: int) -> Any:
        return self._lines[offset].edge_detection

    def deliver(self, event: gpiod.EdgeEvent) -> None:
        with self._lock:
            if len(self._events) < (self._events.maxlen or 0):
                os.write(self._bell, b"!")
            self._events.append(event)

    def release(self) -> None:
        for offset in self.offsets:
            self._board.lines[offset].request = None
            self._board.calls.append(("release", offset))
        os.close(self.fd)
        os.close(self._bell)

    def get_values(self, offsets: list[int], values: list[Any]) -> None:
        values[:] = [gpiod.line.Value(int(self._board.lines[o].level)) for o in offsets]

    def set_values(self, values: dict[int, Any]) -> None:
        for offset, value in values.items():
            self._board.calls.append(("set", offset, int(bool(value))))
            self._board.lines[offset].level = bool(value)

    def reconfigure_lines(self, config: Config) -> None:
        self._apply("reconfigure", config)

    def read_edge_events(self, most: int | None) -> list[gpiod.EdgeEvent]:
        rung = os.read(self.fd, most or 64)  # sleeps when there is none, as the kernel does
        with self._lock:
            return [self._events.popleft() for _ in rung]
