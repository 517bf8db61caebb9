"""Switches (contacts, buttons, the evacuation input): a level counts once it stood still."""

from __future__ import annotations

from math import inf

from controller.events import Contact, Sensed


class Contacts:
    """Settle every switch by itself: stable for ``settle_ms``, 0 = believed at the edge."""

    def __init__(self, settle_ms: float) -> None:
        self.due = inf
        self._settle_ms = settle_ms
        self._told: dict[str, bool] = {}
        self._raw: dict[str, bool] = {}
        self._pending: dict[str, float] = {}

    def edge(self, line: str, t_ms: float, level: bool) -> list[Sensed]:
        """Take one raw edge; bounce only pushes the decision away."""
        self._raw[line] = level
        if line not in self._told or self._settle_ms <= 0:
            return self._tell(t_ms, line)
        self._pending[line] = t_ms + self._settle_ms
        self.due = min(self._pending.values())
        return []

    def tick(self, t_ms: float) -> list[Sensed]:
        """Tell every switch whose level has stood still long enough by ``t_ms``."""
        told: list[Sensed] = []
        for line, due in list(self._pending.items()):
            if due <= t_ms:
                del self._pending[line]
                told += self._tell(due, line)
        self.due = min(self._pending.values()) if self._pending else inf
        return told

    def _tell(self, t_ms: float, line: str) -> list[Sensed]:
        level = self._raw[line]
        if self._told.get(line) is level:
            return []
        self._told[line] = level
        return [Contact(t_ms, line, level)]
