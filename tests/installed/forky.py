"""The quick tests on Python 3.14, which Debian forky brings: ``make test-forky``, as root.

The root and the Python packages are made once and kept in the user's cache. A run unpacks them,
needs no network, and builds its environment with the Makefile's own recipe.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

from tests.installed.machine import ROOT, cached, fetch, in_memory, key, lacking, run

PYTHON = "3.14"
SUITE = "forky"
PACKAGES = (
    "systemd,python3,python3-venv,mosquitto,postgresql,make,openssl,gcc,libc6-dev,git,"
    "ca-certificates"
)
#: Forky is tested before its release, and a mirror may be weeks behind.
LATE = '--aptopt=Acquire::Check-Valid-Until "false"'
LIMIT_S = 25 * 60


def root_archive() -> Path:
    """Return a Debian with that Python, as an archive."""

    def make(path: Path) -> None:
        include = f"--include={PACKAGES}"
        how = ("-q", "--variant=minbase", "--format=tar", LATE, include)
        run("mmdebstrap", *how, SUITE, str(path))

    return cached(f"{SUITE}-{key(SUITE, PACKAGES)}.tar", make)


def lock_for(python: str, text: str) -> str:
    """Return what a lock file names for another Python than this one."""
    other = {"python_version": python, "python_full_version": f"{python}.0"}
    found = re.findall(r"^(\S.*?) \\\n((?:    --hash=.*\n?)+)", text, re.MULTILINE)
    wanted = [(Requirement(line), hashes) for line, hashes in found]
    return "".join(
        f"{need.name}{need.specifier} \\\n{hashes}"
        for need, hashes in wanted
        if need.marker is None or need.marker.evaluate(other)
    )


def wheels() -> Path:
    """Return a directory with every package of both lock files."""
    names = ("requirements.lock", "requirements-dev.lock")
    locks = [lock_for(PYTHON, (ROOT / name).read_text()) for name in names]

    def make(path: Path) -> None:
        for number, text in enumerate(locks):
            lock = path.with_name(f"{path.name}-{number}.txt")
            lock.write_text(text)
            fetch(path, lock, PYTHON)
            lock.unlink()

    return cached(f"wheels-{key(PYTHON, *locks)}", make)


def quick_tests(root: Path) -> int:
    """Run the quick tests in there, on this checkout; return their exit code."""
    run("tar", "-C", str(root), "--numeric-owner", "-xf", str(root_archive()))
    shutil.copytree(wheels(), root / "root/wheels")
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/root/wheels", "CI": "true"}
    command = (
        "systemd-nspawn", "-q", "-D", str(root), "--register=no", "--keep-unit", "--as-pid2",
        "--private-network", "--console=pipe", f"--bind={ROOT}:/root/backdoor",
        "--chdir=/root/backdoor", *(f"--setenv={name}={value}" for name, value in settings.items()),
        "make", "--no-print-directory", "quick", "VENV=/root/venv", *sys.argv[1:],
    )  # fmt: skip
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, check=False, timeout=LIMIT_S
    ).returncode


def main() -> int:
    """Return the exit code: 0 when all tests passed."""
    lacks = "needs root" if os.geteuid() else lacking()
    if lacks:
        sys.exit(f"test-forky {lacks}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, SUITE)
        root.mkdir()
        in_memory(root)
        try:
            return quick_tests(root)
        finally:
            if root.is_mount():
                run("umount", "--lazy", str(root))


if __name__ == "__main__":
    sys.exit(main())
