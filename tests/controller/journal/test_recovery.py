"""A start on whatever the disk has: what makes no sense is left out, and doubt is not forgotten."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from math import inf, nan
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from controller.clock import boot_id
from controller.journal import journal as module
from controller.journal import recovery
from controller.journal.append_log import AppendLog
from controller.journal.checks import LAST_SEQ, checksum, mark_problem, moment_problem, row_problem
from controller.journal.database import connect
from controller.journal.doubt import CUT, UNWRITTEN, DoubtMark, NewestStep
from controller.journal.journal import Journal, append_log_path, read_last
from controller.journal.records import Saved, line_of
from controller.journal.recovery import open_journal
from controller.trace import flights
from tests.support.rows import NINE_S, remembers_nothing, row, saved


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def step(seq: int) -> Saved:
    """A state of this boot."""
    return Saved(seq * 10.5, boot_id(), seq * 10.0, NINE_S, {"t_ms": seq * 10.5, "seq": seq})


def filled(path: Path, count: int = 100) -> Path:
    """A closed journal of a controller that worked, with every step in the database."""
    opened = open_journal(path)
    for seq in range(1, count + 1):
        opened.journal.write([row(seq)], step(seq), seq)
    opened.journal.finish()
    return path


def spoil(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement, values)


def reason(path: Path) -> str:
    return DoubtMark(path).reason()


# --- what a record must be ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value", "what"),
    [
        (0, 0, "number"),
        (0, -(2**62), "number"),
        (0, 2 * LAST_SEQ, "number"),
        (0, 1.5, "number"),
        (0, True, "number"),
        (1, nan, "house time"),
        (1, -1.0, "house time"),
        (1, "soon", "house time"),
        (2, inf, "time"),
        (2, 1e300, "time"),
        (2, None, "time"),
        (3, "", "name"),
        (3, "entr\x19", "name"),
        (3, b"entry", "name"),
        (4, "{", "data"),
        (4, "[1]", "data"),
        (4, None, "data"),
    ],
)
def test_row_without_checksum_has_to_be_possible(at: int, value: object, what: str) -> None:
    fields: list[Any] = list(row(7))
    assert row_problem(fields) == ""
    fields[at] = value
    assert row_problem(fields) == f"its {what} makes no sense"


def test_checksum_finds_every_flipped_bit_that_still_makes_sense() -> None:
    crc = checksum(*row(7))
    assert row_problem(row(7), crc) == ""
    assert row_problem(row(7)._replace(data='{"count": 3}'), crc) == "its checksum is wrong"
    assert row_problem(row(7), crc ^ 1) == "its checksum is wrong"


@pytest.mark.parametrize(
    ("moment", "what"),
    [
        ((nan, "b", 1.0, 1.0), "its house time"),
        ((1.0, None, 1.0, 1.0), "the name of its boot"),
        ((1.0, "b", -1.0, 1.0), "its time since the boot"),
        ((1.0, "b", 1.0, nan), "its time"),
    ],
)
def test_moment_without_checksum_has_to_be_possible(moment: Any, what: str) -> None:
    assert moment_problem((1.0, "b", 1.0, 1.0)) == ""
    assert moment_problem(moment) == f"{what} makes no sense"
    assert moment_problem(moment, checksum(*moment, "{}") ^ 1, "{}") == "its checksum is wrong"


def test_delivery_without_checksum_has_to_be_possible() -> None:
    assert mark_problem(3, 3) == mark_problem(3, 3, checksum(3)) == ""
    assert mark_problem(4, 3).startswith("3 is the last event and 4")
    assert mark_problem("3", 3)
    assert mark_problem(-1, 3)
    assert mark_problem(2, 3, checksum(3)) == "its checksum is wrong"


# --- rows that make no sense ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET data = 'no JSON' WHERE seq = 97",
        "UPDATE event SET data = NULL || x'ff' WHERE seq = 97 AND 0",
        "UPDATE event SET data = x'ff00' WHERE seq = 97",
        "UPDATE event SET data = '{\"count\": 98}' WHERE seq = 97",
        "UPDATE event SET at_s = 1e300 WHERE seq = 97",
        "UPDATE event SET at_s = 'soon' WHERE seq = 97",
        "UPDATE event SET t_ms = -5 WHERE seq = 97",
        "UPDATE event SET name = x'c3' WHERE seq = 97",
        "UPDATE event SET crc = crc + 1 WHERE seq = 97",
        "UPDATE event SET crc = 'x' WHERE seq = 97",
        "UPDATE event SET seq = 1 << 62 WHERE seq = 97",
    ],
)
def test_row_that_makes_no_sense_is_left_out_named_and_asks(
    statement: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    spoil(path, statement)
    spoilt = "AND 0" not in statement
    opened = open_journal(path, 0.0)
    with closing(opened.journal) as journal:
        assert opened.doubt == opened.damaged == spoilt
        kept = [seq for seq in range(1, 101) if seq != 97 or not spoilt]
        assert [row.seq for row in opened.tonight] == kept
        assert [row.seq for row in journal.after(0, 999)] == kept
        assert journal.last_seq() == 100
        assert journal.saved() == step(100)
    if spoilt:
        assert "1 of its rows made no sense" in opened.warning
        assert "left out: event" in caplog.text
        assert "1 of its rows" in reason(path)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM event").fetchone() == (99,)


def test_rows_that_make_no_sense_are_named_one_by_one_up_to_a_limit(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    spoil(path, "UPDATE event SET crc = 0 WHERE seq > 10")
    opened = open_journal(path)
    assert "90 of its rows" in opened.warning
    assert caplog.text.count("left out: event") == module.NAMED_ROWS
    assert opened.journal.last_seq() == 10
    opened.journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE saved SET state = replace(state, '100', '101')",
        "UPDATE saved SET state = x'00ff'",
        "UPDATE saved SET boottime_ms = boottime_ms + 1",
        "UPDATE saved SET boot_id = 7",
        "UPDATE saved SET t_ms = 'x'",
    ],
)
def test_state_that_makes_no_sense_is_no_state(statement: str, path: Path) -> None:
    filled(path)
    spoil(path, statement)
    opened = open_journal(path)
    assert opened.doubt
    assert opened.journal.saved() is None
    assert opened.journal.last_seq() == 100
    opened.journal.close()
    assert open_journal(path).doubt, "no state was written since"


def test_unknown_delivery_sends_the_last_events_again(path: Path) -> None:
    filled(path, 1500)
    spoil(path, "UPDATE mark SET delivered = 10")
    for _ in range(2):  # and it is mended
        with closing(open_journal(path).journal) as journal:
            assert journal.delivered() == 500


def test_row_of_an_older_release_has_no_checksum_and_is_read(path: Path) -> None:
    filled(path, 3)
    spoil(path, "UPDATE event SET crc = NULL")
    spoil(path, "UPDATE saved SET crc = NULL")
    spoil(path, "UPDATE mark SET crc = NULL")
    opened = open_journal(path)
    assert not opened.doubt
    assert opened.journal.after(0, 9) == [row(1), row(2), row(3)]
    opened.journal.close()


def test_index_that_does_not_fit_is_made_anew(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        text = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'event_at'").fetchone()[0]
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'event_at'",
                   (f"{text} WHERE seq > 50",))  # fmt: skip
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("REINDEX event_at")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'event_at'", (text,))
    opened = open_journal(path, 0.0)
    assert not opened.doubt
    assert [row.seq for row in opened.tonight] == list(range(1, 101))
    opened.journal.close()


@pytest.mark.parametrize("version", [-5, 1])
def test_version_that_cannot_be_is_damage(version: int, path: Path) -> None:
    filled(path)
    spoil(path, f"PRAGMA user_version = {version}")
    opened = open_journal(path)
    assert "kept as" in opened.warning
    assert opened.journal.last_seq() == 100
    opened.journal.close()


def test_command_journal_leaves_out_what_makes_no_sense(path: Path) -> None:
    filled(path, 5)
    spoil(path, "UPDATE event SET data = x'ff' WHERE seq = 4")
    assert [row.seq for row in read_last(str(path), 3)] == [3, 5]


def test_command_journal_reads_a_journal_of_before_checksums(path: Path) -> None:
    filled(path, 5)
    for table in ("event", "saved", "mark"):
        spoil(path, f"ALTER TABLE {table} DROP COLUMN crc")
    spoil(path, "PRAGMA user_version = 2")
    assert [row.seq for row in read_last(str(path), 3)] == [3, 4, 5]


# --- a file that is damaged as a whole ------------------------------------------------------------


def test_new_journal_takes_over_what_is_sound_in_a_damaged_one(path: Path) -> None:
    filled(path)
    spoil(path, "DROP TABLE mark")
    opened = open_journal(path, 0.0)
    assert opened.doubt
    assert opened.journal.saved() == step(100)
    assert opened.journal.last_seq() == 100
    assert [row.seq for row in opened.tonight] == list(range(1, 101))
    assert opened.journal.delivered() == 0  # at least once
    opened.journal.close()


def test_nothing_unsound_is_taken_over(path: Path) -> None:
    filled(path)
    spoil(path, "UPDATE event SET data = '{}' WHERE seq = 50")
    spoil(path, "UPDATE saved SET t_ms = 5")
    spoil(path, "DROP TABLE mark")
    with closing(open_journal(path).journal) as journal:
        assert journal.saved() is None
        assert [row.seq for row in journal.after(0, 999)] == [*range(1, 50), *range(51, 101)]


def test_state_is_taken_over_by_the_start_after_one_that_was_killed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    shutil.copy(path, path.with_name("journal.db.corrupt-1"))  # of another evening
    spoil(path, "DROP TABLE mark")
    with monkeypatch.context() as patch:
        patch.setattr(recovery, "_take_over", lambda journal, steps: journal.close())
        open_journal(path).journal.close()
    opened = open_journal(path)
    assert opened.doubt
    assert opened.journal.saved() == step(100)
    opened.journal.close()


# --- doubt that outlives failed starts ------------------------------------------------------------


def test_doubt_stays_until_a_state_that_carries_it_is_synced(path: Path) -> None:
    filled(path)
    path.write_bytes(b"rot" * 5000)
    for _ in range(3):  # starts that fail after the journal was opened
        opened = open_journal(path)
        assert opened.doubt
        opened.journal.close()
    opened = open_journal(path)
    opened.journal.write([row(101)], step(101))
    assert reason(path), "it is not synced"
    opened.journal.sync()
    assert not reason(path)
    opened.journal.close()
    assert not open_journal(path).doubt


def test_doubt_is_on_the_disk_before_anything_is_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    path.write_bytes(b"rot" * 5000)
    seen: list[str] = []
    rename = Path.rename

    def watched(self: Path, target: str) -> Path:
        seen.append(reason(path))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    open_journal(path).journal.close()
    assert seen
    assert all(text.startswith("it is damaged") for text in seen)


def test_torn_log_is_doubted_again_when_its_checkpoint_was_all_that_was_done(path: Path) -> None:
    opened = open_journal(path)
    opened.journal.write([row(1)], step(1))
    opened.journal.close()
    with append_log_path(path).open("ab") as file:
        file.write(bytes(50))
    again = open_journal(path)
    assert again.doubt
    again.journal.prune(0.0)  # empties the append log
    again.journal.close()
    third = open_journal(path)
    assert third.doubt
    assert "its newest part is damaged" in third.warning
    third.journal.close()


@pytest.mark.parametrize("text", [b"", b"\xff\n\x1b[2J" + b"x" * 9999, "à côté".encode()])
def test_mark_of_doubt_may_say_anything(text: bytes, path: Path) -> None:
    DoubtMark(path).path.write_bytes(text)
    opened = open_journal(path)
    assert opened.doubt
    assert opened.warning.isprintable()
    assert len(opened.warning) < 700
    opened.journal.close()


def test_mark_of_doubt_that_is_no_file_is_doubt(path: Path) -> None:
    DoubtMark(path).path.mkdir()
    opened = open_journal(path)
    assert opened.doubt
    opened.journal.close()


# --- a journal that is not the newest -------------------------------------------------------------


def test_journal_replaced_by_an_older_copy_asks(path: Path, tmp_path: Path) -> None:
    shutil.copy(filled(path, 3), tmp_path / "older")
    filled(path, 4)
    shutil.copy(tmp_path / "older", path)
    opened = open_journal(path)
    assert opened.doubt
    assert "it was cut, or is an older copy" in opened.warning
    opened.journal.close()


def test_append_log_cut_between_two_steps_asks(path: Path) -> None:
    opened = open_journal(path)
    opened.journal.write([row(1)], step(1))
    whole = append_log_path(path).read_bytes()
    opened.journal.write([row(2)], step(2))
    opened.journal.close()
    append_log_path(path).write_bytes(whole)
    again = open_journal(path)
    assert again.journal.saved() == step(1)
    assert again.doubt
    again.journal.close()


@pytest.mark.parametrize(("older", "lost"), [(3, "events 4 to 6"), (5, "events 6 to 6")])
def test_events_lost_between_an_older_database_and_the_newest_log_ask(
    older: int, lost: str, path: Path, tmp_path: Path
) -> None:
    """The newest state is there, and yet something of tonight is not."""
    shutil.copy(filled(path, older), tmp_path / "older")
    opened = open_journal(filled(path, 6))
    opened.journal.write([row(7)], step(7))
    opened.journal.close()
    shutil.copy(tmp_path / "older", path)
    again = open_journal(path)
    assert again.journal.saved() == step(7)
    assert again.damaged
    assert f"it has lost {lost}" in again.warning
    assert reason(path)
    again.journal.write([row(8)], step(8))
    again.journal.close()
    assert f"it has lost {lost}" in reason(path), "not synced yet, so the doubt stays"


def test_wal_that_is_cut_after_a_checkpoint_asks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite goes back to before it without a word."""
    monkeypatch.setattr(module, "CHECKPOINT_SIZE", 20)
    opened = open_journal(path)
    wal = path.with_name(f"{path.name}-wal")
    try:
        for seq in range(1, 16):
            opened.journal.write([row(seq)], step(seq), seq)
        whole = [file.read_bytes() for file in (path, append_log_path(path), wal)]
    finally:
        opened.journal.close()
    for file, data in zip((path, append_log_path(path), wal), whole, strict=True):
        file.write_bytes(data)
    sound = open_journal(path)
    assert not sound.doubt, "as a kill leaves it"
    sound.journal.close()
    append_log_path(path).write_bytes(whole[1])
    path.write_bytes(whole[0])
    wal.write_bytes(whole[2][:-1000])
    again = open_journal(path)
    assert again.journal.saved() == step(15)
    assert again.damaged
    assert "it has lost events" in again.warning
    again.journal.close()


def test_append_log_of_before_the_base_was_written_is_read(path: Path) -> None:
    filled(path, 2)
    log = AppendLog(append_log_path(path))
    log.add(line_of([row(9)], step(9).fields(), None, {}))
    log.close()
    with NewestStep(path).writing(step(9)):
        pass
    again = open_journal(path)
    assert not again.doubt
    assert again.journal.last_seq() == 9
    again.journal.close()


def test_row_with_a_huge_number_that_is_left_out_makes_no_gap(path: Path) -> None:
    filled(path, 3)
    spoil(path, "UPDATE event SET seq = 9999999 WHERE seq = 2")
    opened = open_journal(path)
    opened.journal.write([row(4)], step(4))
    opened.journal.sync()
    opened.journal.close()
    again = open_journal(path)
    assert not again.doubt
    again.journal.close()


def test_older_append_log_with_a_state_and_no_event_is_not_believed(path: Path) -> None:
    opened = open_journal(path)
    opened.journal.write([], step(1))
    older = append_log_path(path).read_bytes()
    opened.journal.write([row(2)], step(2))
    opened.journal.finish()
    append_log_path(path).write_bytes(older)
    again = open_journal(path)
    assert again.journal.saved() == step(2)
    assert again.doubt
    again.journal.close()


def test_journal_that_was_removed_asks(path: Path) -> None:
    filled(path, 3).unlink()
    opened = open_journal(path)
    assert opened.doubt
    assert "it was empty" in opened.warning
    opened.journal.close()


@pytest.mark.parametrize("starts", [1, 5])
def test_journal_that_failed_starts_have_only_created_is_a_new_one(path: Path, starts: int) -> None:
    for _ in range(starts):
        open_journal(path).journal.close()
    opened = open_journal(path)
    assert (opened.doubt, opened.warning, opened.damaged) == (False, "", False)
    assert opened.journal.last_seq() == 0


@pytest.mark.parametrize("lost", ["its rows", "the file", "all of the file"])
def test_journal_that_had_rows_asks_after_a_reboot_too(path: Path, lost: str) -> None:
    """The newest step is gone by then, but not what the controller has recorded."""
    filled(path, 3)
    NewestStep(path).path.unlink()
    flights(str(path)).mkdir()
    if lost == "its rows":
        spoil(path, "DELETE FROM event")
        spoil(path, "DELETE FROM saved")
    elif lost == "the file":
        path.unlink()
    else:
        path.write_bytes(b"")
    opened = open_journal(path)
    assert "it was empty" in opened.warning
    assert opened.doubt
    assert opened.damaged


def test_newest_step_is_in_the_runtime_directory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{run}:/elsewhere")
    filled(path, 3)
    assert [file.name for file in run.iterdir()] == ["journal.db-newest"]
    assert not open_journal(path).doubt


def test_newest_step_that_cannot_be_written_or_read_asks(path: Path) -> None:
    filled(path, 3)
    newest = NewestStep(path)
    newest.path.unlink()
    newest.path.mkdir()
    wrote(newest, step(3))
    newest.close()
    assert open_journal(path).doubt


def wrote(newest: NewestStep, saved: Saved) -> None:
    with newest.writing(saved):
        pass


def test_step_of_another_boot_says_nothing_of_this_one(path: Path) -> None:
    newest = NewestStep(path)
    wrote(newest, saved(3))
    assert newest.missing_from(saved(2), boot_id()) == ""
    assert newest.missing_from(None, boot_id()) == ""
    assert newest.missing_from(step(2), boot_id()) == CUT
    wrote(newest, step(3))
    assert newest.missing_from(saved(2), boot_id()) == CUT
    assert newest.missing_from(None, boot_id()) == CUT
    assert newest.missing_from(step(3), boot_id()) == ""
    newest.close()


def test_process_killed_before_a_step_is_written_asks_and_is_no_damage(path: Path) -> None:
    filled(path, 3)
    journal = open_journal(path).journal
    assert journal.newest is not None
    journal.newest.writing(step(4)).__enter__()  # and no more
    journal.close()
    opened = open_journal(path)
    assert opened.doubt
    assert not opened.damaged
    assert UNWRITTEN in opened.warning
    opened.journal.close()
    opened = open_journal(path)  # a start that is killed as well
    assert opened.doubt
    assert not opened.damaged
    opened.journal.close()


def test_process_killed_after_a_step_is_written_lacks_nothing(path: Path) -> None:
    filled(path, 3)
    newest = NewestStep(path)
    newest.written = step(2)
    newest.writing(step(3)).__enter__()  # it was written, and that was not noted
    newest.close()
    opened = open_journal(path)
    assert not opened.doubt
    opened.journal.close()


def test_first_step_of_a_boot_that_was_not_written_is_no_damage(path: Path) -> None:
    newest = NewestStep(path)
    newest.written = saved(9)  # of another boot
    newest.writing(step(1)).__enter__()
    assert newest.missing_from(saved(9), boot_id()) == UNWRITTEN
    assert newest.missing_from(None, boot_id()) == UNWRITTEN
    newest.close()


def test_steps_that_a_disk_refused_are_missed(path: Path) -> None:
    filled(path, 3)
    journal = open_journal(path).journal
    assert journal.newest is not None
    with pytest.raises(OSError, match="full"), journal.newest.writing(step(4)):
        raise OSError("the disk is full")
    journal.close()
    opened = open_journal(path)
    assert opened.damaged
    assert CUT in opened.warning
    opened.journal.close()


# --- a disk that does not answer, and the last wall -----------------------------------------------


def test_disk_that_hangs_at_the_start_gives_a_journal_in_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, closed = Event(), Event()
    close = Journal.close

    def hanging(name: str) -> sqlite3.Connection:
        if name != module.MEMORY:
            assert free.wait(60)
        return connect(name)

    def noted(journal: Journal) -> None:
        close(journal)
        if not journal.in_memory:
            closed.set()

    monkeypatch.setattr(module, "connect", hanging)
    monkeypatch.setattr(Journal, "close", noted)
    opened = open_journal(path, limit_s=0.1)
    assert "the disk has not answered" in opened.warning
    remembers_nothing(opened)
    free.set()
    assert closed.wait(60), "whoever comes late lets the journal go"
    open_journal(path).journal.finish()


def test_bug_while_reading_stops_no_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def buggy(file: Path) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(recovery, "_was_there", buggy)
    with caplog.at_level(logging.ERROR):
        remembers_nothing(open_journal(path))
    assert "please report it" in caplog.text


def test_odd_value_while_reading_is_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)

    def huge(journal: Journal) -> None:
        raise MemoryError

    monkeypatch.setattr(Journal, "check", huge)
    opened = open_journal(path)
    assert "is damaged (MemoryError" in opened.warning
    opened.journal.close()
