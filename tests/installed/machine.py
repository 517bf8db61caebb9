"""A Debian of its own, booted in a container: what the installer does is done to a real system.

The root and the Python packages are made once and kept in the user's cache; a run unpacks them,
boots, and needs no network. There are no GPIO lines in it, so the services run on mock pins by a
drop-in; everything else is as it is on a Pi.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "backdoor-tests"
#: Debian's releases that the house is promised on, each with the Python that it brings.
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
SUITE = os.environ.get("SUITE", "bookworm")
PACKAGES = "systemd,systemd-sysv,dbus,udev,python3,python3-venv,mosquitto,procps"
#: The name of this run's machine, and of its control groups.
OURS = f"backdoor-{SUITE}-{os.getpid()}"
PLENTY_KIB = 8 * 1024 * 1024
NEEDS = ("mmdebstrap", "systemd-nspawn", "nsenter")
#: What the installer makes a release of, and what it is started from.
SOURCES = ("controller", "web", "systemd", "pyproject.toml", "requirements.lock",
           "requirements-notify.lock", "requirements-postgres.lock", "requirements-centre.lock",
           "README.md", "LICENSE")  # fmt: skip

MOCK = """\
[Service]
ExecStart=
ExecStart=/opt/backdoor/.venv/bin/backdoor run {safe}--config /etc/backdoor/backdoor.toml \
--set pins.factory=mock
"""


def missing() -> str:
    """Return what this machine lacks to run these tests, or nothing."""
    if SUITE not in PYTHONS:
        return f"SUITE must be one of {', '.join(PYTHONS)}, got {SUITE}"
    if os.geteuid() != 0:
        return "needs root"
    return lacking()


def lacking() -> str:
    """Return what this machine lacks to run a Debian in a container, or nothing."""
    lacks = [name for name in NEEDS if not shutil.which(name)]
    return f"needs {', '.join(lacks)}: apt install mmdebstrap systemd-container" if lacks else ""


def cached(name: str, make: Callable[[Path], object]) -> Path:
    """Return a file or directory of the cache, made the first time and whole."""
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        beside = CACHE / f"new-{os.getpid()}-{name}"
        make(beside)
        beside.rename(path)
    return path


def key(*texts: str) -> str:
    """Return a short name for what something in the cache was made of."""
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()[:8]


def root_archive(packages: str, hooks: tuple[str, ...] = ()) -> Path:
    """Return a Debian with these packages, as an archive; hooks are mmdebstrap's, for its end."""

    def make(path: Path) -> None:
        how = (f"--include={packages}", *(f"--customize-hook={hook}" for hook in hooks))
        run("mmdebstrap", "-q", "--variant=minbase", "--format=tar", *how, SUITE, str(path))

    return cached(f"{SUITE}-{key(SUITE, packages, *hooks)}.tar", make)


def wheels() -> Path:
    """Return a directory with every package that a release may have: these two have all others."""
    locks = [ROOT / f"requirements-{name}.lock" for name in ("notify", "centre")]
    python = PYTHONS[SUITE]

    def make(path: Path) -> None:
        for lock in locks:
            fetch(path, lock, python)

    return cached(f"wheels-{key(python, *(lock.read_text() for lock in locks))}", make)


def fetch(folder: Path, lock: Path, python: str) -> None:
    """Get the wheels that a lock names for a Python, and nothing else."""
    pip = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check")
    only = ("--only-binary", ":all:", "--python-version", python, "--no-deps", "--require-hashes")
    run(*pip, *only, "-d", str(folder), "-r", str(lock))


def run(*command: str) -> str:
    """Run a command on this machine; its output is in the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def in_memory(folder: Path) -> None:
    """Lay a directory into memory where there is plenty: a run waits for the disk most of all."""
    meminfo = Path("/proc/meminfo").read_text()
    if int(meminfo.partition("MemAvailable:")[2].split()[0]) > PLENTY_KIB:
        run("mount", "-t", "tmpfs", "-o", "size=4G", "backdoor-test", str(folder))


def own_groups() -> list[Path]:
    """Return control groups for this machine alone, one for each tree that systemd uses.

    In one that it shared with another machine, each would clear away what the other has just made:
    also with one of another run, or one that a killed run has left behind.
    """
    trees = [Path("/sys/fs/cgroup", tree) for tree in ("", "systemd", "unified")]
    groups = [tree / OURS for tree in trees if (tree / "cgroup.procs").exists()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def leave(groups: list[Path]) -> None:
    """Remove control groups in which nobody is any more; the last may need a moment to go."""
    for group in groups:
        for path in (*sorted(group.rglob("*/"), reverse=True), group):
            Machine.until(partial(removed, path))


def removed(group: Path) -> bool:
    """Remove a control group, unless somebody is still in it."""
    try:
        group.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


class Machine:
    """The container; `boot` and `halt` may be called in turn."""

    def __init__(self, folder: Path, packages: str = PACKAGES, hooks: tuple[str, ...] = ()) -> None:
        lacks = missing()
        assert not lacks, lacks
        archive, wheel_folder = root_archive(packages, hooks), wheels()  # made before any mount
        self.root = folder / "root"
        self.root.mkdir()
        in_memory(self.root)
        run("tar", "-C", str(self.root), "--numeric-owner", "-xf", str(archive))
        shutil.copytree(wheel_folder, self.root / "root/wheels")
        self.source = self.root / "root/backdoor"
        self.source.mkdir()
        for name in SOURCES:
            part = ROOT / name
            if part.is_dir():
                skip = shutil.ignore_patterns("__pycache__")
                shutil.copytree(part, self.source / name, ignore=skip)
            else:
                shutil.copy(part, self.source / name)
        (self.root / "etc/avahi/services").mkdir(parents=True)  # as on Raspberry Pi OS
        self.hostile_packages()
        self.more_logins()
        self.mock_pins()
        self._log = folder / "console"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.leader = ""

    def hostile_packages(self) -> None:
        """Have the system's Python find packages too old, or that end it when imported."""
        folder = self.root / "usr/lib/python3/dist-packages"
        for name in ("packaging", "setuptools", "flask", "paho", "click", "controller"):
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text(
                f"raise SystemExit('this is not our {name}')"
            )
            about = folder / f"{name}-23.0.dist-info"
            about.mkdir()
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 23.0\n"
            (about / "METADATA").write_text(text)

    def more_logins(self) -> None:
        """Ask the installer for logins of the tests' own: one login is one client at a time."""
        folder = self.root / "etc/backdoor"
        folder.mkdir(exist_ok=True)
        for role in ("controller", "web", "notify"):
            (folder / f"{role}-test.login").touch()

    def mock_pins(self) -> None:
        """Have the controller run without hardware."""
        for unit, safe in (("controller", ""), ("safe", "--safe ")):
            drop_ins = self.root / f"etc/systemd/system/backdoor-{unit}.service.d"
            drop_ins.mkdir(parents=True, exist_ok=True)
            (drop_ins / "mock.conf").write_text(MOCK.format(safe=safe))

    def boot(self) -> None:
        """Start it, and wait until its systemd has started everything."""
        settings = ("--register=no", "--keep-unit", "--link-journal=no", "--private-network")
        groups = " ".join(shlex.quote(str(group / "cgroup.procs")) for group in own_groups())
        enter = f'for group in {groups}; do echo $$ > $group; done; exec "$@"'
        with self._log.open("ab") as log:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", enter, "enter",
                 "systemd-nspawn", "-q", "-D", str(self.root), "--boot", *settings,
                 "--console=read-only", "-M", OURS],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        self.until(lambda: self._has_started(children), 80)

    def _has_started(self, children: Path) -> bool:
        """Find its first process, and ask it: systemd-nspawn has another child for a moment."""
        self.leader = next(iter(children.read_text().split()), "")
        states = ("running", "degraded")
        return self.leader != "" and (
            self.tell("systemctl", "is-system-running").stdout.strip() in states
        )

    def halt(self) -> None:
        """Shut it down as a power switch that asks first does."""
        if self._nspawn is not None:
            self.tell("systemctl", "poweroff")
            self._nspawn.wait(60)
            self._nspawn = None
            leave(own_groups())

    def cut(self) -> None:
        """Take its current away."""
        assert self._nspawn is not None
        os.kill(int(self.leader), signal.SIGKILL)
        self._nspawn.wait(60)
        self._nspawn = None
        self.leader = ""
        leave(own_groups())

    def screen(self) -> str:
        """Return what its console has shown."""
        return self._log.read_text(errors="replace")

    def throw_away(self) -> None:
        """Remove its files, which are root's and many."""
        if self.root.is_mount():
            run("umount", "--lazy", str(self.root))
        shutil.rmtree(self.root)

    def tell(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        enter = ("nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            [*enter, "/usr/bin/env", "-i", path, "HOME=/root", *command],
            capture_output=True, text=True, input=text, check=False, timeout=300,
        )  # fmt: skip

    def do(self, *command: str, text: str | None = None) -> str:
        """Run a command in it that must work; return what it says."""
        done = self.tell(*command, text=text)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str, what: str) -> str:
        """Return a property of a unit."""
        return self.do("systemctl", "show", "--value", "-p", what, unit).strip()

    def python(self, program: str) -> str:
        """Run a program with the installed packages."""
        return self.do("/opt/backdoor/.venv/bin/python", "-", text=program)

    @contextmanager
    def booted(self) -> Iterator[Machine]:
        """Boot it; whatever comes, it is halted and thrown away."""
        try:
            self.boot()
            yield self
        finally:
            self.halt()
            self.throw_away()

    @staticmethod
    def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
        """Wait for a condition, with a limit."""
        end_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end_s, f"not within {limit_s:g} s"
            time.sleep(0.2)
