"""The menu, and what it says on a machine where something is missing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.installed import arm
from tests.support.wait import eventually

LOCKS = [
    Path(f"requirements{part}.lock") for part in ("", "-notify", "-postgres", "-centre", "-dev")
]


def without_makeflags(env: Mapping[str, str]) -> dict[str, str]:
    """The make that runs these tests must not hand its settings (VENV, PYTHON) to the others."""
    return {name: value for name, value in env.items() if name != "MAKEFLAGS"}


def make(
    *args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, **how: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *args],
        cwd=cwd,
        env=without_makeflags(env or os.environ),
        capture_output=True,
        text=True,
        check=False,
        **how,
    )


def test_bare_make_prints_the_menu() -> None:
    menu = make().stdout
    for target in ("setup", "run", "test", "check", "bench"):
        assert f"make {target} " in menu


def test_tests_on_arm_say_what_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert arm.missing() == "needs qemu: apt install qemu-user-static arch-test"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert arm.missing().endswith("apt install mmdebstrap systemd-container")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert arm.missing() == "needs root"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A fresh clone as far as `make setup` can see, before it can do anything."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(name, tmp_path)
    return tmp_path


def fake_python(folder: Path, prelude: str) -> Path:
    """The real Python, but whatever it runs by -c begins with ``prelude``."""
    return script(
        folder / "python",
        f"""if [ "$1" = -c ]; then
          code=$2; shift 2
          exec {sys.executable} -c "{prelude}
$code" "$@"
        fi
        exec {sys.executable} "$@"
        """,
    )


def script(path: Path, lines: str) -> Path:
    path.write_text(f"#!/bin/sh\n{lines}")
    path.chmod(0o755)
    return path


def ours(stderr: str) -> list[str]:
    """What we say, without what make adds."""
    return [line for line in stderr.splitlines() if not line.startswith("make")]


@pytest.mark.parametrize(
    ("prelude", "message"),
    [
        (
            "import sys; sys.version_info = (3, 10, 2, 'final', 0)",
            "is Python 3.10 and backdoor needs 3.11 or newer: take Debian 12 or newer, or name"
            " another Python: make run PYTHON=python3.12",
        ),
        (
            "import sys; sys.modules['ensurepip'] = None",
            "the venv module is missing: sudo apt install python3-venv",
        ),
    ],
)
def test_missing_python_or_venv_is_one_line(bare: Path, prelude: str, message: str) -> None:
    done = make("setup", f"PYTHON={fake_python(bare, prelude)}", cwd=bare)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = ours(done.stderr)
    assert message in line
    assert not (bare / ".venv").exists()


def test_no_python_at_all_names_what_to_install(bare: Path) -> None:
    done = make("run", "PYTHON=no-such-python", cwd=bare)
    assert ours(done.stderr) == [
        "there is no no-such-python: sudo apt install python3-venv,"
        " or name another: make run PYTHON=python3.12"
    ]


def test_clone_that_cannot_be_written_is_one_line(bare: Path) -> None:
    with tempfile.TemporaryDirectory() as place:  # where others may look: pytest's is our own
        for path in bare.iterdir():
            shutil.copy(path, place)
        os.chmod(place, 0o555)
        nobody: dict[str, Any] = {"user": 65534} if os.geteuid() == 0 else {}
        done = make("run", cwd=Path(place), **nobody)
        os.chmod(place, 0o755)
    (line,) = ours(done.stderr)
    assert line == (
        f"nothing can be written into {os.path.realpath(place)}:"
        " clone into a folder of your own, such as ~/backdoor"
    )


def test_newer_python_is_tried_and_registry_out_of_reach_is_named(bare: Path) -> None:
    python = fake_python(bare, "import sys; sys.version_info = (3, 15, 0, 'alpha', 1)")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    nowhere |= {"PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1", "CI": ""}
    done = make("setup", f"PYTHON={python}", cwd=bare, env=os.environ | nowhere)
    assert done.stdout.splitlines()[:2] == [
        "setting up .venv, this once: it takes about a minute ...",
        "installing what backdoor needs ...",
    ]
    newer, failed = ours(done.stderr)
    assert newer.endswith("is Python 3.15, newer than any that backdoor is tested with: trying it")
    log = bare / ".venv/pip.log"
    assert failed == (
        "the package registry is not in reach: join a network, or name one by PIP_INDEX_URL;"
        f" pip's words are in {log}"
    )
    assert "No matching distribution found" in log.read_text()


class Pip:
    """A Python whose venv has a pip that does as it is told, and that notes what it did."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pip = folder / "pip"
        shutil.copy("requirements-dev.lock", folder)
        made = f"mkdir -p .venv/bin; cp {self._pip} .venv/bin/python"
        lines = f'[ "$2" = venv ] || exit 0; rm -rf .venv; {made}; echo venv >> did\n'
        self._python = script(folder / "python", lines)
        self.does("exit 0")

    def does(self, what: str) -> None:
        """Let every later pip do this, also one that is installed already."""
        script(self._folder / "behave", what)
        script(self._pip, "echo $* | grep -o '[a-z-]*[.]lock' >> did; exec ./behave\n")

    def command(self, target: str) -> list[str]:
        return ["make", "--no-print-directory", "-C", str(self._folder), target, self._setting]

    @property
    def _setting(self) -> str:
        return f"PYTHON={self._python}"

    def make(self, target: str) -> tuple[int, list[str]]:
        """Return the exit code and what was done."""
        (self._folder / "did").write_text("")
        done = make(target, self._setting, cwd=self._folder)
        return done.returncode, self.did()

    def did(self) -> list[str]:
        return (self._folder / "did").read_text().split()


@pytest.fixture
def pip(bare: Path) -> Pip:
    return Pip(bare)


RUN, DEV = "requirements.lock", "requirements-dev.lock"


@pytest.mark.parametrize("target", ["setup", "dev"])
def test_setup_killed_half_way_begins_anew(pip: Pip, bare: Path, target: str) -> None:
    if target == "dev":
        assert pip.make("setup") == (0, ["venv", RUN])
    pip.does("touch began; exec tail -f /dev/null")
    env = without_makeflags(os.environ)
    with subprocess.Popen(pip.command(target), env=env, start_new_session=True) as process:
        eventually((bare / "began").exists)
        os.killpg(process.pid, signal.SIGKILL)
    pip.does("exit 0")
    assert pip.make(target) == (0, ["venv", RUN] + [DEV] * (target == "dev"))
    assert pip.make(target) == (0, [])


def test_packages_that_cannot_be_fetched_leave_the_old_ones(pip: Pip) -> None:
    assert pip.make("setup") == (0, ["venv", RUN])
    pip.does("echo 'WARNING: Retrying (Retry(total=0' >&2; exit 1")
    assert pip.make("dev") == (2, [DEV])
    assert pip.make("setup") == (0, [])
    pip.does("echo 'No space left on device' >&2; exit 1")
    assert pip.make("dev") == (2, [DEV])
    pip.does("exit 0")
    assert pip.make("setup") == (0, ["venv", RUN])


@pytest.mark.parametrize(
    ("given", "demo"),
    [
        ([], "backdoor demo"),
        (["LAN=1"], "backdoor demo --lan"),
        (["PORT=8099", "LAN=0"], "backdoor demo --port 8099"),
    ],
)
def test_make_run_passes_its_settings_on(given: list[str], demo: str) -> None:
    command = make("--dry-run", "run", *given).stdout.splitlines()[-1]
    assert " ".join(command.split()) == f"exec .venv/bin/{demo}"


def test_makefile_is_for_gnu_make_3_81() -> None:
    """GNU make 3.81: what 3.82 and later brought is not used."""
    newer = (
        r"\.ONESHELL|\$\((file|guile|let|intcmp) |^define \w+ *[:?+]?=|!=|::=|^undefine|^private"
    )
    assert not re.findall(newer, Path("Makefile").read_text(), re.MULTILINE)


def test_packages_that_tests_need_are_named_before_anything_is_run(bare: Path) -> None:
    (bare / "tests").mkdir()
    shutil.copy("tests/needs", bare / "tests")
    tools = bare / "bin"  # nothing but what make itself takes
    tools.mkdir()
    for name in ("make", "grep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    nowhere = {"PATH": str(tools), "SBIN": str(tools)}
    done = make("test", cwd=bare, env=nowhere)
    assert done.returncode != 0
    (line,) = ours(done.stderr)
    assert line.startswith(
        "the tests need what is missing here: sudo apt install mosquitto chromium"
    )
    assert done.stdout == ""
    assert not (bare / ".venv").exists()


def test_browser_that_does_not_start_is_missing(tmp_path: Path) -> None:
    browser = tmp_path / "chromium"
    browser.write_text(
        "#!/bin/sh\necho 'libnss3.so: cannot open shared object file' >&2\nexit 127\n"
    )
    browser.chmod(0o755)
    done = make("needs", env={"PATH": os.environ["PATH"], "CHROMIUM": str(browser)})
    assert done.returncode != 0
    assert " chromium" in done.stderr.splitlines()[0]


@pytest.mark.parametrize("lock", [*LOCKS, *sorted(Path("tests/tools").glob("*.lock"))], ids=str)
def test_lock_names_versions_and_hashes_and_no_place(lock: Path) -> None:
    for line in lock.read_text().splitlines():
        assert re.fullmatch(
            r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==[\w.]+( ; [^\\/:]+)? \\"
            r"|    --hash=sha256:[0-9a-f]{64}( \\)?",
            line,
        ), line


def test_locks_have_all_that_pyproject_asks_for() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [(project["dependencies"], LOCKS[0])]
    wanted += [([*project["dependencies"], *extras["notify"]], LOCKS[1])]
    wanted += [([*project["dependencies"], *extras["postgres"]], LOCKS[2])]
    wanted += [([*project["dependencies"], *extras["centre"]], LOCKS[3])]
    everything = (extras[name] for name in ("notify", "postgres", "centre", "dev", "pi"))
    wanted += [([*project["dependencies"], *chain.from_iterable(everything)], LOCKS[4])]
    for requirements, lock in wanted:
        locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[.+\])?==", lock.read_text(), re.MULTILINE))
        names = {re.split(r"[\[<>=~;\s]", name)[0].lower() for name in requirements}
        assert names <= locked, f"{lock}: run `make lock`"


def test_the_locks_agree() -> None:
    run, notify, postgres, centre, dev = (
        dict(re.findall(r"^([a-z0-9._-]+)(?:\[.+\])?==([\w.]+)", lock.read_text(), re.MULTILINE))
        for lock in LOCKS
    )
    for extra in (notify, postgres, centre):
        assert run.items() <= extra.items()
        assert {name: dev.get(name, version) for name, version in extra.items()} == extra
