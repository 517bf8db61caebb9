"""What the loop works with, and how long nobody looked before it began."""

from __future__ import annotations

from dataclasses import dataclass

from controller.clock import Clock
from controller.gpio.pins import Pins
from controller.journal.outbox import Outbox
from controller.journal.writer import Recorder
from controller.mqtt.inbox import Inbox
from controller.mqtt.link import Link
from controller.rules.state import State
from controller.service.reporter import Teller
from controller.service.selftest import Drill
from controller.systemd import Notifier
from controller.trace import FlightRecorder

#: Opening the door, walking through and letting it fall shut takes longer than this.
PASSAGE_MS = 2000.0


@dataclass(frozen=True, slots=True)
class Absence:
    """How long nobody looked (``gap_ms``); ``doubt`` when the last state is lost."""

    restart: bool = False
    gap_ms: float = 0.0
    doubt: bool = False

    def unnoticed(self, state: State) -> bool:
        """Tell whether a door that is shut now, and was then, can't have let anybody through."""
        return state.door == "Closed" and self.gap_ms <= PASSAGE_MS


@dataclass(slots=True)
class Parts:
    """What the loop works with; each part knows nothing of the others."""

    clock: Clock
    pins: Pins
    recorder: Recorder
    link: Link
    outbox: Outbox
    inbox: Inbox
    teller: Teller
    notifier: Notifier
    flight: FlightRecorder
    drill: Drill
    keep_days: int = 400
