"""The append log on real files: cut, torn, damaged, removed, full, locked."""

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
from controller.journal.append_log import FLUSH_MARK, AppendLog, read_lines
from controller.journal.database import NewerJournalError
from controller.journal.journal import Journal, append_log_path, read_last
from controller.journal.records import Row, Saved
from controller.journal.recovery import open_journal
from tests.support.rows import row, saved

LINES = [f'{{"step": {number}, "name": "Grüße"}}'.encode() for number in range(30)]

#: The empty block after each line, and its header.
MERE_END = len(FLUSH_MARK) + 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db-tail"


@pytest.fixture
def log(path: Path) -> Iterator[AppendLog]:
    with closing(AppendLog(path)) as log:
        yield log


def fill(log: AppendLog) -> bytes:
    for line in LINES:
        log.add(line)
    return log.path.read_bytes()


def redirect(log: AppendLog, device: str, flags: int = os.O_WRONLY) -> None:
    """Make writes to the file go to ``device`` instead."""
    other = os.open(device, flags)
    os.dup2(other, log._fd)
    os.close(other)


def test_added_lines_are_read_before_and_after_sync(log: AppendLog) -> None:
    assert not log.torn
    fill(log)
    assert read_lines(log.path) == (LINES, False)
    log.sync()
    assert read_lines(log.path) == (LINES, False)
    assert not log.torn


def test_lines_are_compressed(log: AppendLog) -> None:
    assert len(fill(log)) < 0.7 * sum(map(len, LINES))


def test_cut_at_any_byte_gives_whole_lines_and_no_damage(log: AppendLog) -> None:
    whole = fill(log)
    for at in range(len(whole)):
        log.path.write_bytes(whole[:at])
        lines, damaged = read_lines(log.path)
        assert lines == LINES[: len(lines)]
        assert not damaged
        assert len(lines) < len(LINES) or at >= len(whole) - MERE_END


@pytest.mark.parametrize("wrong", [0x01, 0x80, 0xFF], ids=hex)
def test_wrong_byte_anywhere_is_damage_and_no_wrong_line_is_read(
    log: AppendLog, wrong: int
) -> None:
    whole = bytearray(fill(log))
    for at in range(len(whole)):
        spoilt = whole.copy()
        spoilt[at] ^= wrong
        log.path.write_bytes(spoilt)
        lines, damaged = read_lines(log.path)
        assert lines == LINES[: len(lines)]
        # Some bits mean nothing; and to spoil the last bytes is to cut them off.
        assert damaged or lines == LINES or at >= len(whole) - MERE_END


def test_zero_bytes_after_a_power_cut_are_damage(log: AppendLog) -> None:
    whole = fill(log)
    log.path.write_bytes(whole + bytes(4096))
    assert read_lines(log.path) == (LINES, True)


@pytest.mark.parametrize("spoilt", ["large", "unpacks to more"])
def test_file_larger_than_any_log_is_damage_and_not_read_whole(
    spoilt: str, log: AppendLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log)
    log.add(b"[" * 50_000 + b"]")
    limit = log.path.stat().st_size if spoilt == "unpacks to more" else 500
    monkeypatch.setattr("controller.journal.append_log.MOST_BYTES", limit)
    lines, damaged = read_lines(log.path)
    assert damaged
    assert lines == LINES[: len(lines)]


def test_clear_empties_the_file_and_restarts_compression(log: AppendLog) -> None:
    fill(log)
    log.clear()
    assert log.path.read_bytes() == b""
    log.add(LINES[0])
    assert read_lines(log.path) == (LINES[:1], False)


def test_lines_of_another_process_make_it_torn_until_clear(log: AppendLog) -> None:
    fill(log)
    log.close()
    log.close()
    with closing(AppendLog(log.path)) as again:
        assert again.torn
        again.clear()
        assert not again.torn


def test_second_process_is_locked_out(log: AppendLog) -> None:
    with pytest.raises(OSError, match="another process writes this journal"):
        AppendLog(log.path)


def test_sync_of_removed_file_raises(log: AppendLog) -> None:
    log.add(LINES[0])
    log.path.unlink()
    with pytest.raises(OSError, match="it was removed"):
        log.sync()
    assert log.torn


def test_full_disk_leaves_it_torn(log: AppendLog) -> None:
    redirect(log, "/dev/full")
    with pytest.raises(OSError, match="No space left"):
        log.add(LINES[0])
    assert log.torn


def test_short_write_raises_and_leaves_it_torn(log: AppendLog) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.dup2(writing, log._fd)
    os.write(writing, bytes(65536 - 4096))
    with pytest.raises(OSError, match="No space left"):
        log.add(os.urandom(40_000))
    assert log.torn
    os.close(reading)
    os.close(writing)


def test_failing_sync_leaves_it_torn(log: AppendLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    fill(log)
    monkeypatch.setattr("controller.journal.append_log.os.fdatasync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        log.sync()
    assert log.torn


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


def test_checkpoint_after_five_hundred_steps(journal: Journal) -> None:
    write(journal, *range(1, 500))
    assert in_database(journal) == 0
    write(journal, *range(500, 503))
    assert in_database(journal) == 500
    assert journal.after(499, 9) == [row(500), row(501), row(502)]
    assert (journal.saved(), journal.last_seq(), journal.delivered()) == (saved(502), 502, 502)


def test_all_steps_are_there_after_a_kill(journal: Journal) -> None:
    write(journal, *range(1, 700))
    path = journal.path
    journal.close()
    with closing(open_journal(path).journal) as again:
        assert again.unfinished
        assert (again.saved(), again.last_seq(), again.delivered()) == (saved(699), 699, 699)
        assert again.after(0, 9999) == [row(seq) for seq in range(1, 700)]
        assert again.since(0.0) == again.after(0, 9999)
        write(again, 700)
        assert in_database(again) == 699  # the first step takes in what was left
    assert read_last(path, 2) == [row(699), row(700)]


def test_first_line_has_all_fields_and_the_next_only_changes(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SIZE", 6)
    lasting = {"door": "Closed", "t_ms": 1.5}
    for number, busy in enumerate((True, True, False, False), 1):
        journal.write([row(number)], Saved(1.5, "boot", 1.0, 2.0, {**lasting, "busy": busy}))
        lines, _ = read_lines(append_log_path(journal.path))
        changes = [json.loads(line)[1] for line in lines]
        if number == 2:
            assert changes[0].keys() == {*lasting, "busy", "boot_id", "boottime_ms", "wall_s"}
            assert changes[1] is None
    assert changes == [{**changes[0], "busy": False}]  # a new one begins with all of it
    path = journal.path
    journal.close()
    with closing(Journal(path)) as again:
        assert again.saved() == Saved(1.5, "boot", 1.0, 2.0, {**lasting, "busy": False})


def test_kill_between_checkpoint_and_clear_doubles_nothing(journal: Journal) -> None:
    write(journal, *range(1, 10))
    left = append_log_path(journal.path).read_bytes()
    journal.finish()
    append_log_path(journal.path).write_bytes(left)
    with closing(Journal(journal.path)) as again:
        assert again.after(0, 99) == [row(seq) for seq in range(1, 10)]
        assert read_last(journal.path, 99) == again.after(0, 99)


def test_finish_leaves_one_file(journal: Journal) -> None:
    write(journal, 1, 2, 3)
    journal.finish()
    assert [path.name for path in Path(journal.path).parent.iterdir()] == ["journal.db"]
    with closing(Journal(journal.path)) as again:
        assert not again.unfinished
        assert again.saved() == saved(3)


def test_damaged_append_log_warns_and_keeps_whole_steps(journal: Journal) -> None:
    write(journal, 1, 2, 3)
    journal.close()
    with append_log_path(journal.path).open("ab") as file:
        file.write(bytes(100))
    opened = open_journal(journal.path)
    assert opened.doubt
    assert "its newest part is damaged; confirm the guest count" in opened.warning
    assert opened.journal.saved() == saved(3)
    write(opened.journal, 4)
    opened.journal.finish()
    again = open_journal(journal.path)
    assert not again.doubt
    assert again.journal.last_seq() == 4
    again.journal.close()


def test_append_log_is_set_aside_with_damaged_database(journal: Journal) -> None:
    write(journal, 1)
    journal.close()
    Path(journal.path).write_bytes(b"once upon a time in a bar " * 1000)
    opened = open_journal(journal.path)
    assert opened.doubt
    assert append_log_path(f"{journal.path}.corrupt-1").stat().st_size > 0
    assert opened.journal.saved() == saved(1)  # it was sound, and now it is doubted
    assert opened.journal.last_seq() == 1  # no number is given twice
    opened.journal.close()


def test_append_log_older_than_database_is_ignored(journal: Journal) -> None:
    """Somebody put a newer database beside an old append log."""
    write(journal, 1, 2, 3)
    left = append_log_path(journal.path).read_bytes()
    write(journal, *range(4, 10))
    journal.finish()
    append_log_path(journal.path).write_bytes(left)
    with closing(Journal(journal.path)) as again:
        assert (again.saved(), again.last_seq(), again.delivered()) == (saved(9), 9, 9)


def test_sync_raises_when_database_was_removed_or_replaced(journal: Journal) -> None:
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


def test_failing_reopen_keeps_the_append_log(
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


def test_journal_of_newer_version_gets_no_append_log(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerJournalError):
        Journal(path)
    assert [file.name for file in tmp_path.iterdir()] == ["newer.db"]


def test_second_controller_runs_with_a_journal_in_memory(journal: Journal) -> None:
    write(journal, 1)
    opened = open_journal(journal.path)
    assert opened.doubt
    assert opened.journal.in_memory
    assert "another process writes this journal" in opened.warning
    opened.journal.close()
    write(journal, 2)
    assert read_last(journal.path, 9) == [row(1), row(2)]


def test_full_database_keeps_steps_in_append_log(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SQLite refuses stays in the append log, and is moved once there is space."""
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    monkeypatch.setattr(module, "CHECKPOINT_SIZE", 100)
    write(journal, *range(1, 50))
    with pytest.raises(Exception, match="full"):
        write(journal, *range(50, 60))
    assert journal.last_seq() == 50
    assert len(read_last(journal.path, 99)) == 50
    journal.reopen()
    assert journal.after(0, 99) == [row(seq) for seq in range(1, 51)]


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "[[[2]],null,null]",
        "[[],nan,2]",
        "{}",
        '[[[-3,1.0,1.0,"entry",{}]],null,8]',
        '[[[3,1.0,1e300,"entry",{}]],null,8]',
        '[[[3,1.0,1.0,"entry",5]],null,8]',
        '[[],{"t_ms":-1.0,"boot_id":"b","boottime_ms":1.0,"wall_s":1.0},8]',
        '[[],{"t_ms":1.0,"boot_id":5,"boottime_ms":1.0,"wall_s":1.0},8]',
    ],
)
def test_whole_line_that_is_no_step_is_damage(journal: Journal, odd: str) -> None:
    journal.close()
    with closing(AppendLog(append_log_path(journal.path))) as log:
        for line in ("[[],null,7]", odd, "[[],null,9]"):
            log.add(line.encode())
    opened = open_journal(journal.path)
    assert opened.doubt
    assert opened.journal.delivered() == 7
    opened.journal.close()


def test_row_that_sqlite_never_takes_is_dropped(journal: Journal) -> None:
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
