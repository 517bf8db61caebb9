"""Knocks on two surfaces of one wall: bursts of pulses in, `Knock` and `KnockEnded` out."""

from __future__ import annotations

from math import inf
from typing import Protocol

from controller.events import Knock, KnockEnded, Sensed


class Numbers(Protocol):
    """The settings that knocks are heard with (see ``sensing.Settings``)."""

    @property
    def knock_raps(self) -> int: ...
    @property
    def knock_gap_ms(self) -> float: ...


class Knocks:
    """First version: a rap is a pulse after quiet; the second rap in time makes a knock."""

    def __init__(self, numbers: Numbers) -> None:
        self.due = inf
        self._n = numbers
        self._place = ""
        self._raps: list[float] = []
        self._last_pulse_ms = -inf
        self._masked_until_ms = -inf

    def hatch_edge(self, t_ms: float, level: bool) -> list[Sensed]:
        """Take a pulse edge of the hatch sensor."""
        return self._pulse(t_ms, "hatch") if level else []

    def door_edge(self, t_ms: float, level: bool) -> list[Sensed]:
        """Take a pulse edge of the front-door sensor."""
        return self._pulse(t_ms, "door") if level else []

    def hush(self, t_ms: float) -> None:
        """Ignore what follows: the door, the hatch, the strike or the chime moved."""
        self._masked_until_ms = t_ms + 500.0

    def slam(self, t_ms: float) -> None:
        """The door or the hatch moved."""
        self.hush(t_ms)

    def _pulse(self, t_ms: float, place: str) -> list[Sensed]:
        quiet = t_ms - self._last_pulse_ms
        self._last_pulse_ms = t_ms
        if t_ms < self._masked_until_ms or quiet < 80.0:
            return []
        if not self._raps:
            self._place = place
        self._raps.append(t_ms)
        self.due = t_ms + self._n.knock_gap_ms
        return [Knock(t_ms, self._place, 2)] if len(self._raps) == self._n.knock_raps else []

    def tick(self, t_ms: float) -> list[Sensed]:
        """End the knock after its silence."""
        if t_ms < self.due:
            return []
        raps, self._raps, at, self.due = len(self._raps), [], self.due, inf
        return [KnockEnded(at, self._place, raps)] if raps >= self._n.knock_raps else []
