"""Edges in, events out: which line belongs to which detector, and when each wants to be woken.

Pure and streaming: time comes in with every edge and tick, memory is bounded, and the same edges
and ticks give the same events, live and in ``replay``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from controller.contacts import Contacts
from controller.events import Edge, Sensed
from controller.knocks import Knocks
from controller.passages import Passages

SWITCHES = (
    "door_contact",
    "bolt_contact",
    "hatch_contact",
    "release_button",
    "exit_button",
    "evacuate",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every number that sensing is tuned with, in milliseconds and millimetres."""

    beam_spacing_mm: float = 90.0
    beam_settle_ms: float = 6.0
    beam_dropout_ms: float = 45.0
    beam_stuck_after_ms: float = 60_000.0
    contact_settle_ms: float = 30.0
    knock_raps: int = 2
    knock_gap_ms: float = 1300.0


class Senses:
    """All inputs of one house; the driver ticks every deadline before it gives a later edge."""

    def __init__(self, settings: Settings, lines: Collection[str]) -> None:
        self._passages = Passages(settings, door="door_contact" in lines)
        self._knocks = Knocks(settings)
        self._contacts = Contacts([s for s in SWITCHES if s in lines], settings.contact_settle_ms)
        self._levels: dict[str, bool] = {}
        self._handlers: dict[str, Callable[[float, bool], list[Sensed]]] = {
            "hatch_knock": self._knocks.hatch_edge,
            "door_knock": self._knocks.door_edge,
            "beam_outer": self._passages.outer_edge,
            "beam_inner": self._passages.inner_edge,
            **self._contacts.handlers,
        }

    def edge(self, edge: Edge) -> list[Sensed]:
        """Take one edge; a level that the line already has says nothing new."""
        line, level = edge.line, edge.level
        first = line not in self._levels
        if not first and self._levels[line] is level:
            return []
        self._levels[line] = level
        if line in ("door_contact", "hatch_contact") and not first:
            self._knocks.hush(edge.t_ms)
        if line == "door_contact":
            self._passages.door_edge(edge.t_ms, level)
        if first and line in ("hatch_knock", "door_knock"):
            return []
        return self._handlers[line](edge.t_ms, level)

    def tick(self, t_ms: float) -> list[Sensed]:
        """Whatever is due at ``t_ms``."""
        told: list[Sensed] = []
        for part in (self._contacts, self._passages, self._knocks):
            if part.due <= t_ms:
                told += part.tick(t_ms)
        return told

    def deadline(self) -> float | None:
        """When `tick` is needed next, or None."""
        due = min(self._contacts.due, self._passages.due, self._knocks.due)
        return None if due == float("inf") else due

    def hush(self, t_ms: float) -> None:
        """Our own strike or chime moved: what the knock sensors hear now is not a guest."""
        self._knocks.hush(t_ms)
