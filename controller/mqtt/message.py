"""One MQTT message, and the topics of one venue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.config.settings import Config

#: A command with a larger payload (bytes) is refused unread.
PAYLOAD_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one venue, all below ``prefix/venue``."""

    base: str

    @classmethod
    def of(cls, config: Config) -> Topics:
        """Return the topics of the venue that ``config`` names."""
        return cls(f"{config.mqtt.prefix}/{config.venue}")

    def __call__(self, name: str) -> str:
        """Return the full topic of ``name``, e.g. ``state`` or ``event/entry``."""
        return f"{self.base}/{name}"

    def name(self, topic: str) -> str:
        """Return the part of ``topic`` after the base; empty if it is not one of this venue."""
        return topic.removeprefix(f"{self.base}/") if topic.startswith(f"{self.base}/") else ""
