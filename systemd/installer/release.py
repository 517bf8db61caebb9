"""Releases: each in a directory named by its contents; a link points to the one in use."""

import hashlib
import shutil
from pathlib import Path

from installer.hands import Hands

SOURCE = Path(__file__).resolve().parent.parent.parent
OPT = Path("/opt/backdoor")
RELEASES = Path("/opt/backdoor.releases")
#: What a release is made of.
PARTS = ("controller", "web", "systemd", "pyproject.toml", "requirements.lock", "README.md")
WHOLE = ".whole"


def contents() -> list[Path]:
    """Return the files of a release, in order."""
    found = [
        path for part in PARTS for path in sorted([SOURCE / part, *(SOURCE / part).rglob("*")])
    ]
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def build(hands: Hands, wheels: str | None) -> Path:
    """Make the release's directory with its own Python packages, if it is not there whole."""
    release = RELEASES / digest()
    if (release / WHOLE).exists():
        return release
    hands.remove(release)
    _copy(hands, release)
    python = f"{release}/.venv/bin/python"
    pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    offline = ("--no-index", "--find-links", wheels) if wheels else ()
    # Nothing is resolved: the lock names every file, so no newer release can break this.
    exactly = ("--no-deps", "--require-hashes", "-r", f"{release}/requirements.lock")
    venv = ("/usr/bin/python3", "-m", "venv")
    hands.run(*venv, f"{release}/.venv")
    hands.run(*pip, *offline, *exactly)
    hands.run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "-e", str(release))
    hands.run(python, "-m", "pip", "--disable-pip-version-check", "check")
    # From here on it sees apt's packages (python3-lgpio); pip never takes one for a locked one.
    hands.run(*venv, "--system-site-packages", "--without-pip", f"{release}/.venv")
    hands.run(python, "-m", "compileall", "-q", f"{release}/controller", f"{release}/web")
    hands.write(release / WHOLE, "")
    return release


def digest() -> str:
    """Return the name of the release that this directory would make."""
    found = hashlib.sha256()
    for path in contents():
        found.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def _copy(hands: Hands, release: Path) -> None:
    hands.say(f"copy {len(contents())} files to {release}")
    if hands.dry:
        return
    for path in contents():
        target = release / path.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def in_use() -> Path | None:
    """Return the release that /opt/backdoor points to."""
    return OPT.readlink() if OPT.is_symlink() else None


def prune(hands: Hands, *keep: Path | None) -> None:
    """Remove releases that are neither in use nor the way back."""
    if RELEASES.is_dir():
        hands.remove(*(path for path in sorted(RELEASES.iterdir()) if path not in keep))
