"""The journal writer's thread: group commit, order, and a disk that fails and comes back."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.journal import journal as module
from controller.journal import writer as writer_module
from controller.journal.journal import MEMORY, Journal, append_log_path, read_last
from controller.journal.records import Record, Row
from controller.journal.recovery import open_journal
from tests.support.hanging_journal import HangingJournal
from tests.support.journal_desk import Desk
from tests.support.rows import LATER_S, row, saved
from tests.support.wait import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(Journal(path))
    desk.writer.start()
    yield desk
    desk.writer.stop()


def on_disk(path: Path) -> list[int]:
    return [row.seq for row in read_last(str(path), 99_999)]


def test_records_are_written_then_reported_in_order(desk: Desk, path: Path) -> None:
    class Checking(list[Record]):
        def append(self, record: Record) -> None:
            assert on_disk(path)[-1] >= record.rows[-1].seq
            super().append(record)

    desk.done = Checking()
    desk.put(*range(1, 21))
    eventually(lambda: len(desk.done) == 20)
    assert desk.written() == list(range(1, 21))
    assert desk.faults == []


def test_queued_records_share_one_transaction(path: Path) -> None:
    desk = Desk(Journal(path))
    commits: list[str] = []
    desk.journal._db.set_trace_callback(
        lambda sql: commits.append(sql) if sql == "COMMIT" else None
    )
    desk.put(*range(1, 301))
    desk.writer.put(Record(delivered=250))
    desk.writer.start()
    desk.writer.stop()
    assert len(commits) == 1
    assert desk.written() == list(range(1, 301))
    with closing(open_journal(path).journal) as journal:
        assert journal.last_seq() == 300
        assert journal.saved() == saved(300)
        assert journal.delivered() == 250


def test_put_never_waits_for_the_disk(path: Path) -> None:
    journal = HangingJournal(path)
    desk = Desk(journal)
    desk.writer.start()
    desk.put(1)
    desk.writer.fetch(0, 1, lambda rows: None)  # and here we are: nobody waited
    assert desk.done == []
    journal.free.set()
    eventually(lambda: desk.written() == [1])
    desk.writer.stop()
    assert desk.faults == []


def test_fetch_sees_what_was_put_before_it(desk: Desk) -> None:
    desk.put(*range(1, 51))
    assert desk.fetch(0) == list(range(1, 51))
    assert desk.fetch(40, 5) == [41, 42, 43, 44, 45]
    assert desk.fetch(50) == []


def test_prune_is_done_in_turn(desk: Desk) -> None:
    desk.put(1, 2, 3)
    desk.writer.put(Record(delivered=3))
    desk.writer.prune(LATER_S)
    assert desk.fetch(0) == [3]


def test_stop_writes_what_is_queued(path: Path) -> None:
    desk = Desk(Journal(path))
    desk.writer.start()
    desk.put(*range(1, 2001))
    desk.writer.stop()
    assert desk.written() == list(range(1, 2001))
    assert on_disk(path) == list(range(1, 2001))


def test_stop_without_start_and_twice() -> None:
    desk = Desk(Journal(MEMORY))
    desk.writer.stop()
    desk.writer.start()
    desk.writer.stop()
    desk.writer.stop()
    desk.journal.close()


# --- a disk that fails ----------------------------------------------------------------------------


def test_full_disk_is_reported_once_and_records_go_on(desk: Desk) -> None:
    desk.put(1)
    eventually(lambda: desk.written() == [1])
    desk.break_disk()
    keep_full(desk)
    seqs = range(2, 400)
    desk.put(*seqs)
    eventually(lambda: len(desk.done) == 399)
    assert desk.written() == [1, *seqs]
    assert len(desk.faults) == 1
    assert "No space left on device; events are kept in memory, check the disk" in desk.faults[0]
    assert desk.fetch(0) == [1, *seqs]  # from the file and from memory
    assert desk.fetch(390, 3) == [391, 392, 393]


def keep_full(desk: Desk) -> Callable[[], None]:
    """Keep the disk full across the writer's attempts to open the file anew."""
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


def test_refused_records_are_tried_again_without_new_ones(
    desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SYNC_S", 0.1)
    desk.break_disk()
    desk.put(1)
    eventually(lambda: desk.faults)
    eventually(lambda: desk.faults[-1] == "")  # reopening takes our limits away
    assert on_disk(path) == [1]


def test_refused_records_are_tried_again_at_stop(desk: Desk, path: Path) -> None:
    desk.break_disk()
    desk.put(1)
    eventually(lambda: desk.faults)
    desk.writer.stop()
    assert on_disk(path) == [1]
    assert not append_log_path(path).exists()


def test_journal_that_cannot_be_finished_is_left_as_it_is(desk: Desk, path: Path) -> None:
    desk.put(1)
    eventually(lambda: desk.done)
    desk.break_disk()
    keep_full(desk)
    desk.put(2)
    eventually(lambda: desk.faults)
    desk.writer.stop()
    assert append_log_path(path).exists()
    assert on_disk(path) == [1]


def test_lost_directory_and_its_return(tmp_path: Path) -> None:
    place = tmp_path / "card"
    place.mkdir()
    desk = Desk(Journal(place / "journal.db"))
    desk.writer.start()
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
    desk.writer.stop()


def test_memory_of_a_long_failure_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.writer._rows = type(desk.writer._rows)(maxlen=100)
    desk.journal.close()
    monkeypatch.setattr(desk.journal, "reopen", lambda: None)
    desk.put(*range(1, 501))
    assert desk.fetch(0) == list(range(401, 501))
    assert len(desk.done) == 500


def test_record_that_can_never_be_written_is_dropped_and_reported(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.writer.put(Record([Row(9, 0.0, 0.0, "entry", '{"\ud800"}')]))
    eventually(lambda: desk.written() == [9])
    desk.put(1)
    assert desk.fetch(0) == [1]
    assert "these events are lost" in caplog.text


def test_record_that_the_database_can_never_take_is_dropped(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SIZE", 10)
    desk.writer.put(Record([Row(2**70, 0.0, 0.0, "entry", "{}")]))
    desk.put(*range(1, 30))
    eventually(lambda: len(desk.written()) == 30)
    desk.put(30)
    assert desk.fetch(29) == [30]
    assert "these events are lost" in caplog.text


def test_failing_callback_does_not_end_the_writer(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def deaf(_: object) -> None:
        raise RuntimeError("deaf")

    desk.writer._on_fault = deaf
    desk.writer.fetch(0, 1, deaf)
    desk.break_disk()
    desk.put(*range(1, 300))
    eventually(lambda: len(desk.done) == 299)
    assert caplog.text.count("a callback failed") >= 2


FULL_DISK = """
import resource, sys
from controller.journal.journal import Journal
from tests.support.journal_desk import Desk
from tests.support.wait import eventually
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
desk = Desk(Journal(sys.argv[1]))
desk.writer.start()
desk.put(*range(1, 3001))
eventually(lambda: len(desk.done) == 3000)
assert desk.faults and desk.faults[-1], desk.faults
assert desk.fetch(2500) == list(range(2501, 3001))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
desk.put(3001)
eventually(lambda: desk.faults[-1] == "")
desk.writer.stop()
"""


def test_writer_survives_a_file_size_limit(path: Path) -> None:
    """Not SQLite's own limit but the kernel's: every write beyond 60 kB fails."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert on_disk(path) == list(range(1, 3002))


class Syncs(Journal):
    """A journal that notes what had been reported when it was synced."""

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
    monkeypatch.setattr(writer_module, "SYNC_S", 1.5)
    journal = Syncs(path)
    journal.desk = Desk(journal)
    journal.desk.writer.start()
    yield journal
    journal.desk.writer.stop()


def test_urgent_record_is_synced_before_it_is_reported(syncs: Syncs) -> None:
    assert syncs.desk is not None
    syncs.desk.writer.put(Record([row(1)], saved(1), urgent=True))
    eventually(lambda: syncs.at)
    assert syncs.at == [0]


def test_other_records_are_reported_first_and_synced_together(syncs: Syncs) -> None:
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
    desk.writer.start()
    threads = [threading.Thread(target=desk.put, args=range(first, 1000, 2)) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(desk.done) == 999)
    assert desk.fetch(0) == list(range(1, 1000))
    desk.writer.stop()
