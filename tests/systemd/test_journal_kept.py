"""The journal of before an upgrade is kept by the service's own user: root touches nothing."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

SYSTEMD = Path(__file__).parents[2] / "systemd"
PROGRAM = SYSTEMD / "installer/journal.py"
#: A user who owns nothing, on every Debian; its group has another name.
USER = "nobody"
NAMES = (
    "journal.db",
    "journal.db-tail",
    "journal.db-wal",
    "journal.before-upgrade.db",
    "journal.before-upgrade.db-tail",
    "journal.before-upgrade.db-wal",
)
SECRET = b"root:$y$j9T$secret:20000:0:99999:7:::\n"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A directory of the service's with a journal, a file of root's, and the installer's hands."""
    monkeypatch.syspath_prepend(SYSTEMD)
    from installer.executor import Executor

    top = Path(tempfile.mkdtemp(prefix="backdoor-kept-"))
    top.chmod(0o755)
    data, secret = top / "data", top / "shadow"
    data.mkdir(mode=0o750)
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    executor = Executor(dry_run=False)
    yield SimpleNamespace(
        data=data,
        secret=secret,
        run=lambda verb: executor.run_as(USER, PROGRAM, verb, str(data), group="nogroup"),
    )
    shutil.rmtree(top)
    for name in [name for name in sys.modules if name.split(".")[0] == "installer"]:
        del sys.modules[name]


def own(folder: Path) -> None:
    """Give all that lies in a directory to the service, as if it had made it."""
    for path in (folder, *folder.iterdir()):
        os.chown(path, 65534, 65534, follow_symlinks=False)


def journal(path: Path, text: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE event (text)")
        db.execute("INSERT INTO event VALUES (?)", (text,))


def read(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("SELECT text FROM event").fetchone()[0])


def test_journal_comes_back_with_its_tail_and_belongs_to_the_service(place: Any) -> None:
    journal(place.data / "journal.db", "before")
    (place.data / "journal.db-tail").write_text("steps")
    own(place.data)
    assert place.run("back-up") == ""
    (place.data / "journal.db").unlink()
    journal(place.data / "journal.db", "what a newer version makes of it")
    (place.data / "journal.db-tail").unlink()
    own(place.data)
    assert place.run("put-back") == ""
    assert read(place.data / "journal.db") == "before"
    assert (place.data / "journal.db-tail").read_text() == "steps"
    for path in place.data.iterdir():
        assert (path.stat().st_uid, path.stat().st_mode & 0o77) == (65534, 0)


def test_without_a_journal_nothing_is_kept_and_nothing_put_back(place: Any) -> None:
    own(place.data)
    assert place.run("back-up") == ""
    journal(place.data / "journal.db", "the first")
    own(place.data)
    assert place.run("put-back") == ""
    assert read(place.data / "journal.db") == "the first"


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


TRAPS: dict[str, Callable[[Path, Path], object]] = {
    "link to a file": lambda path, secret: path.symlink_to(secret),
    "link to a directory": lambda path, secret: path.symlink_to(secret.parent),
    "link to nothing": lambda path, secret: path.symlink_to(secret.with_name("made")),
    "link to itself": lambda path, _: path.symlink_to(path.name),
    "second name": lambda path, secret: path.hardlink_to(secret),
    "pipe": lambda path, _: os.mkfifo(path),
    "device": lambda path, _: os.mknod(path, 0o020666, os.makedev(1, 5)),
    "socket": lambda path, _: bind(path),
    "directory": lambda path, _: path.mkdir(),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trap", TRAPS)
def test_trap_in_the_services_directory_reaches_nothing_of_roots(
    place: Any, trap: str, name: str
) -> None:
    if name != "journal.db":
        journal(place.data / "journal.db", "before")
    if name.startswith("journal.before-upgrade.db-"):
        journal(place.data / "journal.before-upgrade.db", "kept")
    try:
        TRAPS[trap](place.data / name, place.secret)
    except PermissionError:
        pytest.skip("no devices can be made here")
    own(place.data)
    os.chown(place.secret, 0, 0)  # the second name was given away with it
    for verb in ("back-up", "put-back"):
        place.run(verb)
        found = place.secret.stat()
        assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)
        assert place.secret.read_bytes() == SECRET
        assert not place.secret.with_name("made").exists()
        for path in place.data.iterdir():
            if path.is_file() and not path.is_symlink() and path.stat().st_uid != 0:
                with suppress(OSError):
                    assert SECRET.strip() not in path.read_bytes()


@pytest.mark.parametrize(("trap", "what"), [("link to a file", "a link"), ("pipe", "a pipe")])
def test_trap_in_place_of_the_journal_is_said(place: Any, trap: str, what: str) -> None:
    TRAPS[trap](place.data / "journal.db", place.secret)
    own(place.data)
    assert f"journal.db is {what}: somebody put it there" in place.run("back-up")


def test_program_that_never_ends_is_given_up(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from installer import executor

    monkeypatch.setattr(executor, "RUN_AS_LIMIT_S", 0.5)
    endless = place.secret.with_name("endless.py")
    endless.write_text("import time; time.sleep(600)")
    done = executor.Executor(dry_run=False).run_as(USER, endless, group="nogroup")
    assert done == "it took more than 0.5 s"
