"""Which events the broker has not acknowledged yet: at least once, in order, across outages.

The journal keeps every event with its ``seq``. While the broker keeps up, each is sent as soon as
it is committed; when it was away, or falls behind, the rest is read back from the journal in
batches. So memory stays bounded however long the outage, and a crash loses nothing that was
committed. (It is known as a transactional outbox.)

A broker that dies may have acknowledged what no subscriber has received yet, and subscribers need a
moment to come back to the new one. So after an outage the events of the last seconds before it are
sent again, and not before that moment has passed.

Nothing here sends or reads: each method returns what the caller has to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import RLock
from time import monotonic

from controller.journal.records import Row

#: What was acknowledged so shortly before an outage is sent again.
OVERLAP_S = 2.0
#: Clients try again every second: this long after an outage the subscribers are back.
GATHERING_S = 1.5
#: Events on their way to the broker at once, and read from the journal at once.
WINDOW = 100


class Outbox:
    """Keeps ``delivered <= sent <= newest``; its methods may be called from any thread.

    `committed` and `fetched` return the rows to send now and are called by one thread, so that the
    rows stay in order. `up` and `tick` return the ``seq`` after which to read up to `WINDOW` rows
    from the journal, or None; the rows go to `fetched`. ``now_s`` is any clock that only runs
    forward.
    """

    def __init__(self, delivered: int, newest: int, now_s: Callable[[], float] = monotonic) -> None:
        self.delivered = delivered
        self._sent = delivered
        self._newest = newest
        #: Events up to this one may have been sent before: by this run, or by one before it.
        self.sent_before = newest
        self._now_s = now_s
        self._online = False
        self._up_at_s: float | None = None
        self._was_down = False
        #: When delivery got how far; the first is the newest that is old enough.
        self._marks = deque([(now_s(), delivered)])
        self._fetching = False
        self._lock = RLock()

    @property
    def newest(self) -> int:
        """The number of the newest event that the journal has taken."""
        return self._newest

    def up(self) -> int | None:
        """Note that the broker is there (again)."""
        with self._lock:
            self._up_at_s = self._now_s() + (GATHERING_S if self._was_down else 0.0)
            return self.tick()

    def down(self) -> None:
        """Stop sending: the broker is away. What it took last may have died with it."""
        with self._lock:
            self._was_down = True
            self._online, self._up_at_s = False, None
            self._remember()
            self.delivered = self._marks[0][1]

    def tick(self) -> int | None:
        """Go on with what is behind, a window at a time; to be called ten times a second.

        So a long night's events come at a pace that subscribers can follow: brokers drop what a
        slow one leaves lying.
        """
        with self._lock:
            if self._marks[-1][1] != self.delivered:
                self._remember()
            if self._up_at_s is not None and self._now_s() >= self._up_at_s:
                self._online, self._up_at_s = True, None
                self._sent = self.delivered
            return self._catch_up()

    def committed(self, rows: Sequence[Row]) -> list[Row]:
        """Return which rows that the journal just took go out now; older ones must go first."""
        with self._lock:
            ready = []
            for row in rows:
                self._newest = row.seq
                if row.seq == self._sent + 1 and self._take(row):
                    ready.append(row)
            return ready

    def acked(self, seq: int) -> None:
        """Note that the broker has everything up to ``seq``."""
        with self._lock:
            self.delivered = max(self.delivered, seq)

    def fetched(self, after: int, rows: Sequence[Row]) -> list[Row]:
        """Return which rows go out now of those that the journal has after ``after``.

        An answer to a question of before an outage is dropped. No rows at all means that they are
        gone from the journal and can't be sent any more.
        """
        with self._lock:
            self._fetching = False
            if after != self._sent:
                return []
            if not rows:
                self._nothing_left()
            return [row for row in rows if self._take(row)]

    def _take(self, row: Row) -> bool:
        """Count a row as sent; return whether it may be."""
        if not (self._online and self._room()):
            return False
        self._sent = row.seq
        self.sent_before = max(self.sent_before, row.seq)
        return True

    def _remember(self) -> None:
        now_s = self._now_s()
        self._marks.append((now_s, self.delivered))
        while len(self._marks) > 1 and self._marks[1][0] <= now_s - OVERLAP_S:
            self._marks.popleft()

    def _room(self) -> bool:
        return self._sent - self.delivered < WINDOW

    def _nothing_left(self) -> None:
        """The journal has no more (too old, or lost): go on with what is new."""
        if self.delivered == self._sent:
            self.delivered = self._newest
        self._sent = self._newest

    def _catch_up(self) -> int | None:
        behind = self._sent < self._newest
        if not (self._online and behind and not self._fetching and self._room()):
            return None
        self._fetching = True
        return self._sent
