"""Backup and restore on real files: a journal that is being written, and whatever lies around."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event, Thread

import pytest

from controller.config.loader import load
from controller.journal.database import MIGRATIONS
from controller.journal.journal import Journal, read_last
from controller.journal.records import Row, Saved
from controller.journal.recovery import open_journal
from controller.maintenance.archive import FORMAT, BackupError, Manifest, make, opened
from controller.maintenance.contents import contents
from controller.maintenance.restore import restore
from tests.support.privileges import others_may_run_python

ABOUT = Manifest(FORMAT, "2026-11-25T08:30:00+01:00", "bar", {"backdoor": "1.2.3"}, {})
SAVED = Saved(1.0, "boot", 1.0, 1.0, {})
SECRET = "a-secret-of-the-bar-that-is-long-enough"


class House:
    """A configuration and the files that it names."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir(parents=True)
        self.file = folder / "backdoor.toml"
        self.file.write_text(
            f"""
            [journal]
            path = "{self.state / "journal.db"}"
            [web]
            secret_file = "{self.state / "pairing.secret"}"
            """
        )
        self.journal = self.state / "journal.db"
        (self.state / "pairing.secret").write_text(SECRET)
        (self.state / "pairing.phones").write_text("{}")
        (self.state / "regulars.toml").write_text("Anna = [0.5, 1]\n")

    def backup(self, target: Path) -> Manifest:
        return make(contents(load(str(self.file))), self.file, target, ABOUT)

    def restored(self, backup: Path) -> list[str]:
        return list(restore(backup, self.file, nullcontext()))

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.state.iterdir() if path.is_file()}


def rows(first: int, count: int) -> list[Row]:
    return [Row(seq, float(seq), float(seq), "knock", "{}") for seq in range(first, first + count)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "here")


@pytest.fixture
def journal(house: House) -> Iterator[Journal]:
    with closing(Journal(house.journal)) as journal:
        journal.write(rows(1, 3), SAVED)
        yield journal


def edited(backup: Path, member: str, data: bytes) -> None:
    """Put other bytes into a backup under a name."""
    with tarfile.open(backup) as old:
        parts = [(each.name, old.extractfile(each)) for each in old]
        content = {name: file.read() for name, file in parts if file is not None}
    content[member] = data
    with tarfile.open(backup, "w:gz") as new:
        for name, part in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(part)
            new.addfile(info, io.BytesIO(part))


def test_a_running_journal_is_copied_with_its_newest_steps(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    before = house.files()
    made = house.backup(tmp_path / "b.tar.gz")
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    assert sorted(made.files) == [
        "config/backdoor.toml",
        "state/journal.db",
        "state/pairing.phones",
        "state/pairing.secret",
        "state/regulars.toml",
    ]
    with opened(tmp_path / "b.tar.gz") as (manifest, files):
        assert manifest == made
        assert files["state/pairing.secret"].read_text() == SECRET
        copied = read_last(str(files["state/journal.db"]), 10)
    assert [row.seq for row in copied] == [1, 2, 3]
    journal.write(rows(4, 1))
    assert {"journal.db-wal", "journal.db-shm"} | set(before) >= set(house.files())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "here"]


def test_each_copy_of_a_journal_in_use_has_no_hole(house: House, tmp_path: Path) -> None:
    stop = Event()

    def write() -> None:
        with closing(Journal(house.journal)) as journal:
            seq = 1
            while not stop.is_set():
                journal.write(rows(seq, 7), SAVED)
                seq += 7

    writer = Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            house.backup(tmp_path / "b.tar.gz")
            with opened(tmp_path / "b.tar.gz") as (_, files):
                seqs = [row.seq for row in read_last(str(files["state/journal.db"]), 10**6)]
            assert seqs == list(range(1, len(seqs) + 1))
    finally:
        stop.set()
        writer.join()


def test_restored_elsewhere_phones_stay_paired_and_the_count_asks(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    house.backup(tmp_path / "b.tar.gz")
    journal.write(rows(4, 2), SAVED)
    journal.finish()
    (house.state / "pairing.secret").write_text("another one")
    (house.state / "regulars.toml").unlink()
    house.file.write_text(house.file.read_text() + "\n[house]\nvenue = 'other'\n")
    told = house.restored(tmp_path / "b.tar.gz")
    assert told[0] == (
        f"{tmp_path / 'b.tar.gz'}: of 2026-11-25T08:30:00+01:00, backdoor 1.2.3, 5 files"
    )
    aside = house.state / "before-restore-1"
    assert told[1] == f"{house.state}: put back; what was there is in {aside}"
    assert "put back; what was there is in" in told[2]
    assert load(str(house.file)).venue == "bar"
    assert (house.state / "pairing.secret").read_text() == SECRET
    assert (house.state / "pairing.secret").stat().st_mode & 0o777 == 0o640
    assert (house.state / "regulars.toml").exists()
    assert [row.seq for row in read_last(str(aside / "journal.db"), 9)] == [1, 2, 3, 4, 5]
    for _ in range(2):  # a start that fails leaves the doubt to the next
        found = open_journal(house.journal)
        assert found.doubt
        assert not found.damaged, "nothing to tell on the page but the doubt"
        assert found.journal.last_seq() == 3
        found.journal.close()


def test_restore_on_an_empty_machine(house: House, journal: Journal, tmp_path: Path) -> None:
    house.backup(tmp_path / "b.tar.gz")
    journal.close()
    shutil.rmtree(house.state)
    with pytest.raises(BackupError, match="is not there; install first"):
        house.restored(tmp_path / "b.tar.gz")
    house.state.mkdir()
    house.file.unlink()
    assert house.restored(tmp_path / "b.tar.gz")[1:] == [
        f"{house.state}: put back",
        f"{house.file}: put back",
    ]


def test_nothing_is_put_under_a_controller_that_runs(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    house.backup(tmp_path / "b.tar.gz")
    before = house.files()
    with pytest.raises(BackupError, match="the controller runs"):
        house.restored(tmp_path / "b.tar.gz")
    assert house.files() == before


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_damaged_backup_changes_nothing(
    house: House, journal: Journal, tmp_path: Path, cut: int
) -> None:
    backup = tmp_path / "b.tar.gz"
    house.backup(backup)
    journal.close()
    before = house.files()
    whole = bytearray(backup.read_bytes())
    if cut < 0:
        whole[len(whole) // 2] ^= 0x10
    backup.write_bytes(bytes(whole) if cut < 0 else bytes(whole[:cut]))
    with pytest.raises(BackupError, match=f"{backup}: is (no backup, or a damaged one|damaged)"):
        house.restored(backup)
    assert house.files() == before


def test_changed_contents_and_strange_members_are_not_taken(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    backup = tmp_path / "b.tar.gz"
    house.backup(backup)
    journal.close()
    edited(backup, "../../evil", b"x")
    house.restored(backup)
    assert not list(tmp_path.rglob("evil"))
    edited(backup, "state/pairing.secret", b"x" * 40)
    with pytest.raises(BackupError, match=r"pairing\.secret is not what was put in"):
        house.restored(backup)


def test_a_newer_format_is_refused_with_its_reason(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    backup = tmp_path / "b.tar.gz"
    house.backup(backup)
    with tarfile.open(backup) as archive:
        first = archive.extractfile("manifest.json")
        assert first is not None
        manifest = json.load(first)
    edited(backup, "manifest.json", json.dumps({**manifest, "format": FORMAT + 1}).encode())
    with pytest.raises(BackupError, match=r"of format 2 \(backdoor 1.2.3\) and .* upgrade first"):
        house.restored(backup)


def test_a_newer_journal_is_refused(house: House, journal: Journal, tmp_path: Path) -> None:
    backup = tmp_path / "b.tar.gz"
    house.backup(backup)
    journal.finish()
    with closing(sqlite3.connect(house.journal)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(BackupError, match="it is of version"):
        house.backup(backup)
    assert house.restored(backup)  # the older one is still there, and whole


def test_a_damaged_journal_is_no_backup_and_spares_the_last(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    backup = tmp_path / "b.tar.gz"
    house.backup(backup)
    before = backup.read_bytes()
    journal.finish()
    house.journal.write_bytes(house.journal.read_bytes()[:2000] + b"\xff" * 3000)
    with pytest.raises(BackupError, match="no backup was made"):
        house.backup(backup)
    assert backup.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "here"]


@pytest.mark.parametrize("name", ["pairing.secret", "regulars.toml", "journal.db"])
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
def test_what_is_no_file_is_not_followed(
    house: House, tmp_path: Path, name: str, kind: str
) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_text("root's own")
    planted = house.state / name
    planted.unlink(missing_ok=True)
    match kind:
        case "link":
            planted.symlink_to(shadow)
        case "dangling":
            planted.symlink_to(tmp_path / "nothing")
        case "pipe":
            os.mkfifo(planted)
        case "folder":
            planted.mkdir()
    with pytest.raises(BackupError, match=f"{name}: .*; no backup was made"):
        house.backup(tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_device_or_pipe_is_not_replaced_by_a_backup(house: House, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BackupError, match=r"pipe: is no regular file.*; no backup was made"):
        house.backup(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_a_full_disk_leaves_no_half_backup(house: House, journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no backup was made"):
        house.backup(Path("/dev/full/b.tar.gz"))
    with pytest.raises(BackupError, match="No such file or directory; no backup was made"):
        house.backup(tmp_path / "no such folder/b.tar.gz")


@pytest.mark.skipif(not others_may_run_python(), reason="no other user may run this Python")
def test_root_reads_each_folder_as_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without root there is only one owner, and nothing to tell apart."""
    for name in [name for name in os.environ if "COV" in name]:
        monkeypatch.delenv(name)  # it would be measured into a file of root's
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:  # not below a folder that is root's alone
        Path(folder).chmod(0o755)
        house = House(Path(folder, "here"))
        (house.state / "pairing.secret").chmod(0o600)
        if root:
            os.chown(house.state, 65534, 65534)
        expected = pytest.raises(BackupError, match=r"pairing\.secret: Permission denied")
        with expected if root else nullcontext():
            house.backup(tmp_path / "b.tar.gz")


def test_the_command_line_makes_and_restores_one(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    journal.finish()

    def backdoor(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "controller", *args, "--config", str(house.file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert backdoor("backup").stdout.startswith('[backup] folder: is ""; nothing to do')
    made = backdoor("backup", str(tmp_path))
    assert made.returncode == 0, made.stderr
    (backup,) = tmp_path.glob("backdoor-bar-*.tar.gz")
    assert made.stdout.splitlines()[0].endswith("KiB, read back")
    assert "keep it to yourself" in made.stdout
    done = backdoor("restore", str(backup))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "restored: say on the page how many are inside"
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(gzip.compress(b"no tar"))
    wrong = backdoor("restore", str(bad))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"{bad}: is no backup, or a damaged one")


def test_the_nightly_one_wants_its_stick_and_prunes(house: House, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    house.file.write_text(
        house.file.read_text() + f"\n[backup]\nfolder = '{stick}'\nkeep_days = 1\n"
        "keep_weeks = 0\nkeep_months = 0\n"
    )
    command = [sys.executable, "-m", "controller", "backup", "--config", str(house.file)]
    away = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (away.returncode, away.stdout) == (2, "")
    assert away.stderr == f"{stick}: is not there: is the stick plugged in? No backup was made\n"
    stick.mkdir()
    old = stick / "backdoor-bar-20250101T083000.tar.gz"
    old.touch()
    there = subprocess.run(command, capture_output=True, text=True, check=False)
    assert there.returncode == 0, there.stderr
    assert there.stdout.splitlines()[-1] == f"{old}: removed"
    assert len(list(stick.iterdir())) == 1


def test_the_history_comes_back_and_one_that_a_backup_lacks_stays(
    house: House, journal: Journal, tmp_path: Path
) -> None:
    journal.finish()
    house.backup(tmp_path / "without.tar.gz")
    history = house.state / "nights.db"
    with house.file.open("a") as config:
        config.write(f'[nights]\ndatabase = "{history}"\n')
    with closing(sqlite3.connect(history)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE night (night TEXT)")
        db.execute("INSERT INTO night VALUES ('2026-11-25')")
        db.commit()
        house.backup(tmp_path / "with.tar.gz")  # while the page has it open
    history.unlink()
    for name in ("with", "without"):
        house.restored(tmp_path / f"{name}.tar.gz")
        with closing(sqlite3.connect(history)) as db:
            assert db.execute("SELECT night FROM night").fetchall() == [("2026-11-25",)], name
