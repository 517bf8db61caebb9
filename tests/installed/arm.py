"""Core, pins and journal on 64-bit ARM: ``make test-arm``, as root, in ten minutes or forty.

The real arm64 package is made; Debian's own ARM Python makes the release from the locked wheels in
it, as on a Pi, and runs the tests with that. Where the processor is another one, qemu stands in for
it, so what is found here is right or wrong, never how fast. Root and wheels are cached.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.installed.forky import lock_for
from tests.installed.machine import PYTHONS, ROOT, cached, in_memory, key, lacking, run

ARCH = "arm64"
PACKAGES = "python3,python3-venv"
#: What the tests need beside the release; the page, the browser and the linters stay away.
TOOLS = re.compile(
    r"(pytest|pytest-timeout|hypothesis|sortedcontainers|iniconfig|pluggy|pygments|packaging"
    r"|fake-rpi|numpy|lgpio)(?===)"
)
#: The wheels that Debian 12's C library runs; pip asks for each kind by its name.
KINDS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_31", "manylinux_2_34")
TESTS = ("rules", "sensing", "gpio", "journal", "test_clock.py", "test_codec.py", "test_engine.py",
         "test_replay.py", "test_systemd.py", "test_trace.py")  # fmt: skip
#: Each test, and all of them on one Debian, end by then: a machine that has other work takes hours.
TEST_LIMIT_S = 3600
LIMIT_S = float(os.environ.get("HOURS", "6")) * 3600
#: What of the checkout the tests do without.
NOT_OURS = shutil.ignore_patterns(
    ".git", ".lgd-*", ".*venv*", ".*_cache", "__pycache__", "dist", ".mutants"
)

BINFMT = Path("/proc/sys/fs/binfmt_misc")
OURS = BINFMT / "backdoor-aarch64"
#: An ARM program by its first bytes. F: the file is opened now, so it is also there in a container.
MAGIC = (
    ":backdoor-aarch64:M::"
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:"
    "{qemu}:FPC"
)
#: Makes the release there, from standard input: the Debian has nothing of the checkout yet.
MAKE_RELEASE = Path(__file__).with_name("unpacked.py")


def missing() -> str:
    """Return what this machine lacks for it, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    if not native() and not (shutil.which("qemu-aarch64-static") and shutil.which("arch-test")):
        return "needs qemu: apt install qemu-user-static arch-test"
    return lacking()


def native() -> bool:
    """Return whether this is an ARM machine itself."""
    return platform.machine() == "aarch64"


@contextmanager
def arm_programs() -> Iterator[None]:
    """Let this machine start ARM programs, as long as it can't by itself."""
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=False)
    asked = ["arch-test", ARCH]
    known = native() or not subprocess.run(asked, check=False, capture_output=True).returncode
    if not known:
        qemu = str(shutil.which("qemu-aarch64-static"))
        try:
            (BINFMT / "register").write_text(MAGIC.format(qemu=qemu))
        except OSError as error:
            sys.exit(f"test-arm can't make this kernel start ARM programs: {error}")
    try:
        yield
    finally:
        if not known:
            OURS.write_text("-1")


def root_archive(suite: str, packages: str, hooks: tuple[str, ...]) -> Path:
    """Return an ARM Debian with these packages, as an archive; hooks run before they are there."""

    def make(path: Path) -> None:
        how = ("-q", "--variant=minbase", "--format=tar", f"--architectures={ARCH}")
        before = (f"--essential-hook={hook}" for hook in hooks)
        run("mmdebstrap", *how, *before, f"--include={packages}", suite, str(path))

    return cached(f"{suite}-{ARCH}-{key(suite, packages, *hooks)}.tar", make)


def wheels(python: str, lock: str, only: re.Pattern[str] | None = None) -> Path:
    """Return a directory with the ARM wheels that a lock names for a Python."""
    text = lock_for(python, (ROOT / lock).read_text())
    if only:
        found = re.findall(r"^\S.*\n(?:    --hash=.*\n?)+", text, re.MULTILINE)
        text = "".join(part for part in found if only.match(part))

    def make(path: Path) -> None:
        file = path.with_name(f"{path.name}.txt")
        file.write_text(text)
        pip = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check")
        exact = ("--only-binary", ":all:", "--no-deps", "--require-hashes")
        kinds = [f"--platform={kind}_aarch64" for kind in KINDS]
        run(*pip, *exact, *kinds, "--python-version", python, "-d", str(path), "-r", str(file))
        file.unlink()

    return cached(f"wheels-{ARCH}-{key(python, text)}", make)


def package(folder: Path, python: str) -> Path:
    """Return the package for ARM, with the wheels for one Python."""
    script = ROOT / "systemd/deb/build.py"
    where = ("--wheels", str(wheels(python, "requirements-notify.lock")), "--out", str(folder))
    return Path(run(sys.executable, str(script), "--arch", ARCH, *where).strip())


def inside(root: Path, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the ARM Debian; what it says goes where ours goes, unless text goes in."""
    nspawn = (
        "systemd-nspawn", "-q", "-D", str(root), "--register=no", "--keep-unit", "--as-pid2",
        "--private-network", "--console=pipe", "-M", f"backdoor-arm-{root.name}",
        "--chdir=/root/backdoor", "--setenv=PYTHONDONTWRITEBYTECODE=1",
    )  # fmt: skip
    out = subprocess.PIPE if text else None
    return subprocess.run([*nspawn, *command], input=text or "", stdout=out, text=True,
                          check=False, timeout=LIMIT_S)  # fmt: skip


def release(suite: str, root: Path, packages: str = PACKAGES, hooks: tuple[str, ...] = ()) -> str:
    """Unpack a Debian and our package, and make the release there; return its path in it."""
    run("tar", "-C", str(root), "--numeric-owner", "-xf", str(root_archive(suite, packages, hooks)))
    shutil.copy(package(root / "root", PYTHONS[suite]), root / "root/backdoor.deb")
    (root / "root/backdoor").mkdir()
    for command, text in (
        (("dpkg", "--unpack", "--force-depends", "/root/backdoor.deb"), None),
        (("/usr/bin/python3", "-I", "-", "/usr/lib/backdoor/systemd"), MAKE_RELEASE.read_text()),
    ):
        done = inside(root, *command, text=text)
        if done.returncode:
            sys.exit(f"test-arm: {command[0]} failed on Debian {suite}\n{done.stdout or ''}")
    sys.stderr.write(f"--- Debian {suite}, {ARCH}: the release is made of the locked wheels\n")
    return done.stdout.split()[-1]


def tests(suite: str, root: Path) -> int:
    """Make the release on this Debian and run the tests with it; return their exit code."""
    made, python = release(suite, root), PYTHONS[suite]
    shutil.copytree(
        ROOT, root / "root/backdoor", symlinks=True, ignore=NOT_OURS, dirs_exist_ok=True
    )
    for wheel in wheels(python, "requirements-dev.lock", TOOLS).glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(root / "root/tools")
    found_there = root / made[1:] / f".venv/lib/python{python}/site-packages/tools.pth"
    found_there.write_text("/root/tools\n")  # also by the processes that a test starts
    chosen = sys.argv[1:] or [f"tests/controller/{name}" for name in TESTS]
    how = ("-p", "no:cacheprovider", "-m", "not slow", "-o", f"timeout={TEST_LIMIT_S}")
    return inside(root, f"{made}/.venv/bin/python", "-m", "pytest", *how, *chosen).returncode


def main() -> int:
    """Return the exit code: 0 when all tests passed on both Debians."""
    lacks = missing()
    if lacks:
        sys.exit(f"test-arm {lacks}")
    worst = 0
    with arm_programs(), tempfile.TemporaryDirectory() as folder:
        for suite in os.environ.get("SUITES", " ".join(PYTHONS)).split():
            root = Path(folder, suite)
            root.mkdir()
            in_memory(root)
            try:
                worst = max(worst, tests(suite, root))
            finally:
                if root.is_mount():
                    run("umount", "--lazy", str(root))
    return worst


if __name__ == "__main__":
    sys.exit(main())
