"""What joins journal, outbox and link, which know nothing of each other, to the service's queue."""

from __future__ import annotations

import logging
from queue import SimpleQueue

from controller.clock import Clock
from controller.events import Fault
from controller.integrations.announcements import Home
from controller.journal.outbox import Outbox
from controller.journal.records import Record, Row
from controller.mqtt.link import Link
from controller.mqtt.message import Message, Topics
from controller.service.loop import COMMANDS_WAITING, Item, Service

log = logging.getLogger(__name__)


class Joints:
    """The callbacks of all three; each comes from the thread of its own part."""

    def __init__(self, names: Topics, clock: Clock, queue: SimpleQueue[Item]) -> None:
        self._names = names
        self._clock = clock
        self._queue = queue
        self.link: Link
        self.outbox: Outbox
        self.home: Home
        self.service: Service

    def committed(self, record: Record) -> None:
        """What the journal has, the house may hear: first what happened, then how things stand."""
        self.outbox.committed(record.rows)
        for message in record.messages:
            self.link.publish(message)
        for row in record.rows:
            log.info("%s %s", row.name, row.told())

    def send(self, row: Row) -> None:
        message = Message(self._names(f"event/{row.name}"), row.told().encode(), qos=1)
        self.link.publish(message, ack=row.seq)

    def command(self, message: Message) -> None:
        if not self.home.hears(message) and self._queue.qsize() < COMMANDS_WAITING:
            self._queue.put(message)

    def say(self, message: Message) -> None:
        self.link.publish(message)

    def house(self) -> None:
        self._queue.put(self.service.tell_house)

    def devices(self) -> None:
        self._queue.put(self.service.tell_devices)

    def up(self) -> None:
        self.broker("")
        self.home.up()
        self.outbox.up()

    def down(self, problem: str) -> None:
        self.broker(problem)
        self.outbox.down()

    def broker(self, problem: str) -> None:
        self._health("BrokerDown", "mqtt", problem)

    def journal(self, problem: str) -> None:
        self._health("JournalFailed", "journal", problem)

    def _health(self, name: str, line: str, problem: str) -> None:
        if problem:
            log.warning("%s: %s", line, problem)
        self._queue.put(Fault(self._clock.now_ms(), name, line, active=bool(problem)))
