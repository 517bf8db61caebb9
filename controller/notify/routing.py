"""To whom: what one address is for, how severe it must be, and when it must be quiet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from controller.config.notify import QUIET, SEVERITIES, ChannelSettings
from controller.notify.notices import Notice


@dataclass(frozen=True, slots=True)
class Route:
    """What one address takes; ``zone`` is that of its quiet hours, None the machine's."""

    kinds: frozenset[str]
    least: int
    quiet: tuple[time, time] | None
    zone: tzinfo | None = None

    def delay_s(self, notice: Notice, wall_s: float) -> float | None:
        """Return in how many seconds this address gets it; None when not at all.

        In quiet hours only what is critical is sent at once; what still stands at their end is
        sent then, and all else is not.
        """
        if notice.kind not in self.kinds or notice.rank < self.least:
            return None
        if notice.severity == "critical" or (quiet_s := self._quiet_s(wall_s)) <= 0:
            return 0.0
        return quiet_s if notice.standing or notice.ends else None

    def _quiet_s(self, wall_s: float) -> float:
        """Return how many seconds of quiet are left, 0 when it is not quiet."""
        if self.quiet is None:
            return 0.0
        here = datetime.fromtimestamp(wall_s, self.zone)
        begin, end = self.quiet
        today = here.time()
        if not (begin <= today < end if begin < end else today >= begin or today < end):
            return 0.0
        until = here.replace(hour=end.hour, minute=end.minute, second=0, microsecond=0)
        if until <= here:
            until += timedelta(days=1)
        return until.timestamp() - wall_s  # not the difference of two clock faces: DST


def route(channel: ChannelSettings, zone: tzinfo | None = None) -> Route:
    """Return what this address takes."""
    found = QUIET.fullmatch(channel.quiet_hours or "")
    quiet = None if found is None else (time.fromisoformat(found[1]), time.fromisoformat(found[3]))
    least = SEVERITIES.index(channel.least_severity or "info")
    return Route(frozenset(channel.kinds or ()), least, quiet, zone)
