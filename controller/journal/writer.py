"""The journal's own thread: nobody else ever waits for a disk.

Whatever is queued is written together. Only what is written is reported (``on_written``): it
outlives this process. Urgent records are also synced first; all else is synced soon after, many
steps at once, because a card is slow and wears out. When the disk fails, all is reported the same,
kept in memory, and tried again with the next record, every ten seconds, and at the end.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from controller.journal.journal import Journal
from controller.journal.records import NOTHING, Record, Row, Saved

log = logging.getLogger(__name__)

#: One transaction takes at most so many records, so that a long queue is reported bit by bit.
BATCH = 500
#: Events kept for the time when the disk works again.
UNSAVED_ROWS = 5000
#: A power cut takes back at most so much of what the sensors saw; the count asks after it anyway.
SYNC_S = 10.0

#: A record to write, or what else to do with the journal in its turn: read, prune, end.
Job = Record | Callable[[], None]


class JournalWriter:
    """Writes records in the background, in order. All callbacks come from its thread.

    ``on_written(record)`` follows every record, one by one and in their order; ``on_fault(text)``
    says that the journal stopped working and why, and ``on_fault("")`` that it works again.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        on_written: Callable[[Record], None],
        on_fault: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._on_written = on_written
        self._on_fault = on_fault
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._rows: deque[Row] = deque(maxlen=UNSAVED_ROWS)
        self._saved: Saved | None = None
        self._delivered: int | None = None
        self._fault = ""
        self._sync_at_s: float | None = None
        #: Since when the disk has been at its present work, monotonic seconds; None while idle.
        self._busy_since_s: float | None = None
        self._ended = False
        self._thread = Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, record: Record) -> None:
        """Write it when the disk is ready; never waits."""
        self._queue.put(record)

    def fetch(self, after_seq: int, limit: int, reply: Callable[[list[Row]], None]) -> None:
        """Read events that follow ``after_seq``, among them all put before this call."""
        self._queue.put(lambda: reply(self._after(after_seq, limit)))

    def prune(self, before_s: float) -> None:
        """Delete delivered events of before ``before_s`` (seconds since 1970)."""
        self._queue.put(lambda: self._prune(before_s))

    def busy_s(self) -> float:
        """Return for how many seconds the disk has been at its present work; from any thread."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else monotonic() - since_s

    def stop(self, limit_s: float = 5.0) -> None:
        """Write what is queued and close the journal; wait at most ``limit_s`` seconds for it."""
        self._queue.put(self._end)
        if self._thread.is_alive():
            self._thread.join(limit_s)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended:
            jobs = self._take()
            self._busy_since_s = monotonic()
            try:
                self._write([job for job in jobs if isinstance(job, Record) and job != NOTHING])
                self._sync_when_due()
            except Exception:  # not the disk's fault: nobody could ever write these
                log.exception(
                    "journal %s: these events are lost, a bug; please report it",
                    self._journal.path,
                )
                self._forget()
            for job in jobs:
                self._call(partial(self._on_written, job) if isinstance(job, Record) else job)
            self._busy_since_s = None
        self._close()

    def _call(self, callback: Callable[[], None]) -> None:
        """Call back; whoever fails there must not end the thread."""
        try:
            callback()
        except Exception:
            log.exception(
                "journal %s: a callback failed, a bug; please report it", self._journal.path
            )

    def _close(self) -> None:
        """Leave the journal in good order; what fails here the next start mends from the log."""
        if self._fault:
            self._flush()
        try:
            self._journal.close() if self._fault else self._journal.finish()
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            log.warning(
                "journal %s: not closed cleanly (%s); the next start mends it",
                self._journal.path,
                error,
            )

    def _take(self) -> list[Job]:
        try:
            jobs: list[Job] = [self._queue.get(timeout=self._patience_s())]
        except Empty:
            return []
        while len(jobs) < BATCH and not self._queue.empty():  # nobody else takes from it
            jobs.append(self._queue.get_nowait())
        return jobs

    def _write(self, records: Sequence[Record]) -> None:
        for record in records:
            self._rows.extend(record.rows)
            self._saved = record.saved or self._saved
            self._delivered = self._delivered if record.delivered is None else record.delivered
        if any(record.urgent for record in records):
            self._sync_at_s = 0.0
        elif records and self._sync_at_s is None:
            self._sync_at_s = monotonic() + SYNC_S
        if records:
            self._flush()

    def _flush(self) -> None:
        if self._try(self._save):
            self._forget()
            self._report("")
        else:
            self._sync_at_s = monotonic() + SYNC_S  # to be tried again, even if nothing happens

    def _save(self) -> None:
        if self._fault:
            self._journal.reopen()
        if self._rows or self._saved or self._delivered is not None:
            self._journal.write(tuple(self._rows), self._saved, self._delivered)

    def _patience_s(self) -> float | None:
        return None if self._sync_at_s is None else max(self._sync_at_s - monotonic(), 0.0)

    def _sync_when_due(self) -> None:
        if self._patience_s() != 0.0:
            return
        self._sync_at_s = None
        if self._fault:
            self._flush()
        if not self._fault and not self._try(self._journal.sync):
            self._sync_at_s = monotonic() + SYNC_S

    def _forget(self) -> None:
        self._rows.clear()
        self._saved = self._delivered = None

    def _after(self, seq: int, limit: int) -> list[Row]:
        found: list[Row] = []
        self._try(lambda: found.extend(self._journal.after(seq, limit)))
        newest = found[-1].seq if found else seq
        found.extend(row for row in self._rows if row.seq > newest)
        return found[:limit]

    def _prune(self, before_s: float) -> None:
        self._try(lambda: self._journal.prune(before_s))

    def _try(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except (sqlite3.Error, OSError) as error:
            self._report(
                f"journal {self._journal.path}: {error}; events are kept in memory, check the disk"
            )
            return False
        return True

    def _report(self, fault: str) -> None:
        if fault == self._fault:
            return
        self._fault = fault
        log.warning("%s", fault or f"journal {self._journal.path}: works again")
        self._call(partial(self._on_fault, fault))

    def _end(self) -> None:
        self._ended = True
