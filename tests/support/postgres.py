"""A real Postgres of this run's own: on a free port of loopback, in a folder that goes again."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import free_port

#: Debian has the programs of each version in a folder of its own.
PROGRAMS = "/usr/lib/postgresql"
USER = "backdoor"
#: It is gone in a minute: nothing of it has to last.
SETTINGS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=64MB")


def program(name: str) -> str:
    """Return the newest version of one of Postgres' programs."""
    found = sorted(Path(PROGRAMS).glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, "Postgres is missing: sudo apt install postgresql"
    return path


def as_user() -> dict[str, Any]:
    """Return what makes a child Debian's user `postgres`: the server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Postgres:
    """A server that runs."""

    def __init__(self, folder: Path, port: int, *settings: str) -> None:
        self._settings = (*SETTINGS, *settings)
        self._folder = folder
        self._numbers = itertools.count(1)
        self.port = port

    def run(self, name: str, *arguments: str) -> None:
        """Run one of its programs as its user."""
        subprocess.run(
            [program(name), *arguments],
            check=True,
            capture_output=True,
            cwd=self._folder,
            env={**os.environ, "LC_ALL": "C"},
            **as_user(),
        )

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} " + " ".join(
            f"-c {setting}" for setting in self._settings
        )
        log = str(self._folder / "log")
        data = str(self._folder / "data")
        self.run("pg_ctl", "-w", "-t", "120", "-D", data, "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, with its connections."""
        self.run("pg_ctl", "-w", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def new_database(self) -> str:
        """Make an empty database and return its address."""
        name = f"nights{next(self._numbers)}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, name)
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres_server(*settings: str) -> Iterator[Postgres]:
    """Run a server for a `with` block; ``settings`` as on its command line."""
    with tempfile.TemporaryDirectory(prefix="backdoor-pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, as_user()["user"], as_user()["group"])
        server = Postgres(folder, free_port(), *settings)
        server.run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "-E", "UTF8")
        server.start()
        try:
            yield server
        finally:
            server.stop()
