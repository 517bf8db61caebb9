"""House time: milliseconds that only run forward, also across restarts, steps and DST nights.

It is the kernel's boot-time clock (which goes on through suspend and knows no time zone) plus an
origin that the journal carries over a restart. The wall clock is for people: what it shows may be
corrected at any time, and nothing that the rules decide depends on it.
"""

from __future__ import annotations

import time
from math import inf
from pathlib import Path
from threading import Lock
from typing import NamedTuple

#: 2026-01-01: this program did not exist before, so an earlier wall clock is not set.
FIRST_BELIEVABLE_S = 1_767_225_600.0
#: A Mac has only the other one, and there it goes on through suspend as well.
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Moment(NamedTuple):
    """What the journal keeps of a moment, to continue house time after a restart."""

    t_ms: float
    boot_id: str
    boottime_ms: float
    wall_s: float


def boot_id() -> str:
    """Return the kernel's id of this boot; empty on a Mac, which runs the demo only."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def boottime_ms() -> float:
    """Return milliseconds since the machine booted, suspend included."""
    return time.clock_gettime(BOOT_CLOCK) * 1000


def wall_s() -> float:
    """Return seconds since 1970 by the wall clock, right or wrong."""
    return time.time()


def resumed(last: Moment, now: Moment) -> float:
    """Return the house time of ``now`` (whose ``t_ms`` is ignored), given the last one kept.

    Within one boot the kernel knows exactly. After a reboot the wall clock tells, if it ran
    forward; otherwise at least the time since boot has passed.
    """
    if now.boot_id == last.boot_id:
        return last.t_ms + max(now.boottime_ms - last.boottime_ms, 0.0)
    away_ms = (now.wall_s - last.wall_s) * 1000
    believable = last.wall_s >= FIRST_BELIEVABLE_S and away_ms >= now.boottime_ms
    return last.t_ms + (away_ms if believable else now.boottime_ms)


class Clock:
    """The one clock of a process, from ``origin_ms`` on; ``speed`` > 1 is for the demo only.

    `hold` stops the fast clock at the next simulated edge until that edge has been fed: a guest
    then walks at real speed through a fast evening, and no deadline overtakes a queued edge.
    """

    def __init__(self, origin_ms: float = 0.0, speed: float = 1.0) -> None:
        self.speed = speed
        self.boot_id = boot_id()
        self._lock = Lock()
        self._origin_ms = origin_ms
        self._began_ms = boottime_ms()
        self._suspended_ms = -inf  # not looked at yet
        self._holds: dict[object, float] = {}

    def now_ms(self) -> float:
        """Return the house time."""
        return self._house_ms(boottime_ms())

    def from_monotonic(self, seconds: float) -> float:
        """Return the house time of a CLOCK_MONOTONIC stamp of this boot, as the kernel gives.

        The two clocks differ by what suspend took, which only grows; reading one after the other
        can only understate it, by as long as we were kept from running in between.
        """
        apart_ms = boottime_ms() - time.monotonic() * 1000
        self._suspended_ms = max(self._suspended_ms, apart_ms)
        return self._house_ms(seconds * 1000 + self._suspended_ms)

    def _house_ms(self, since_boot_ms: float) -> float:
        t_ms = self._origin_ms + (since_boot_ms - self._began_ms) * self.speed
        if not self._holds:
            return t_ms
        with self._lock:
            return min(t_ms, *self._holds.values()) if self._holds else t_ms

    def seconds_until(self, t_ms: float) -> float:
        """Return how long to wait, in real seconds, until house time ``t_ms``; 0 when past."""
        return max(t_ms - self.now_ms(), 0.0) / 1000 / self.speed

    def hold(self, who: object, t_ms: float) -> None:
        """Keep house time from passing ``t_ms`` until ``who`` holds another time or lets go."""
        with self._lock:
            self._holds[who] = t_ms

    def let_go(self, who: object) -> None:
        """Take back the hold of ``who``."""
        with self._lock:
            self._holds.pop(who, None)

    def wall_s(self) -> float:
        """Return the wall clock that goes with house time: in a fast demo it runs fast too."""
        if self.speed == 1 and not self._holds:
            return wall_s()
        real_ms = boottime_ms() - self._began_ms
        return wall_s() + (self.now_ms() - self._origin_ms - real_ms) / 1000

    def moment(self) -> Moment:
        """Return now, as the journal keeps it."""
        return Moment(self.now_ms(), self.boot_id, boottime_ms(), wall_s())


def believable(seconds: float) -> bool:
    """Return whether a wall clock reading can be true."""
    return seconds >= FIRST_BELIEVABLE_S
