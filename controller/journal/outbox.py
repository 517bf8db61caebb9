"""Which events the broker still has to hear: at least once, in order, across outages and crashes.

The journal keeps every event with its ``seq``. While the broker keeps up, each is passed on as it
is committed; when it was away, or falls behind, the rest is read back from the journal in batches.
So memory stays bounded however long the outage, and a crash loses nothing that was committed.

A broker that dies may have acknowledged what nobody has heard yet, and whoever listens needs a
moment to come back to the new one. So after an outage the last seconds before it are told again,
and not before that moment has passed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import RLock
from time import monotonic

from controller.journal.records import Row

#: What was acknowledged so shortly before an outage is told again.
OVERLAP_S = 2.0
#: Clients try again every second: this long after an outage the listeners are back.
GATHERING_S = 1.5
#: Events on their way to the broker at once, and read from the journal at once.
WINDOW = 100


class Outbox:
    """Keeps ``delivered <= sent <= newest``; its methods may be called from any thread.

    ``send(row)`` hands one event to the link, ``fetch(after, limit)`` asks the journal for more;
    its answer comes to `fetched`. Neither may wait. ``now_s`` is any clock that only runs forward.
    """

    def __init__(
        self,
        delivered: int,
        newest: int,
        send: Callable[[Row], None],
        fetch: Callable[[int], None],
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self.delivered = delivered
        self._sent = delivered
        self._newest = newest
        self._send = send
        self._fetch = fetch
        self._now_s = now_s
        self._online = False
        self._up_at_s: float | None = None
        self._was_down = False
        #: When delivery got how far; the first is the newest that is old enough.
        self._marks = deque([(now_s(), delivered)])
        self._fetching = False
        self._lock = RLock()

    def up(self) -> None:
        """Note that the broker is there (again)."""
        with self._lock:
            self._up_at_s = self._now_s() + (GATHERING_S if self._was_down else 0.0)
            self.tick()

    def down(self) -> None:
        """Stop sending: the broker is away. What it took last may have died with it."""
        with self._lock:
            self._was_down = True
            self._online, self._up_at_s = False, None
            self._remember()
            self.delivered = self._marks[0][1]

    def tick(self) -> None:
        """Go on with what is behind, a window at a time; to be called ten times a second.

        So a long night's events come at a pace that listeners can follow: brokers drop what a slow
        one leaves lying.
        """
        with self._lock:
            if self._marks[-1][1] != self.delivered:
                self._remember()
            if self._up_at_s is not None and self._now_s() >= self._up_at_s:
                self._online, self._up_at_s = True, None
                self._sent = self.delivered
            self._catch_up()

    def committed(self, rows: Sequence[Row]) -> None:
        """Pass on rows that the journal just took, unless older ones must go first."""
        with self._lock:
            for row in rows:
                in_turn = row.seq == self._sent + 1 and self._room()
                self._newest = row.seq
                if self._online and in_turn:
                    self._pass_on(row)

    def acked(self, seq: int) -> None:
        """Note that the broker has everything up to ``seq``."""
        with self._lock:
            self.delivered = max(self.delivered, seq)

    def fetched(self, after: int, rows: Sequence[Row]) -> None:
        """Pass on what the journal gave back for ``fetch(after)``.

        An answer to a question of before an outage is not wanted any more; what has gone from the
        journal can't be told any more.
        """
        with self._lock:
            self._fetching = False
            if after == self._sent:
                if not rows:
                    self._nothing_left()
                for row in rows:
                    if self._online and self._room():
                        self._pass_on(row)

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

    def _pass_on(self, row: Row) -> None:
        self._sent = row.seq
        self._send(row)

    def _catch_up(self) -> None:
        behind = self._sent < self._newest
        if self._online and behind and not self._fetching and self._room():
            self._fetching = True
            self._fetch(self._sent)
