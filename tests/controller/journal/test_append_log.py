"""The tail on real files: cut, torn, damaged, removed, full, locked; and what it costs."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.journal import journal as module
from controller.journal.append_log import FLUSHED, Tail, read_tail
from controller.journal.database import NewerJournalError
from controller.journal.journal import Journal, read_last, tail_of
from controller.journal.records import Row, Saved
from controller.journal.recovery import open_journal
from tests.support.journal_rows import row, saved

LINES = [f'{{"step": {number}, "name": "Grüße"}}'.encode() for number in range(30)]

#: The empty block after each line, and its header.
MERE_END = len(FLUSHED) + 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db-tail"


@pytest.fixture
def tail(path: Path) -> Iterator[Tail]:
    with closing(Tail(path)) as tail:
        yield tail


def fill(tail: Tail) -> bytes:
    for line in LINES:
        tail.add(line)
    return tail.path.read_bytes()


def aim(tail: Tail, device: str, flags: int = os.O_WRONLY) -> None:
    """Let what goes into the file go into ``device`` instead."""
    other = os.open(device, flags)
    os.dup2(other, tail._fd)
    os.close(other)


def test_what_was_added_is_read_at_once_and_after_a_sync(tail: Tail) -> None:
    assert not tail.torn
    fill(tail)
    assert read_tail(tail.path) == (LINES, False)
    tail.sync()
    assert read_tail(tail.path) == (LINES, False)
    assert not tail.torn


def test_a_step_takes_a_few_bytes(tail: Tail) -> None:
    assert len(fill(tail)) < 0.7 * sum(map(len, LINES))


def test_cut_at_any_byte_what_is_whole_counts_and_nothing_is_damaged(tail: Tail) -> None:
    whole = fill(tail)
    for at in range(len(whole)):
        tail.path.write_bytes(whole[:at])
        lines, damaged = read_tail(tail.path)
        assert lines == LINES[: len(lines)]
        assert not damaged
        assert len(lines) < len(LINES) or at >= len(whole) - MERE_END


@pytest.mark.parametrize("wrong", [0x01, 0x80, 0xFF], ids=hex)
def test_a_wrong_byte_anywhere_is_seen_and_no_wrong_line_is_read(tail: Tail, wrong: int) -> None:
    whole = bytearray(fill(tail))
    for at in range(len(whole)):
        spoilt = whole.copy()
        spoilt[at] ^= wrong
        tail.path.write_bytes(spoilt)
        lines, damaged = read_tail(tail.path)
        assert lines == LINES[: len(lines)]
        # Some bits mean nothing; and to spoil the last bytes is to cut them off.
        assert damaged or lines == LINES or at >= len(whole) - MERE_END


def test_blocks_that_a_power_cut_left_empty_are_damage(tail: Tail) -> None:
    whole = fill(tail)
    tail.path.write_bytes(whole + bytes(4096))
    assert read_tail(tail.path) == (LINES, True)


def test_cleared_it_begins_anew(tail: Tail) -> None:
    fill(tail)
    tail.clear()
    assert tail.path.read_bytes() == b""
    tail.add(LINES[0])
    assert read_tail(tail.path) == (LINES[:1], False)


def test_what_another_process_left_must_be_cleared_first(tail: Tail) -> None:
    fill(tail)
    tail.close()
    tail.close()
    with closing(Tail(tail.path)) as again:
        assert again.torn
        again.clear()
        assert not again.torn


def test_two_cannot_write_one_tail(tail: Tail) -> None:
    with pytest.raises(OSError, match="another process writes this journal"):
        Tail(tail.path)


def test_a_removed_tail_is_an_error_and_not_a_silence(tail: Tail) -> None:
    tail.add(LINES[0])
    tail.path.unlink()
    with pytest.raises(OSError, match="it was removed"):
        tail.sync()
    assert tail.torn


def test_a_full_disk_leaves_it_torn(tail: Tail) -> None:
    aim(tail, "/dev/full")
    with pytest.raises(OSError, match="No space left"):
        tail.add(LINES[0])
    assert tail.torn


def test_half_a_write_is_none(tail: Tail) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.dup2(writing, tail._fd)
    os.write(writing, bytes(65536 - 4096))
    with pytest.raises(OSError, match="No space left"):
        tail.add(os.urandom(40_000))
    assert tail.torn
    os.close(reading)
    os.close(writing)


def test_a_sync_that_fails_leaves_it_torn(tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    fill(tail)
    monkeypatch.setattr("controller.journal.append_log.os.fdatasync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        tail.sync()
    assert tail.torn


# --- as part of the journal -----------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        yield journal


def write(journal: Journal, *seqs: int) -> None:
    for seq in seqs:
        journal.write([row(seq)], saved(seq), seq)


def in_database(journal: Journal) -> int:
    return int(journal._db.execute("SELECT count(*) FROM event").fetchone()[0])


def test_steps_go_into_the_database_some_hundred_at_a_time(journal: Journal) -> None:
    write(journal, *range(1, 500))
    assert in_database(journal) == 0
    write(journal, *range(500, 503))
    assert in_database(journal) == 500
    assert journal.after(499, 9) == [row(500), row(501), row(502)]
    assert (journal.saved(), journal.last_seq(), journal.delivered()) == (saved(502), 502, 502)


def test_a_killed_process_leaves_all_of_it(journal: Journal) -> None:
    write(journal, *range(1, 700))
    path = journal.path
    journal.close()
    with closing(open_journal(path).journal) as again:
        assert again.abandoned
        assert (again.saved(), again.last_seq(), again.delivered()) == (saved(699), 699, 699)
        assert again.after(0, 9999) == [row(seq) for seq in range(1, 700)]
        assert again.since(0.0) == again.after(0, 9999)
        write(again, 700)
        assert in_database(again) == 699  # the first step takes in what was left
    assert read_last(path, 2) == [row(699), row(700)]


def test_a_line_says_only_what_changed_and_the_first_says_all(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAIL_SIZE", 6)
    lasting = {"door": "Closed", "t_ms": 1.5}
    for number, busy in enumerate((True, True, False, False), 1):
        journal.write([row(number)], Saved(1.5, "boot", 1.0, 2.0, {**lasting, "busy": busy}))
        lines, _ = read_tail(tail_of(journal.path))
        changes = [json.loads(line)[1] for line in lines]
        if number == 2:
            assert changes[0].keys() == {*lasting, "busy", "boot_id", "boottime_ms", "wall_s"}
            assert changes[1] is None
    assert changes == [{**changes[0], "busy": False}]  # a new one begins with all of it
    path = journal.path
    journal.close()
    with closing(Journal(path)) as again:
        assert again.saved() == Saved(1.5, "boot", 1.0, 2.0, {**lasting, "busy": False})


def test_killed_between_database_and_tail_nothing_is_there_twice(journal: Journal) -> None:
    write(journal, *range(1, 10))
    left = tail_of(journal.path).read_bytes()
    journal.finish()
    tail_of(journal.path).write_bytes(left)
    with closing(Journal(journal.path)) as again:
        assert again.after(0, 99) == [row(seq) for seq in range(1, 10)]
        assert read_last(journal.path, 99) == again.after(0, 99)


def test_finished_it_leaves_one_file_and_no_doubt(journal: Journal) -> None:
    write(journal, 1, 2, 3)
    journal.finish()
    assert [path.name for path in Path(journal.path).parent.iterdir()] == ["journal.db"]
    with closing(Journal(journal.path)) as again:
        assert not again.abandoned
        assert again.saved() == saved(3)


def test_a_damaged_tail_is_doubted_and_said_and_what_was_whole_counts(journal: Journal) -> None:
    write(journal, 1, 2, 3)
    journal.close()
    with tail_of(journal.path).open("ab") as file:
        file.write(bytes(100))
    opened = open_journal(journal.path)
    assert opened.doubt
    assert "its newest part is damaged; the count asks" in opened.warning
    assert opened.journal.saved() == saved(3)
    write(opened.journal, 4)
    opened.journal.finish()
    again = open_journal(journal.path)
    assert not again.doubt
    assert again.journal.last_seq() == 4
    again.journal.close()


def test_a_tail_goes_aside_with_its_damaged_database(journal: Journal) -> None:
    write(journal, 1)
    journal.close()
    Path(journal.path).write_bytes(b"once upon a time in a bar " * 1000)
    opened = open_journal(journal.path)
    assert opened.doubt
    assert tail_of(f"{journal.path}.corrupt-1").stat().st_size > 0
    assert opened.journal.saved() is None
    assert opened.journal.last_seq() == 1  # no number is given twice
    opened.journal.close()


def test_a_tail_of_before_the_database_says_nothing(journal: Journal) -> None:
    """Somebody put a newer database beside it, and left it there."""
    write(journal, 1, 2, 3)
    left = tail_of(journal.path).read_bytes()
    write(journal, *range(4, 10))
    journal.finish()
    tail_of(journal.path).write_bytes(left)
    with closing(Journal(journal.path)) as again:
        assert (again.saved(), again.last_seq(), again.delivered()) == (saved(9), 9, 9)


def test_a_database_that_is_removed_or_replaced_is_noticed(journal: Journal) -> None:
    write(journal, 1)
    Path(journal.path).rename(f"{journal.path}-away")
    with pytest.raises(OSError, match="removed or replaced"):
        journal.sync()
    Path(journal.path).write_bytes(b"")
    with pytest.raises(OSError, match="removed or replaced"):
        journal.sync()
    journal.reopen()
    write(journal, 2)
    journal.sync()
    assert journal.after(0, 9) == [row(1), row(2)]


def test_a_database_that_cannot_be_opened_again_costs_the_tail_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(path: str) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database is locked")

    write(journal, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(module, "connect", locked)
        with pytest.raises(sqlite3.OperationalError):
            journal.reopen()
    assert read_last(journal.path, 9) == [row(1), row(2)]
    journal.reopen()
    write(journal, 3)
    assert journal.after(0, 9) == [row(1), row(2), row(3)]


def test_a_journal_of_a_newer_version_gets_no_tail(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerJournalError):
        Journal(path)
    assert [file.name for file in tmp_path.iterdir()] == ["newer.db"]


def test_a_second_controller_on_one_journal_goes_without(journal: Journal) -> None:
    write(journal, 1)
    opened = open_journal(journal.path)
    assert opened.doubt
    assert opened.journal.in_memory
    assert "another process writes this journal" in opened.warning
    opened.journal.close()
    write(journal, 2)
    assert read_last(journal.path, 9) == [row(1), row(2)]


def test_a_full_database_and_a_tail_that_holds_it_all(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SQLite does not take stays in the tail, and is taken in once it fits."""
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    monkeypatch.setattr(module, "TAIL_SIZE", 100)
    write(journal, *range(1, 50))
    with pytest.raises(Exception, match="full"):
        write(journal, *range(50, 60))
    assert journal.last_seq() == 50
    assert len(read_last(journal.path, 99)) == 50
    journal.reopen()
    assert journal.after(0, 99) == [row(seq) for seq in range(1, 51)]


@pytest.mark.parametrize("odd", ["", "[[[2]],null,null]", "[[],nan,2]", "{}"])
def test_a_line_that_is_whole_and_means_nothing_is_damage(journal: Journal, odd: str) -> None:
    journal.close()
    with closing(Tail(tail_of(journal.path))) as tail:
        for line in ("[[],null,7]", odd, "[[],null,9]"):
            tail.add(line.encode())
    opened = open_journal(journal.path)
    assert opened.doubt
    assert opened.journal.delivered() == 7
    opened.journal.close()


def test_what_can_never_be_written_is_given_up(journal: Journal) -> None:
    journal.write([Row(2**70, 0.0, 0.0, "entry", "{}")])
    with pytest.raises(OverflowError):
        journal.prune(0.0)
    write(journal, 1)
    assert journal.after(0, 9) == [row(1)]


def test_a_row_is_told_with_its_number_and_time_and_an_old_one_as_it_is() -> None:
    new = Row(7, 1234.568, 1795381200.25, "knock", '{"boot":"b","raps":2}')
    assert new.to_json() == (
        '{"seq":7,"at":"2026-11-22T21:00:00.250+00:00","t_ms":1234.568,"event":"knock",'
        '"boot":"b","raps":2}'
    )
    old = '{"seq":7,"boot":"b","at":"x","t_ms":1.0,"event":"knock","raps":2}'
    assert Row(7, 1.0, 1.0, "knock", old).to_json() == old
