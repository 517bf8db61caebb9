"""What is known of one break-beam: its levels, its changes in this passage, and our doubts."""

from __future__ import annotations

from math import inf


class Beam:
    """One receiver: its raw level, its filtered level and its changes in this passage."""

    __slots__ = (
        "alone", "broken_ms", "calm_ms", "changes", "covered", "dead", "due", "ghost", "line",
        "raw", "since", "stable", "stuck",
    )  # fmt: skip

    def __init__(self, line: str) -> None:
        self.line = line
        self.raw: bool | None = None
        self.stable = False
        #: First raw edge of the unsettled stretch, and when it will have settled.
        self.since = inf
        self.due = inf
        #: Times of filtered changes: broken, clear, broken, ... in turn.
        self.changes: list[float] = []
        #: Since when it is broken (inf: it is not), and what we think of it.
        self.broken_ms = inf
        self.covered = self.stuck = self.dead = self.ghost = False
        #: When a chattering beam is trusted again; None: it does not chatter.
        self.calm_ms: float | None = None
        #: Bodies seen in a row by this beam alone.
        self.alone = 0

    def doubt(self) -> str:
        """Why this beam says nothing about a passage, or ''."""
        if self.calm_ms is not None:
            return "beam_chatter"
        if self.dead:
            return "beam_dead"
        return "beam_covered" if self.covered else ""


def broken_ms(changes: list[float]) -> float:
    """How long these changes say that the beam was broken, in ms (up to its last clear)."""
    return sum(changes[1::2]) - sum(changes[: len(changes) // 2 * 2 : 2])
