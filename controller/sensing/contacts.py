"""Switches (contacts, buttons, the evacuation input): a level counts once it stood still."""

from __future__ import annotations

from math import inf

from controller.events import Contact, Sensed


class Contacts:
    """Settle each switch by itself: a level counts after ``settle_ms``; 0: at its edge."""

    def __init__(self, settle_ms: float) -> None:
        self.due = inf
        self._settle_ms = settle_ms
        self._settled: dict[str, bool] = {}
        self._raw: dict[str, bool] = {}
        self._pending: dict[str, float] = {}

    def edge(self, line: str, t_ms: float, level: bool) -> list[Sensed]:
        """Take one raw edge; each bounce starts the settling time again."""
        self._raw[line] = level
        if line not in self._settled or self._settle_ms <= 0:
            return self._report(t_ms, line)
        self._pending[line] = t_ms + self._settle_ms
        self.due = min(self._pending.values())
        return []

    def tick(self, t_ms: float) -> list[Sensed]:
        """Return a `Contact` for each switch whose level has stood still long enough."""
        events: list[Sensed] = []
        for line, due in list(self._pending.items()):
            if due <= t_ms:
                del self._pending[line]
                events += self._report(due, line)
        self.due = min(self._pending.values()) if self._pending else inf
        return events

    def _report(self, t_ms: float, line: str) -> list[Sensed]:
        level = self._raw[line]
        if self._settled.get(line) is level:
            return []
        self._settled[line] = level
        return [Contact(t_ms, line, level)]
