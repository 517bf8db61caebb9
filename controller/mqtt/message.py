"""One MQTT message, and the topics of one venue."""

from __future__ import annotations

from dataclasses import dataclass

#: A payload larger than this is nobody's command.
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

    def __call__(self, name: str) -> str:
        """Return the full topic of ``name``, e.g. ``state`` or ``event/entry``."""
        return f"{self.base}/{name}"

    def name(self, topic: str) -> str:
        """Return what follows the base, or nothing when the topic is not ours."""
        return topic.removeprefix(f"{self.base}/") if topic.startswith(f"{self.base}/") else ""
