"""The recorder's thread: group commit, order, and a disk that fails and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from controller.journal import journal as module
from controller.journal import writer as recorder_module
from controller.journal.journal import MEMORY, Journal, append_log_path, read_last
from controller.journal.records import Record, Row, Saved
from controller.journal.recovery import open_journal
from controller.journal.writer import Recorder
from tests.support.rows import LATER_S, row, saved
from tests.support.wait import eventually


class Desk:
    """A recorder and what it told."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.done: list[Record] = []
        self.faults: list[str] = []
        self.recorder = Recorder(journal, on_done=self.on_done, on_fault=self.on_fault)

    def on_done(self, record: Record) -> None:
        self.done.append(record)

    def on_fault(self, text: str) -> None:
        self.faults.append(text)

    def put(self, *seqs: int) -> None:
        for seq in seqs:
            self.recorder.put(Record([row(seq)], saved(seq), messages=[seq]))

    def told(self) -> list[int]:
        return [message for record in self.done for message in record.messages]

    def fetch(self, after: int, limit: int = 9999) -> list[int]:
        replies: list[list[Row]] = []
        self.recorder.fetch(after, limit, replies.append)
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(Journal(path))
    desk.recorder.start()
    yield desk
    desk.recorder.stop()


def on_disk(path: Path) -> list[int]:
    return [row.seq for row in read_last(str(path), 99_999)]


def test_records_are_written_then_told_in_order(desk: Desk, path: Path) -> None:
    class Checking(list[Record]):
        def append(self, record: Record) -> None:
            assert on_disk(path)[-1] >= record.rows[-1].seq
            super().append(record)

    desk.done = Checking()
    desk.put(*range(1, 21))
    eventually(lambda: len(desk.done) == 20)
    assert desk.told() == list(range(1, 21))
    assert desk.faults == []


def test_whatever_is_queued_shares_one_transaction(path: Path) -> None:
    desk = Desk(Journal(path))
    commits: list[str] = []
    desk.journal._db.set_trace_callback(
        lambda sql: commits.append(sql) if sql == "COMMIT" else None
    )
    desk.put(*range(1, 301))
    desk.recorder.put(Record(delivered=250))
    desk.recorder.start()
    desk.recorder.stop()
    assert len(commits) == 1
    assert desk.told() == list(range(1, 301))
    with closing(open_journal(path).journal) as journal:
        assert journal.last_seq() == 300
        assert journal.saved() == saved(300)
        assert journal.delivered() == 250


class Hanging(Journal):
    """A journal on a disk that takes nothing until it is ``free``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.free = threading.Event()

    def write(
        self, rows: Sequence[Row] = (), saved: Saved | None = None, delivered: int | None = None
    ) -> None:
        assert self.free.wait(60)
        super().write(rows, saved, delivered)


def test_put_never_waits_for_the_disk(path: Path) -> None:
    journal = Hanging(path)
    desk = Desk(journal)
    desk.recorder.start()
    desk.put(1)
    desk.recorder.fetch(0, 1, lambda rows: None)  # and here we are: nobody waited
    assert desk.done == []
    journal.free.set()
    eventually(lambda: desk.told() == [1])
    desk.recorder.stop()
    assert desk.faults == []


def test_fetch_sees_what_was_put_before_it(desk: Desk) -> None:
    desk.put(*range(1, 51))
    assert desk.fetch(0) == list(range(1, 51))
    assert desk.fetch(40, 5) == [41, 42, 43, 44, 45]
    assert desk.fetch(50) == []


def test_prune_is_done_in_turn(desk: Desk) -> None:
    desk.put(1, 2, 3)
    desk.recorder.put(Record(delivered=3))
    desk.recorder.prune(LATER_S)
    assert desk.fetch(0) == [3]


def test_stop_writes_what_is_queued(path: Path) -> None:
    desk = Desk(Journal(path))
    desk.recorder.start()
    desk.put(*range(1, 2001))
    desk.recorder.stop()
    assert desk.told() == list(range(1, 2001))
    assert on_disk(path) == list(range(1, 2001))


def test_stop_without_start_and_twice() -> None:
    desk = Desk(Journal(MEMORY))
    desk.recorder.stop()
    desk.recorder.start()
    desk.recorder.stop()
    desk.recorder.stop()
    desk.journal.close()


# --- a disk that fails ----------------------------------------------------------------------------


def test_full_disk_is_told_once_and_the_house_hears_all_the_same(desk: Desk) -> None:
    desk.put(1)
    eventually(lambda: desk.told() == [1])
    desk.break_disk()
    keep_full(desk)
    seqs = range(2, 400)
    desk.put(*seqs)
    eventually(lambda: len(desk.done) == 399)
    assert desk.told() == [1, *seqs]
    assert len(desk.faults) == 1
    assert "No space left on device; events are kept in memory" in desk.faults[0]
    assert desk.fetch(0) == [1, *seqs]  # from the file and from memory
    assert desk.fetch(390, 3) == [391, 392, 393]


def keep_full(desk: Desk) -> Callable[[], None]:
    """Keep the disk full across the recorder's attempts to open the file anew."""
    reopen = desk.journal.reopen

    def still_full() -> None:
        reopen()
        desk.break_disk()

    desk.journal.reopen = still_full  # type: ignore[method-assign]

    def free() -> None:
        desk.journal.reopen = reopen  # type: ignore[method-assign]

    return free


def test_disk_that_works_again_gets_everything(desk: Desk, path: Path) -> None:
    desk.break_disk()
    free = keep_full(desk)
    desk.put(*range(1, 400))
    eventually(lambda: desk.faults)
    free()
    desk.put(400)
    eventually(lambda: desk.faults[-1] == "")
    assert desk.fetch(0) == list(range(1, 401))
    assert on_disk(path) == list(range(1, 401))
    assert len(desk.faults) == 2


def test_what_a_disk_refused_is_tried_again_though_nothing_happens(
    desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "SYNC_S", 0.1)
    desk.break_disk()
    desk.put(1)
    eventually(lambda: desk.faults)
    eventually(lambda: desk.faults[-1] == "")  # reopening takes our limits away
    assert on_disk(path) == [1]


def test_what_a_disk_refused_is_tried_again_at_the_end(desk: Desk, path: Path) -> None:
    desk.break_disk()
    desk.put(1)
    eventually(lambda: desk.faults)
    desk.recorder.stop()
    assert on_disk(path) == [1]
    assert not append_log_path(path).exists()


def test_a_journal_that_cannot_be_finished_is_left_as_it_is(desk: Desk, path: Path) -> None:
    desk.put(1)
    eventually(lambda: desk.done)
    desk.break_disk()
    keep_full(desk)
    desk.put(2)
    eventually(lambda: desk.faults)
    desk.recorder.stop()
    assert append_log_path(path).exists()
    assert on_disk(path) == [1]


def test_lost_directory_and_its_return(tmp_path: Path) -> None:
    place = tmp_path / "card"
    place.mkdir()
    desk = Desk(Journal(place / "journal.db"))
    desk.recorder.start()
    desk.put(1)
    eventually(lambda: desk.done)
    desk.journal.close()  # as if the card was pulled: nothing can be read or written
    place.rename(tmp_path / "pulled")
    desk.put(2)
    eventually(lambda: len(desk.done) == 2)
    desk.put(3)
    assert desk.fetch(1) == [2, 3]
    (tmp_path / "pulled").rename(place)
    desk.put(4)
    eventually(lambda: desk.faults[-1] == "")
    assert desk.fetch(0) == [1, 2, 3, 4]
    desk.recorder.stop()


def test_memory_of_a_long_failure_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.recorder._rows = type(desk.recorder._rows)(maxlen=100)
    desk.journal.close()
    monkeypatch.setattr(desk.journal, "reopen", lambda: None)
    desk.put(*range(1, 501))
    assert desk.fetch(0) == list(range(401, 501))
    assert len(desk.done) == 500


def test_record_that_can_never_be_written_is_dropped_and_told(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.recorder.put(Record([Row(9, 0.0, 0.0, "entry", '{"\ud800"}')], messages=[0]))
    eventually(lambda: desk.told() == [0])
    desk.put(1)
    assert desk.fetch(0) == [1]
    assert "records are lost" in caplog.text


def test_what_the_database_can_never_take_is_given_up_when_it_gets_there(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SIZE", 10)
    desk.recorder.put(Record([Row(2**70, 0.0, 0.0, "entry", "{}")]))
    desk.put(*range(1, 30))
    eventually(lambda: len(desk.told()) == 29)
    desk.put(30)
    assert desk.fetch(29) == [30]
    assert "records are lost" in caplog.text


def test_whoever_is_told_and_fails_ends_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def deaf(_: object) -> None:
        raise RuntimeError("deaf")

    desk.recorder._on_fault = deaf
    desk.recorder.fetch(0, 1, deaf)
    desk.break_disk()
    desk.put(*range(1, 300))
    eventually(lambda: len(desk.done) == 299)
    assert caplog.text.count("nobody could be told") >= 2


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.controller.journal.test_writer import *
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
desk = Desk(Journal(sys.argv[1]))
desk.recorder.start()
desk.put(*range(1, 3001))
eventually(lambda: len(desk.done) == 3000)
assert desk.faults and desk.faults[-1], desk.faults
assert desk.fetch(2500) == list(range(2501, 3001))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
desk.put(3001)
eventually(lambda: desk.faults[-1] == "")
desk.recorder.stop()
"""


def test_file_that_may_not_grow_is_survived_by_the_real_system_call(path: Path) -> None:
    """Not SQLite's own limit but the kernel's: every write beyond 60 kB fails."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert on_disk(path) == list(range(1, 3002))


class Syncs(Journal):
    """A journal that notes what had been told when it was synced."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.desk: Desk | None = None
        self.at: list[int] = []

    def sync(self) -> None:
        super().sync()
        assert self.desk is not None
        self.at.append(len(self.desk.done))


@pytest.fixture
def syncs(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Syncs]:
    monkeypatch.setattr(recorder_module, "SYNC_S", 1.5)
    journal = Syncs(path)
    journal.desk = Desk(journal)
    journal.desk.recorder.start()
    yield journal
    journal.desk.recorder.stop()


def test_what_a_person_is_told_is_synced_first(syncs: Syncs) -> None:
    assert syncs.desk is not None
    syncs.desk.recorder.put(Record([row(1)], saved(1), urgent=True))
    eventually(lambda: syncs.at)
    assert syncs.at == [0]


def test_what_was_merely_seen_is_told_first_and_synced_soon_in_one_go(syncs: Syncs) -> None:
    assert syncs.desk is not None
    syncs.desk.put(1, 2, 3)
    eventually(lambda: syncs.desk and len(syncs.desk.done) == 3)
    syncs.desk.put(4)
    eventually(lambda: syncs.at)
    assert syncs.at == [4]
    syncs.desk.put(5)
    eventually(lambda: len(syncs.at) == 2)
    assert syncs.at == [4, 5]


def test_two_threads_may_put() -> None:
    desk = Desk(Journal(MEMORY))
    desk.recorder.start()
    threads = [threading.Thread(target=desk.put, args=range(first, 1000, 2)) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(desk.done) == 999)
    assert desk.fetch(0) == list(range(1, 1000))
    desk.recorder.stop()
