"""An installation takes exactly what the lock files name, however new the rest of the index is."""

from __future__ import annotations

import base64
import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

#: Each Python's own `make test` runs them; in a container without a network there is no pip to get.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "backdoor-tests"
#: version -> the line of pips.txt that names it with its hash
PIPS = {
    line.split()[0].removeprefix("pip=="): line
    for line in (ROOT / "tests/systemd/pips.txt").read_text().splitlines()
    if line.startswith("pip==")
}
#: Debian 12's pip does not start on a Python newer than Debian 12's.
HERE = [name for name in PIPS if name != "23.0.1" or sys.version_info < (3, 12)]

#: Builds an editable wheel as setuptools does, of a project that has no files worth a name.
BACKEND = """\
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/bar-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("bar-1.dist-info/METADATA",
                       "Metadata-Version: 2.1\\nName: bar\\nVersion: 1\\n")
        wheel.writestr("bar-1.dist-info/WHEEL",
                       "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("bar-1.dist-info/RECORD", "")
    return "bar-1-py3-none-any.whl"
"""
PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "bar"
version = "1"
"""
#: The shape that broke: one package asks for another with an extra, of which the lock says nothing.
COVER = ("Provides-Extra: toml", "Requires-Dist: tables>=1; extra == 'toml'")
PLUGIN = ("Requires-Dist: cover[toml]>=0.9",)
LOCKED = {"cover": "1.0", "door": "1.0", "plugin": "1.0", "setuptools": "80.0", "tables": "1.0"}


def wheel(folder: Path, name: str, version: str, about: tuple[str, ...], **files: str) -> str:
    """Make a wheel; return its line for a lock file."""
    info = f"{name}-{version}.dist-info"
    head = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *about)
    contents = {path.replace("__", "/") + ".py": text for path, text in files.items()} | {
        f"{info}/METADATA": "\n".join(head) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents[f"{info}/RECORD"] = "".join(map(record, contents.items())) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in contents.items():
            archive.writestr(inside, text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


def record(file: tuple[str, str]) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(file[1].encode()).digest()).rstrip(b"=")
    return f"{file[0]},sha256={digest.decode()},{len(file[1].encode())}\n"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index that has what is locked, and something newer of each."""
    folder = tmp_path / "index"
    folder.mkdir()
    return folder


@pytest.fixture
def checkout(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our Makefile over locks of a few small packages; pip sees the test's index alone."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    about = {"cover": COVER, "plugin": PLUGIN}
    backend = {"setuptools": {"setuptools____init__": "", "setuptools__build_meta": BACKEND}}
    locked = {
        name: wheel(index, name, version, about.get(name, ()), **backend.get(name, {}))
        for name, version in LOCKED.items()
    }
    broken = {"setuptools": {"setuptools____init__": "", "setuptools__build_meta": "1 / 0"}}
    for name, version in LOCKED.items():
        wheel(index, name, f"{version}.1", about.get(name, ()), **broken.get(name, {}))
    (folder / "requirements.lock").write_text(locked["door"] + locked["setuptools"])
    (folder / "requirements-dev.lock").write_text("".join(locked.values()))
    (folder / "pyproject.toml").write_text(PYPROJECT)
    shutil.copy(ROOT / "Makefile", folder)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return folder


def unpacked(version: str, folder: Path) -> Path:
    """Return one pip, fetched the first time; never skipped where there is no registry."""
    path = CACHE / f"pip-{version}"
    if not path.exists():
        (folder / "pip.txt").write_text(PIPS[version] + "\n")
        fetch = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes")
        done = subprocess.run(
            [*fetch, "--no-compile", "--target", folder / "pip", "-r", folder / "pip.txt"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"pip {version} can't be fetched for this test: {done.stderr}"
        CACHE.mkdir(parents=True, exist_ok=True)
        beside = CACHE / f"new-{os.getpid()}-{path.name}"
        shutil.copytree(folder / "pip", beside)
        with suppress(OSError):  # another worker was faster
            beside.rename(path)
        shutil.rmtree(beside, ignore_errors=True)
    return path


def environment(folder: Path, pip: Path) -> None:
    """Make a new environment that has one pip and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    for part in ("pip", f"{pip.name}.dist-info"):
        (site_packages(folder) / part).symlink_to(pip / part)
    stamp = folder / "run.stamp"  # whole, but older than the lock: make installs, and with this pip
    stamp.touch()
    os.utime(stamp, (0, 0))


def site_packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))


def installed(folder: Path) -> dict[str, str]:
    found = (path.stem.split("-") for path in site_packages(folder).glob("*.dist-info"))
    return {name: version for name, version in found if name not in ("pip", "bar")}


def make(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run our Makefile there; its Python was chosen already."""
    env = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}  # of who runs us
    return subprocess.run(
        ["make", "--no-print-directory", *args],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(params=HERE)
def pip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One pip after the other, fetched before the test's own index is all that pip sees."""
    return unpacked(request.param, tmp_path)


@pytest.fixture
def ready(pip: Path, checkout: Path) -> Path:
    """A checkout whose environment has that pip."""
    environment(checkout / ".venv", pip)
    return checkout


def test_make_installs_the_locked_versions_only(ready: Path) -> None:
    done = make(ready, "dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(ready / ".venv") == LOCKED


@pytest.mark.parametrize("pip", HERE[-1:], indirect=True)
def test_packages_that_do_not_fit_together_are_refused(pip: Path, checkout: Path) -> None:
    """Nothing is resolved, so that a lock which misses a package must be noticed here."""
    environment(checkout / ".venv", pip)
    lock = checkout / "requirements-dev.lock"
    lock.write_text(lock.read_text()[lock.read_text().index("door==") :])
    done = make(checkout, "dev")
    assert done.returncode != 0
    assert "requires cover, which is not installed" in done.stdout
    assert "what is installed does not fit together: make clean, then again" in done.stderr
    assert not (checkout / ".venv/dev.stamp").exists()


@pytest.mark.parametrize("pip", HERE[-1:], indirect=True)
def test_file_with_another_hash_is_refused(ready: Path, index: Path) -> None:
    wheel(index, "door", "1.0", (), door="changed = True")
    done = make(ready, "setup")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in (ready / ".venv/pip.log").read_text()
    assert installed(ready / ".venv") == {}


@pytest.mark.parametrize("pip", HERE[-1:], indirect=True)
def test_environment_on_a_pi_sees_apts_packages_after_the_installation(ready: Path) -> None:
    done = make(ready, "dev", "PI=yes")
    assert done.returncode == 0, done.stderr
    assert installed(ready / ".venv") == LOCKED
    config = (ready / ".venv/pyvenv.cfg").read_text()
    assert "include-system-site-packages = true\n" in config


@pytest.fixture
def installer(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The installer's modules over that checkout."""
    monkeypatch.syspath_prepend(ROOT / "systemd")
    from installer import executor, release

    for name in ("controller", "web"):
        (checkout / name).mkdir()
        (checkout / name / "__init__.py").touch()
    monkeypatch.setattr(release, "SOURCE", checkout)
    monkeypatch.setattr(release, "RELEASES", checkout / "releases")
    return SimpleNamespace(executor=executor, release=release)


def test_installer_installs_the_locked_versions_only(
    pip: Path, checkout: Path, installer: Any
) -> None:
    lock = checkout / "requirements.lock"
    lock.write_text((checkout / "requirements-dev.lock").read_text())
    made = installer.release.build(with_pip(installer.executor.Executor, pip), None)
    assert not installer.release.can_notify(made)
    assert installed(made / ".venv") == LOCKED
    assert "include-system-site-packages = false\n" in (made / ".venv/pyvenv.cfg").read_text()
    assert (made / installer.release.WHOLE).exists()


@pytest.mark.parametrize("pip", HERE[:1], indirect=True)
def test_package_makes_its_release_of_the_wheels_in_it(
    pip: Path,
    checkout: Path,
    index: Path,
    installer: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """By the program of `make test-arm`, which finds out an hour later what is said here."""
    monkeypatch.delenv("PIP_FIND_LINKS")
    index.rename(checkout / "wheels")
    # The one that has messages is made of its own lock, so it never is half of each.
    (checkout / "requirements-dev.lock").rename(checkout / "requirements-notify.lock")
    worker = with_pip(installer.executor.Executor, pip)
    monkeypatch.setattr(installer.executor, "Executor", lambda dry_run: worker)
    monkeypatch.setattr("sys.argv", ["-", str(ROOT / "systemd")])
    runpy.run_path(str(ROOT / "tests/installed/unpacked.py"))
    made = Path(capfd.readouterr().out.split()[-1])
    assert installer.release.can_notify(made)
    assert installed(made / ".venv") == LOCKED
    assert (made / installer.release.WHOLE).exists()


#: What a system's Python packages may be: too old, half removed, of another name, or just broken.
HOSTILE = ("packaging", "setuptools", "wheel", "flask", "paho", "cover", "tables", "controller")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have every Python of this test find packages that end it when they are imported."""
    folder = tmp_path / "hostile"
    for name in HOSTILE:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('the system has {name}')")
        (folder / f"{name}-23.0.dist-info").mkdir()
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 23.0\n"
        (folder / f"{name}-23.0.dist-info/METADATA").write_text(about)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONUSERBASE", str(folder))
    return folder


@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize("pip", HERE, indirect=True)
def test_installer_depends_on_no_package_that_the_system_has(
    pip: Path,
    checkout: Path,
    installer: Any,
    hostile: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: bool,
) -> None:
    (checkout / "controller/__init__.py").write_text("def main(): print('ours')")
    project = PYPROJECT + 'dependencies = ["cover>=1"]\nscripts.bar = "controller:main"\n'
    (checkout / "pyproject.toml").write_text(project)
    shutil.copy(checkout / "requirements-dev.lock", checkout / "requirements.lock")
    worker = with_pip(installer.executor.Executor, pip)
    made = installer.release.build(worker, None, {installer.release.SYSTEM} if system else ())
    assert installed(made / ".venv") == LOCKED
    sees = f"include-system-site-packages = {str(system).lower()}\n"
    assert sees in (made / ".venv/pyvenv.cfg").read_text()
    assert made.name.endswith("-system") is system
    monkeypatch.delenv("PYTHONPATH")  # the services' environment is empty
    said = subprocess.run([made / ".venv/bin/bar"], capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr) == ("ours\n", "")


def test_own_wheel_says_what_pyproject_says_and_is_the_same_every_time(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "systemd")
    from installer import wheel as ours

    shutil.copy(ROOT / "pyproject.toml", checkout)
    path = ours.make(checkout)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first = path.read_bytes()
    assert ours.make(checkout).read_bytes() == first
    with zipfile.ZipFile(path) as archive:
        about = archive.read(f"backdoor-{project['version']}.dist-info/METADATA").decode()
        assert archive.read("backdoor.pth").decode() == f"{checkout}\n"
    for need in project["dependencies"]:
        assert f"Requires-Dist: {need}\n" in about


def with_pip(base: Any, pip: Path) -> Any:
    """Return the installer's executor on this Python, as if it were the system's with that pip."""

    class WithPip(base):  # type: ignore[misc]
        def run(self, *command: str, check: bool = True) -> str:
            if command[0] != "/usr/bin/python3":
                return str(super().run(*command, check=check))
            folder = Path(command[-1])
            if "--without-pip" in command:
                return str(super().run(sys.executable, *command[1:], check=check))
            environment(folder, pip)
            return ""

    return WithPip(dry_run=False)
