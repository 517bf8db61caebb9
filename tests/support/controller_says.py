"""The controller's messages as JSON, made by hand: events, snapshots and heartbeats in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from controller.codec import encode, iso

#: 2026-11-25 21:00 UTC.
EVENING_S = 1_795_640_400.0


@dataclass
class ControllerSays:
    """Numbers what it says; ``at_s`` is the moment of each, in seconds since the evening began."""

    boot: str = "b0070001"
    seq: int = 0
    waiting: int = 0
    #: When the oldest party came, in seconds since the evening began.
    since_s: float = 0.0
    door_since_s: float | None = None
    hatch_open: bool = False
    alarm: str = "Normal"
    mode: str = "Locked"
    over_capacity: bool = False
    faults: list[tuple[str, str]] = field(default_factory=list)

    def event(self, name: str, at_s: float, /, **data: Any) -> tuple[str, bytes]:
        """Return topic and payload of one event."""
        self.seq += 1
        stamp = {"seq": self.seq, "boot": self.boot, "at": iso(EVENING_S + at_s)}
        payload = stamp | {"t_ms": 1000 * at_s, "event": name} | data
        return f"event/{name}", encode(payload)

    def knock(self, at_s: float, place: str = "hatch") -> tuple[str, bytes]:
        """Return a knock that is decided at this moment."""
        return self.event("knock", at_s, place=place, raps=2)

    def snapshot(self, at_s: float) -> tuple[str, bytes]:
        """Return how things stand, as the controller publishes it."""
        door = None if self.door_since_s is None else {"age_s": at_s - self.door_since_s}
        oldest_s = at_s - self.since_s if self.waiting else None
        state = {
            "boot": self.boot,
            "seq": self.seq,
            "at": iso(EVENING_S + at_s),
            "occupancy": {"count": 5},
            "door": {"alarm": self.alarm, "mode": self.mode},
            "hatch": {"waiting": self.waiting, "open": self.hatch_open, "oldest_s": oldest_s},
            "door_knock": door,
            "faults": [{"name": name, "line": line} for name, line in self.faults],
            "over_capacity": self.over_capacity,
        }
        return "state", encode(state)

    @staticmethod
    def heartbeat() -> tuple[str, bytes]:
        """Return a sign of life."""
        return "heartbeat", b'{"boot":"b0070001","seq":1,"uptime_s":1}'
