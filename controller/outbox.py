"""Which events the broker still has to hear: at least once, in order, across outages and crashes.

The journal keeps every event with its ``seq``. While the broker keeps up, each is passed on as it
is committed; when it was away, or falls behind, the rest is read back from the journal in batches.
So memory stays bounded however long the outage, and a crash loses nothing that was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock

from controller.journal import Row

#: Events on their way to the broker at once, and read from the journal at once.
WINDOW = 100


class Outbox:
    """Keeps ``delivered <= sent <= newest``; its methods may be called from any thread.

    ``send(row)`` hands one event to the link, ``fetch(after, limit)`` asks the journal for more;
    its answer comes to `fetched`. Neither may wait.
    """

    def __init__(
        self, delivered: int, newest: int, send: Callable[[Row], None], fetch: Callable[[int], None]
    ) -> None:
        self.delivered = delivered
        self._sent = delivered
        self._newest = newest
        self._send = send
        self._fetch = fetch
        self._online = False
        self._fetching = False
        self._lock = RLock()

    def up(self) -> None:
        """Take up again where the broker last confirmed; it is there (again)."""
        with self._lock:
            self._online = True
            self._sent = self.delivered
            self._catch_up()

    def down(self) -> None:
        """Stop sending: the broker is away."""
        with self._lock:
            self._online = False

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
            self._catch_up()

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
            self._catch_up()

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
