"""The journal on real files: torn, damaged, full, locked, too new, not there, and killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from controller.journal import database
from controller.journal import journal as module
from controller.journal.journal import MEMORY, Journal, append_log_path, read_last
from controller.journal.records import Row, Saved
from controller.journal.recovery import Opened, open_journal
from tests.support.rows import LATER_S, NINE_S, remembers_nothing, row, saved


def filled(path: Path, count: int = 100) -> Path:
    """A closed journal of ``count`` transactions; the n-th state belongs to the n-th event."""
    journal = Journal(path)
    for seq in range(1, count + 1):
        journal.write([row(seq)], saved(seq))
    journal.finish()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


# --- everyday -------------------------------------------------------------------------------------


def test_new_journal_is_empty_without_doubt(path: Path) -> None:
    opened = open_journal(path)
    journal = opened.journal
    assert (opened.doubt, opened.warning) == (False, "")
    assert (journal.saved(), journal.last_seq(), journal.delivered()) == (None, 0, 0)
    assert journal.after(0, 10) == []
    journal.close()
    journal.close()


def test_written_events_state_and_mark_are_read(path: Path) -> None:
    journal = Journal(path)
    journal.write([row(1), row(2)], saved(2), 1)
    journal.close()
    opened = open_journal(path)
    assert not opened.doubt
    again = opened.journal
    assert (again.saved(), again.last_seq(), again.delivered()) == (saved(2), 2, 1)
    assert again.after(0, 10) == [row(1), row(2)]
    assert again.after(1, 10) == [row(2)]
    assert again.after(0, 1) == [row(1)]
    again.close()


def test_since_selects_by_wall_time(path: Path) -> None:
    with closing(Journal(path)) as journal:
        days = [row(seq, NINE_S + (seq - 2) * 86_400) for seq in (1, 2, 3)]
        journal.write(days)
        assert journal.since(NINE_S - 3600) == days[1:]
        plan = journal._db.execute("EXPLAIN QUERY PLAN SELECT * FROM event WHERE at_s >= 0")
        assert "event_at" in str(plan.fetchall())


def test_event_written_again_replaces_itself(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.write([row(1)])
        journal.write([row(1), row(2)], saved(2))
        assert journal.after(0, 10) == [row(1), row(2)]


def test_write_is_all_or_nothing(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.write([row(1)], saved(1), 1)
        bad = Row(3, 1.0, 1.0, "entry", "\ud800")
        with pytest.raises(UnicodeEncodeError):
            journal.write([row(2), bad], saved(2), 2)
        assert (journal.saved(), journal.last_seq(), journal.delivered()) == (saved(1), 1, 1)
        journal.write([row(2)])


def test_prune_deletes_old_delivered_events_but_not_the_newest(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.write([row(seq, NINE_S + seq) for seq in range(1, 11)], delivered=6)
        assert journal.prune(NINE_S + 5) == 4
        assert [row.seq for row in journal.after(0, 99)] == [5, 6, 7, 8, 9, 10]
        assert journal.prune(LATER_S) == 2
        journal.write(delivered=10)
        assert journal.prune(LATER_S) == 3
        assert journal.last_seq() == 10


def test_sync_covers_append_log_and_every_commit(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.write([row(1)], saved(1))
        journal.sync()
        assert append_log_path(path).stat().st_size > 0
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_start_reads_one_row_not_the_history(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.write([row(seq) for seq in range(1, 20_001)], saved(20_000))
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        journal._db.set_progress_handler(count, 10)
        assert journal.saved() == saved(20_000)
        assert journal.last_seq() == 20_000
        assert journal.delivered() == 0
        assert steps < 20  # of ten virtual machine instructions each


# --- migrations -----------------------------------------------------------------------------------


def test_older_file_is_migrated_step_by_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, 3)
    more = (
        ("ALTER TABLE event ADD COLUMN cause TEXT DEFAULT ''", "UPDATE event SET cause = 'old'"),
        ("CREATE TABLE extra (x)",),
    )
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, *more))
    with closing(Journal(path)) as journal:
        assert journal._db.execute("PRAGMA user_version").fetchone() == (5,)
        assert journal._db.execute("SELECT cause FROM event").fetchall() == [("old",)] * 3
        assert journal.saved() == saved(3)


def test_journal_of_version_1_is_read(path: Path) -> None:
    whole = '{"seq":1,"boot":"b","at":"2026-11-22T21:00:00.250+00:00","t_ms":1.5,"event":"entry"}'
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in database.MIGRATIONS[0]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        at = "2026-11-22T21:00:00.250+00:00"
        db.execute("INSERT INTO event VALUES (1, 1.5, ?, 'entry', ?)", (at, whole))
        db.execute("INSERT INTO event VALUES (2, 2.5, 'some time', 'entry', '{}')")
    with closing(open_journal(path).journal) as journal:
        assert journal.after(0, 9)[0] == Row(1, 1.5, NINE_S + 0.25, "entry", whole)
        assert journal.after(0, 9)[0].to_json() == whole
        assert [row.seq for row in journal.since(NINE_S)] == [1]
    assert read_last(str(path), 9)[0].to_json() == whole


def test_failing_migration_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 3)
    bad = ("ALTER TABLE event ADD COLUMN cause TEXT", "INSERT INTO no_such_table VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, bad))
        with pytest.raises(sqlite3.OperationalError):
            Journal(path)
    with closing(Journal(path)) as journal:
        assert journal.after(0, 99) == [row(1), row(2), row(3)]


def test_newer_file_is_left_alone(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    opened = open_journal(path)
    assert opened.doubt
    assert opened.journal.in_memory
    assert "version 99 and this program knows 3; update it" in opened.warning
    assert path.read_bytes() == before
    opened.journal.close()


# --- damage ---------------------------------------------------------------------------------------


def damaged_anew(path: Path, name: str = "journal.db.corrupt-1") -> Opened:
    """Open a damaged journal: it is set aside, and the new one works."""
    opened = open_journal(path)
    assert opened.doubt
    assert f"kept as {path.with_name(name)}, a new one is begun" in opened.warning
    assert path.with_name(name).exists()
    seq = opened.journal.last_seq() + 1
    opened.journal.write([row(seq)], saved(seq))
    opened.journal.sync()
    opened.journal.close()
    assert open_and_close(path) == (False, saved(seq))
    return opened


def open_and_close(path: Path) -> tuple[bool, Saved | None]:
    opened = open_journal(path)
    found = opened.journal.saved()
    opened.journal.close()
    return opened.doubt, found


def test_file_that_is_no_database_is_set_aside(path: Path) -> None:
    path.write_bytes(b"once upon a time in a bar " * 1000)
    damaged_anew(path)
    assert path.with_name("journal.db.corrupt-1").read_bytes().startswith(b"once upon")


def test_database_of_another_program_is_set_aside(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE event (x)")
    damaged_anew(path)


@pytest.mark.parametrize(
    "spoil",
    ["DROP TABLE saved", "DROP TABLE event", "DROP TABLE mark", "DELETE FROM mark"],
)
def test_missing_table_is_damage(path: Path, spoil: str) -> None:
    filled(path, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(spoil)
    damaged_anew(path)


@pytest.mark.parametrize("page", [1, 2, 3, 10, -1])
def test_damaged_page_is_found_at_the_start(path: Path, page: int) -> None:
    filled(path, 1000)
    with path.open("r+b") as file:
        file.seek(4096 * page, os.SEEK_SET if page > 0 else os.SEEK_END)
        file.write(random.Random(page).randbytes(4096))
    damaged_anew(path)


def test_event_without_a_time_is_damage(path: Path) -> None:
    filled(path, 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'at_s REAL NOT NULL', 'at_s REAL')")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET at_s = NULL WHERE seq = 5")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'at_s REAL', 'at_s REAL NOT NULL')")
    damaged_anew(path)


def test_truncated_file_is_found_at_the_start(path: Path) -> None:
    filled(path, 2000)
    os.truncate(path, path.stat().st_size // 2)
    damaged_anew(path)


def test_second_damaged_file_gets_the_next_number(path: Path) -> None:
    path.write_bytes(b"first " * 100)
    damaged_anew(path)
    filled(path, 1000)
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"second" * 1000)
    damaged_anew(path, "journal.db.corrupt-2")


def test_damaged_file_is_set_aside_with_its_wal(tmp_path: Path, path: Path) -> None:
    with closing(Journal(filled(tmp_path / "source.db", 1000))) as journal:
        journal.write([row(1001)], saved(1001))
        journal.prune(0.0)
        shutil.copy(tmp_path / "source.db", path)
        shutil.copy(tmp_path / "source.db-wal", f"{path}-wal")
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"torn" * 1024)
    damaged_anew(path)
    with closing(sqlite3.connect(path.with_name("journal.db.corrupt-1"))) as aside:
        assert aside.execute("SELECT max(seq) FROM event").fetchone() == (1001,)


def test_emptied_file_gives_doubt(path: Path) -> None:
    path.touch()
    opened = open_journal(path)
    assert opened.doubt
    assert "was empty" in opened.warning
    opened.journal.close()


@pytest.mark.parametrize("round_", range(10))
def test_torn_log_gives_a_state_that_fits_its_last_event(tmp_path: Path, round_: int) -> None:
    """A power cut in the middle of a write: the copy is taken while the log is not merged yet."""
    source, torn = tmp_path / "journal.db", tmp_path / "torn.db"
    journal = Journal(source)
    for seq in range(1, 101):
        journal.write([row(seq)], saved(seq))
    shutil.copy(source, torn)
    wal = Path(f"{source}-wal").read_bytes()
    journal.close()
    cut = random.Random(round_).randrange(len(wal))
    Path(f"{torn}-wal").write_bytes(wal[:cut] + os.urandom(min(100, len(wal) - cut)))
    opened = open_journal(torn)
    last = opened.journal.last_seq()
    assert 0 <= last <= 100
    assert opened.journal.saved() == (saved(last) if last else None)
    assert [row.seq for row in opened.journal.after(0, 999)] == list(range(1, last + 1))
    opened.journal.close()


WRITER = """
import sys
from pathlib import Path
from tests.support.rows import row, saved
from controller.journal.recovery import open_journal
opened = open_journal(sys.argv[1])
assert not opened.warning, opened.warning
seq = opened.journal.last_seq()
while True:
    seq += 1
    opened.journal.write([row(seq)], saved(seq), seq)
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
"""


def test_kill_while_writing_loses_nothing_acknowledged(in_memory: Path) -> None:
    path = in_memory / "journal.db"
    journal = Journal(path)
    journal.write([row(1)], saved(1), 1)
    journal.close()
    chance = random.Random(20)
    for _ in range(20):
        acknowledged = killed_writer(path, chance.randrange(1, 30))
        with closing(open_journal(path).journal) as journal:
            last = journal.last_seq()
            assert last >= acknowledged
            assert journal.saved() == saved(last)
            assert journal.delivered() == last
            assert [row.seq for row in journal.after(0, 99_999)] == list(range(1, last + 1))


def killed_writer(path: Path, after_rows: int) -> int:
    """Let another process write, kill it, and return the last event that it was sure of."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(after_rows):
        assert writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split("\n")
    writer.wait()
    writer.stdout.close()
    with closing(open_journal(path).journal) as journal:
        return int(rest[-2]) if len(rest) > 1 else journal.last_seq()


# --- where nothing can be written -----------------------------------------------------------------


def test_missing_directory_gives_journal_in_memory(tmp_path: Path) -> None:
    remembers_nothing(open_journal(tmp_path / "no" / "such" / "journal.db"))


def test_path_that_is_a_directory_gives_journal_in_memory(tmp_path: Path) -> None:
    remembers_nothing(open_journal(tmp_path))


def test_locked_file_gives_journal_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, 1)
    monkeypatch.setattr(database, "BUSY_LIMIT_S", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        opened = open_journal(path)
        assert "locked" in opened.warning
        remembers_nothing(opened)


READ_ONLY = """
import os, sys
from controller.journal.recovery import open_journal
from tests.support.rows import remembers_nothing
if os.geteuid() == 0:
    os.setuid(65534)
remembers_nothing(open_journal(sys.argv[1]))
"""


@pytest.mark.parametrize("there", [False, True], ids=["new", "existing"])
def test_read_only_directory_gives_journal_in_memory(there: bool) -> None:
    """As another user, because root may write everywhere."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = directory / "journal.db"
        if there:
            filled(path, 3)
            path.chmod(stat.S_IRUSR | stat.S_IROTH)
        directory.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        directory.chmod(0o755)
        assert done.returncode == 0, done.stderr
        assert not list(directory.glob("*corrupt*"))


def test_damaged_file_that_cannot_be_moved_gives_journal_in_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"once upon a time " * 1000)

    def refuse(self: Path, target: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    opened = open_journal(path)
    assert "not a database; [Errno 13] Permission denied" in opened.warning
    remembers_nothing(opened)


def test_full_disk_raises_and_keeps_old_events(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.write([row(1)], saved(1))
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        big = [Row(seq, 0.0, 0.0, "entry", "x" * 1000) for seq in range(2, 1200)]
        with pytest.raises(sqlite3.OperationalError, match="full"):
            journal.write(big, saved(1199))
        assert journal._db.execute("SELECT count(*) FROM event").fetchone() == (0,)
        assert journal.after(0, 1) == [row(1)]
        assert journal.saved() == saved(1199)  # in the append log


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_ROWS", 50)
    with closing(open_journal(MEMORY).journal) as journal:
        for seq in range(1, 201):
            journal.write([row(seq)], saved(seq))
        journal.write(delivered=200)
        assert [row.seq for row in journal.after(0, 999)] == list(range(151, 201))


def test_memory_by_configuration_gives_no_doubt() -> None:
    opened = open_journal(MEMORY)
    assert (opened.doubt, opened.warning) == (False, "")
    opened.journal.close()


def test_reader_does_not_block_writer(in_memory: Path) -> None:
    """``backdoor journal`` may look at any time."""
    path = in_memory / "journal.db"
    with closing(Journal(path)) as journal:
        for seq in range(1, 1500):
            journal.write([row(seq)], saved(seq))
            assert [row.seq for row in read_last(str(path), 2)] == [seq - 1, seq][-seq:]
        assert read_last(str(path), 9999) == [row(seq) for seq in range(1, 1500)]


def test_large_file_is_not_read_whole_at_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Journal(path)) as journal:
        journal.write([row(seq) for seq in range(1, 5000)], saved(4999))
    monkeypatch.setattr(module, "CHECKED_BYTES", 1000)
    with closing(open_journal(path).journal) as journal:
        read: list[str] = []
        journal._db.set_trace_callback(read.append)
        journal.check()
        assert not any("integrity_check" in statement for statement in read)
        assert journal.last_seq() == 4999
