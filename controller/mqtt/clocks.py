"""Whose clock differs from ours, by what their commands say of the time at which they were issued.

A command from the future shows it at once. One that is old may only have come late; a second one
that is as old says that its sender's clock is behind. A command in time, or ten minutes without a
word, ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.events import Fault

#: Two old commands are of the same clock if their ages differ by less, and they came within this.
AGREE_S, WITHIN_MS = 2.0, 120_000.0
#: How long it is shown after the last command that said so.
SHOWN_MS = 600_000.0


@dataclass(frozen=True, slots=True)
class _Heard:
    """How far a clock was ahead of ours (seconds; negative: behind), and when we heard it."""

    ahead_s: float
    t_ms: float
    differs: bool


class ClockWatch:
    """Hears the age of each command, by who sent it; ``max_age_s`` is what is in order."""

    def __init__(self, max_age_s: float) -> None:
        self._max_age_s = max_age_s
        self._heard: dict[str, _Heard] = {}
        #: What was reported of each: how far ahead.
        self._reported: dict[str, float] = {}

    def hear(self, who: str, age_s: float, t_ms: float) -> None:
        """Take the age of a live command (seconds; negative: from the future)."""
        if abs(age_s) <= self._max_age_s:
            self._heard.pop(who, None)
            return
        differs = age_s < 0 or self._as_before(who, -age_s, t_ms)
        self._heard[who] = _Heard(-age_s, t_ms, differs)

    def faults(self, t_ms: float) -> list[Fault]:
        """Return what has changed since the last call, each sender a line of its own."""
        for who, heard in list(self._heard.items()):
            if t_ms - heard.t_ms > SHOWN_MS:
                del self._heard[who]
        now = {who: heard.ahead_s for who, heard in self._heard.items() if heard.differs}
        ended = [who for who in self._reported if who not in now]
        changed = [who for who in now if not self._same(who, now[who])]
        for who in ended:
            del self._reported[who]
        self._reported.update({who: now[who] for who in changed})
        return [
            *(Fault(t_ms, "ClockDiffers", who, active=False) for who in ended),
            *(Fault(t_ms, "ClockDiffers", who, True, round(now[who], 1)) for who in changed),
        ]

    def _as_before(self, who: str, ahead_s: float, t_ms: float) -> bool:
        before = self._heard.get(who)
        return (
            before is not None
            and t_ms - before.t_ms <= WITHIN_MS
            and abs(before.ahead_s - ahead_s) < AGREE_S
        )

    def _same(self, who: str, ahead_s: float) -> bool:
        return who in self._reported and abs(self._reported[who] - ahead_s) < AGREE_S
