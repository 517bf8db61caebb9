"""Releases: each in a directory named by its contents; a link points to the one in use."""

import hashlib
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from installer import wheel
from installer.executor import Executor

SOURCE = Path(__file__).resolve().parent.parent.parent
OPT = Path("/opt/backdoor")
RELEASES = Path("/opt/backdoor.releases")
#: What a release is made of.
PARTS = (
    "controller",
    "web",
    "systemd",
    "pyproject.toml",
    "requirements.lock",
    "requirements-notify.lock",
    "requirements-postgres.lock",
    "requirements-centre.lock",
    "README.md",
)
#: How the name of a release ends that can send messages: it has ten packages more.
NOTIFY = "-notify"
#: One whose page can keep the history in a Postgres.
POSTGRES = "-postgres"
#: One whose page sends the events to a centre.
CENTRE = "-centre"
#: And one that sees the system's Python packages: only a pin library of apt's needs that.
SYSTEM = "-system"
#: This file says that the directory is complete.
WHOLE = ".whole"


def contents() -> list[Path]:
    """Return the files of a release, in order."""
    found = [
        path for part in PARTS for path in sorted([SOURCE / part, *(SOURCE / part).rglob("*")])
    ]
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def build(
    executor: Executor,
    wheels: str | None,
    extras: Collection[str] = (),
    releases: Path | None = None,
) -> Path:
    """Make the release's directory with its own Python packages, unless it is complete.

    ``extras`` are the endings of what it has besides: `NOTIFY`, `POSTGRES`, `CENTRE`, `SYSTEM`.
    It depends on nothing that Python finds on this machine: `-I` leaves out the environment and the
    user's own packages, nothing is built, and what pip looks at is the new directory alone.
    """
    endings = [each for each in (SYSTEM, CENTRE, POSTGRES, NOTIFY) if each in extras]
    release = (releases or RELEASES) / "".join((digest(), *endings))
    if (release / WHOLE).exists():
        return release
    executor.remove(release)
    _copy(executor, release)
    python = f"{release}/.venv/bin/python"
    pip = (python, "-I", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    offline = ("--no-index", "--find-links", wheels) if wheels else ()
    # Nothing is resolved: the lock names every file, so no newer release can break this.
    # Each of the others has all of the first.
    locked = [each for each in reversed(endings) if each != SYSTEM] or [""]
    locks = [f"-r{release}/requirements{each}.lock" for each in locked]
    exactly = ("--no-deps", "--require-hashes")
    venv = ("/usr/bin/python3", "-I", "-m", "venv")
    executor.run(*venv, f"{release}/.venv")
    for lock in locks:
        executor.run(*pip, *offline, "--only-binary", ":all:", *exactly, lock)
    executor.run(*pip, "--no-deps", "--no-index", _own_wheel(executor, release))
    executor.run(python, "-I", "-m", "pip", "--disable-pip-version-check", "check")
    if SYSTEM in extras:  # only from here on, so that pip never takes one of apt's for a locked one
        executor.run(*venv, "--system-site-packages", "--without-pip", f"{release}/.venv")
    executor.run(python, "-I", "-m", "compileall", "-q", f"{release}/controller", f"{release}/web")
    if not executor.dry_run:
        os.sync()  # a power cut must not leave the next line without the files before it
    executor.write(release / WHOLE, "")
    return release


def can_notify(release: Path) -> bool:
    """Return whether this release has what messages need."""
    return release.name.endswith(NOTIFY)


def can_start(release: Path) -> bool:
    """Return whether a release was made for the Python that the system has now."""
    return Path(release, ".venv/lib/python{}.{}".format(*sys.version_info[:2])).is_dir()


def digest() -> str:
    """Return the name of the release of this directory's contents."""
    found = hashlib.sha256(f"Python {sys.version_info[:2]}".encode())  # a newer Debian has another
    for path in contents():
        found.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def _own_wheel(executor: Executor, release: Path) -> str:
    executor.log_step(f"make the wheel of {release}")
    return f"{release}/*.whl" if executor.dry_run else str(wheel.make(release))


def _copy(executor: Executor, release: Path) -> None:
    executor.log_step(f"copy {len(contents())} files to {release}")
    if executor.dry_run:
        return
    for path in contents():
        target = release / path.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def in_use(link: Path = OPT) -> Path | None:
    """Return the release that a link points to, that of a bar unless another is named."""
    return link.readlink() if link.is_symlink() else None


def prune(executor: Executor, *keep: Path | None, releases: Path | None = None) -> None:
    """Remove releases other than those to keep: the one in use and the one before."""
    folder = releases or RELEASES
    if folder.is_dir():
        executor.remove(*(path for path in sorted(folder.iterdir()) if path not in keep))
