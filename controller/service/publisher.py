"""What leaves the controller: into the journal first, then to the broker.

`Publisher` owns the journal's writer, the outbox and the link to the broker, which know nothing of
each other. Events and answers are published when the journal has them; how things stand follows
what happened. The link's and the writer's threads reach the loop through its queue only.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from queue import SimpleQueue
from threading import Event, Lock
from time import monotonic
from typing import Any

from controller import codec
from controller.clock import Clock
from controller.engine import TimedEffects
from controller.events import Command, Edge, Fault
from controller.integrations.announcements import Announcer, Repeat, WatchedTopics
from controller.journal.journal import Journal
from controller.journal.outbox import WINDOW, Outbox
from controller.journal.records import NOTHING, Record, Row
from controller.journal.writer import JournalWriter
from controller.mqtt.link import Link
from controller.mqtt.message import Message
from controller.mqtt.snapshot import status
from controller.rules.state import State
from controller.service.backfill import Backfill
from controller.service.reporter import Reporter

log = logging.getLogger(__name__)

#: Delay between an event and the snapshot that follows it: gives other threads time to run first.
STATE_DELAY_S = 0.001
#: An event that is sent for the first time and sooner than this is live, and does not say its age.
LATE_S = 1.0
#: Commands waiting in the queue beyond this are dropped: a flood must not cost memory.
COMMANDS_WAITING = 1000
#: How long it is shown that another client came with our id: whether it is over, nobody can tell.
THROWN_OUT_SHOWN_S = 600.0
#: At the end the disk gets so long for what is queued, before the broker is left.
WRITTEN_LIMIT_S = 5.0
#: A disk that has not answered for so long is said to fail, and nobody waits for it any more.
STALL_S = 4.0
#: The fault goes when the disk has answered in time for so long: slow disks are slow every time.
CALM_S = 60.0
#: Acknowledged like an event, whose numbers begin at 1: an answer with events that were missed.
ANSWER = 0

#: What comes to the loop through its queue.
Item = Edge | Message | Command | Fault | Repeat | Callable[[], None]
LinkMaker = Callable[..., Link]


class Publisher:
    """Commits records and publishes messages; the loop calls it, and nothing here makes it wait.

    While the disk hangs (``stalled``) only events wait for it, and the answers that were due before
    it was known: what is answered from then on is done, and the fault says that it is not kept.

    ``make_link(**callbacks)`` returns the link; ``watched`` are other people's topics to follow.
    """

    def __init__(
        self,
        reporter: Reporter,
        journal: Journal,
        clock: Clock,
        queue: SimpleQueue[Item],
        watched: WatchedTopics,
        make_link: LinkMaker,
    ) -> None:
        self._reporter = reporter
        self._origin = reporter.origin
        self._clock = clock
        self._queue = queue
        #: When the state is to be published, monotonic seconds.
        self.state_due_s = inf
        #: Whether the disk keeps the journal waiting, so that messages go without it.
        self.stalled = False
        self._calm_at_s = inf
        #: How often the disk has stalled: messages of before are older than what went past them.
        self._stalls = 0
        self._overtaken: set[str] = set()
        #: Why the journal fails: an error, the disk's silence.
        self._failing: set[str] = set()
        self._failing_lock = Lock()
        #: Until when it is shown that another client came with our id, monotonic seconds.
        self._thrown_out_until_s = inf
        #: What to do when each record is written, in the order of the records.
        self._then: deque[Callable[[], None]] = deque()
        newest = journal.last_seq()
        self._outbox = Outbox(min(journal.delivered(), newest), newest)
        self._writer = JournalWriter(
            journal,
            on_written=self._written,
            on_fault=lambda text: self._journal_fails("error", failing=bool(text)),
        )
        self._announcer = Announcer(watched, queue.put, self.publish)
        self._backfill = Backfill(
            self._origin.topics,
            self._writer.fetch,
            lambda message: self._link.publish(message, ack=ANSWER),
            newest=lambda: self._outbox.newest,
            failing=lambda: bool(self._failing),
        )
        self._link = make_link(
            subscriptions=[self._origin.topics("cmd/+"), self._backfill.topic, *watched.all()],
            on_message=self._receive,
            on_up=self._up,
            on_down=self._down,
            on_thrown_out=self._thrown_out,
            on_ack=self._acked,
            will=status(self._origin.topics, "offline"),
            birth=status(self._origin.topics, "online"),
        )

    # --- for the loop -----------------------------------------------------------------------------

    def start(self, state: State) -> None:
        """Start the threads of journal and link, and publish how things stand."""
        self._writer.start()
        self.record([], state)
        self.publish_state(state)
        self._link.start()

    def stop(self) -> None:
        """Write and send what is left, say goodbye to the broker, and note what it has got."""
        written = Event()
        self.call_after(written.set)
        written.wait(WRITTEN_LIMIT_S)
        self._link.stop([status(self._origin.topics, "offline")])
        self.commit(Record(delivered=self._outbox.delivered))
        self._writer.stop()

    def record(
        self, effects: TimedEffects, state: State, ids: Mapping[str, float] | None = None
    ) -> None:
        """Commit what one step did, with the messages that follow from it.

        ``ids`` are those of the newest commands: see `Inbox.recent`.
        """
        reporter = self._reporter
        moment, delivered = self._clock.moment(), self._outbox.delivered
        record = reporter.record(effects, state, moment, delivered, ids)
        if record is not None:
            messages = reporter.one_shot_messages(effects)
            if record.urgent:  # who asked for it finds it done
                messages += reporter.changed_messages(state)
            self._commit_and_publish(record, messages)
        else:  # nothing to keep, but somebody may wait for an answer
            self.publish_in_turn(reporter.one_shot_messages(effects))
        if reporter.state_changed and self.state_due_s == inf:
            self.state_due_s = monotonic() + STATE_DELAY_S

    def commit(self, record: Record, then: Sequence[Message] = ()) -> None:
        """Write a record; publish its events when it is written, and ``then`` after them."""
        self._then.append(partial(self._publish_written, record.rows, then, self._stalls))
        self._writer.put(record)

    def _commit_and_publish(self, record: Record, messages: Sequence[Message]) -> None:
        """Publish messages after the record, or at once where that may take for ever."""
        if not self.stalled:
            self.commit(record, then=messages)
            return
        if record is not NOTHING:
            self.commit(record)
        self._overtaken.update(message.topic for message in messages if message.retain)
        for message in messages:
            self._link.publish(message)

    def call_after(self, done: Callable[[], None]) -> None:
        """Call ``done`` when all committed before is written and published.

        It is called by the journal's thread, so it may wait for the disk.
        """
        self._then.append(done)
        self._writer.put(NOTHING)

    def publish_state(self, state: State) -> None:
        """Publish how things stand, once for all that happened since the last time."""
        self.state_due_s = inf
        self.publish_in_turn(self._reporter.changed_messages(state))

    def publish_in_turn(self, messages: Sequence[Message]) -> None:
        """Publish how things stand: after the events that are still on their way to the journal."""
        if messages:
            self._commit_and_publish(NOTHING, messages)

    def publish(self, message: Message) -> None:
        """Publish at once, from any thread."""
        self._link.publish(message)

    def publish_latest(self, name: str, values: Mapping[str, Any]) -> None:
        """Publish a latest value that is not of the rules, retained, from any thread."""
        self._publish_value(name, values, retain=True)

    def publish_live(self, name: str, values: Mapping[str, Any]) -> None:
        """Publish a value for who listens now; no broker keeps it. From any thread."""
        self._publish_value(name, values, retain=False)

    def _publish_value(self, name: str, values: Mapping[str, Any], *, retain: bool) -> None:
        at = codec.iso(self._clock.wall_s())
        payload = codec.encode({"boot": self._origin.boot, "at": at, **values})
        self.publish(Message(self._origin.topics(name), payload, retain=retain))

    def catch_up(self) -> None:
        """Go on with events that the broker has not got, or that somebody asks for.

        To be called ten times a second.
        """
        self._fetch(self._outbox.tick())
        self._backfill.tick()
        if monotonic() >= self._thrown_out_until_s:
            self._thrown_out_until_s = inf
            self._report("ClientIdTaken", "mqtt", "")

    def watch_disk(self, state: State) -> None:
        """Notice a disk that hangs, and one that is back; to be called ten times a second."""
        now_s, waits_s = monotonic(), self._writer.busy_s()
        if waits_s > STALL_S:
            self._calm_at_s = now_s + CALM_S
            if not self.stalled:
                self._stall(state)
        elif self.stalled and not self._then:
            self.stalled = False
            log.warning("journal: the disk answers again, and has everything")
            self.publish_in_turn(self._reporter.whole_state(state))
        elif now_s >= self._calm_at_s:
            self._calm_at_s = inf
            self._journal_fails("silence", failing=False)

    def _stall(self, state: State) -> None:
        log.warning(
            "journal: the disk has not answered for %g s; door and page go on without it, "
            "and edges are not recorded",
            STALL_S,
        )
        self.stalled = True
        self._stalls += 1
        self._journal_fails("silence", failing=True)
        self.publish_in_turn(self._reporter.whole_state(state))

    def _journal_fails(self, cause: str, *, failing: bool) -> None:
        """Report to the rules that the journal fails for any cause, or for none any more."""
        with self._failing_lock:
            before = bool(self._failing)
            (self._failing.add if failing else self._failing.discard)(cause)
            if before != bool(self._failing):
                self._report("JournalFailed", "journal", cause if self._failing else "")

    def forget(self, before_s: float) -> None:
        """Delete delivered events of before ``before_s`` (seconds since 1970) from the journal."""
        self._writer.prune(before_s)

    # --- from the journal's thread ----------------------------------------------------------------

    def _written(self, _record: Record) -> None:
        """Do what was to follow this record: the writer reports them in their order."""
        self._then.popleft()()

    def _publish_written(
        self, rows: Sequence[Row], messages: Sequence[Message], stalls: int
    ) -> None:
        sent_before = self._outbox.sent_before
        self._publish_events(self._outbox.committed(rows), sent_before)
        for message in messages:
            overtaken = stalls < self._stalls and message.topic in self._overtaken
            if not (overtaken and message.retain):
                self._link.publish(message)
        for row in rows:
            log.info("%s %s", row.name, row.to_json())

    def _publish_events(self, rows: Sequence[Row], sent_before: int) -> None:
        """Publish events; one that may have been sent before, or is old, says how late it is.

        By house time, which a wall clock that is set meanwhile does not move.
        """
        for row in rows:
            age_s = (self._clock.now_ms() - row.t_ms) / 1000
            late_s = age_s if row.seq <= sent_before or age_s >= LATE_S else None
            message = Message(
                self._origin.topics(f"event/{row.name}"), row.to_json(late_s).encode(), qos=1
            )
            self._link.publish(message, ack=row.seq)

    def _fetch(self, after: int | None) -> None:
        if after is not None:
            self._writer.fetch(after, WINDOW, partial(self._fetched, after))

    def _fetched(self, after: int, rows: Sequence[Row]) -> None:
        sent_before = self._outbox.sent_before
        self._publish_events(self._outbox.fetched(after, rows), sent_before)

    # --- from the link's thread -------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        if self._backfill.handle(message) or self._announcer.handle(message):
            return
        if self._queue.qsize() < COMMANDS_WAITING:
            self._queue.put(message)

    def _acked(self, number: int) -> None:
        if number == ANSWER:
            self._backfill.acked()
        else:
            self._outbox.acked(number)

    def _up(self) -> None:
        self._report("BrokerDown", "mqtt", "")
        self._announcer.up()
        self._fetch(self._outbox.up())

    def _down(self, problem: str) -> None:
        self._report("BrokerDown", "mqtt", problem)
        self._outbox.down()

    def _thrown_out(self) -> None:
        self._thrown_out_until_s = monotonic() + THROWN_OUT_SHOWN_S
        self._report("ClientIdTaken", "mqtt", "another client uses our id")

    def _report(self, fault: str, line: str, problem: str) -> None:
        """Report to the rules that a part failed or works again; who found it has logged it."""
        self._queue.put(Fault(self._clock.now_ms(), fault, line, active=bool(problem)))
