"""Hits: pulses of the two knock sensors that belong together, and the raps that they may be."""

from __future__ import annotations

from typing import NamedTuple


class Rap(NamedTuple):
    """One hit that could be a knuckle: when, how strong at each place, and where first."""

    t_ms: float
    strengths: tuple[float, float]
    first: int


class Hit:
    """Pulses of both sensors that belong together, while they come."""

    __slots__ = ("end_ms", "first", "on_ms", "pulses", "since_ms", "up_ms")

    def __init__(self, t_ms: float, first: int) -> None:
        self.since_ms = self.end_ms = t_ms
        self.first = first
        self.pulses = [0, 0]
        self.on_ms = [0.0, 0.0]
        self.up_ms: list[float | None] = [None, None]

    def rap(self) -> Rap:
        """What this hit was, if it was a knuckle."""
        hatch, door = (n + on / 3 for n, on in zip(self.pulses, self.on_ms, strict=True))
        return Rap(self.since_ms, (hatch, door), self.first)
