"""A journal writer on a real file, and what it reported."""

from __future__ import annotations

import os

from controller.journal.journal import Journal
from controller.journal.records import Record, Row
from controller.journal.writer import JournalWriter
from tests.support.rows import row, saved
from tests.support.wait import eventually


class Desk:
    """A writer and what it reported."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.done: list[Record] = []
        self.faults: list[str] = []
        self.writer = JournalWriter(journal, on_written=self.on_written, on_fault=self.on_fault)

    def on_written(self, record: Record) -> None:
        self.done.append(record)

    def on_fault(self, text: str) -> None:
        self.faults.append(text)

    def put(self, *seqs: int) -> None:
        for seq in seqs:
            self.writer.put(Record([row(seq)], saved(seq)))

    def written(self) -> list[int]:
        return [row.seq for record in self.done for row in record.rows]

    def fetch(self, after: int, limit: int = 9999) -> list[int]:
        replies: list[list[Row]] = []
        self.writer.fetch(after, limit, replies.append)
        eventually(lambda: replies)
        return [row.seq for row in replies[0]]

    def break_disk(self) -> None:
        """From now on every page that the file would grow by is refused."""
        limit = self.journal._db.execute("PRAGMA page_count").fetchone()[0]
        self.journal._db.execute(f"PRAGMA max_page_count = {limit}")
        full = os.open("/dev/full", os.O_WRONLY)
        assert self.journal._append_log is not None
        os.dup2(full, self.journal._append_log._fd)
        os.close(full)
