"""What CI runs, here and in a fork: it can't be tried here, but what it promises can be held."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.installed.machine import PYTHONS

RUN = Path(".ci/run").read_text()
WORKFLOW = Path(".github/workflows/ci.yml")
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]


def promised() -> list[str]:
    """Return the Pythons that pyproject.toml names."""
    classifiers = tomllib.loads(Path("pyproject.toml").read_text())["project"]["classifiers"]
    found = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in classifiers
    ]
    return [match[1] for match in found if match]


def test_workflow_tries_each_python_and_debian_that_we_promise() -> None:
    assert JOBS["python"]["strategy"]["matrix"] == {"python": promised()}
    assert JOBS["debian"]["strategy"]["matrix"] == {"debian": list(PYTHONS)}
    for name, job in JOBS.items():
        assert f"${{{{ matrix.{name} }}}}" in job["container"]


@pytest.mark.parametrize("name", JOBS)
def test_each_job_is_our_own_script_with_a_cache_for_these_locks(name: str) -> None:
    steps = JOBS[name]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    (cache,) = (step["with"] for step in steps if step.get("uses", "").startswith("actions/cache@"))
    assert f"${{{{ matrix.{name} }}}}" in cache["key"]
    assert "hashFiles('requirements*.lock'" in cache["key"]
    assert JOBS[name]["timeout-minutes"] <= 90


def test_workflow_names_each_python_in_its_matrix_only() -> None:
    (run,) = (step for step in JOBS["python"]["steps"] if "run" in step)
    assert run["env"] == {"PYTHON": "python${{ matrix.python }}"}


def test_script_and_workflow_name_no_place_on_the_network() -> None:
    for text in (RUN, WORKFLOW.read_text()):
        assert "://" not in text
        assert not re.search(r"\b[\w-]+\.(org|com|net|io)\b", text)


def test_script_tries_every_python_and_ends_with_make_test() -> None:
    (loop,) = re.findall(r"for version in ([\d. ]+); do", RUN)
    assert loop.split() == promised()
    assert [line for line in RUN.splitlines() if "make test" in line][-1] == "tried make test"
    assert re.search(r"^make test\b", Path("README.md").read_text(), re.MULTILINE)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return what runs our script where nothing is missing, and says what it asks make for."""
    for folder in (".ci", "tests", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(".ci/run", tmp_path / ".ci")
    stand_ins = {"tests/needs": "exit 0", "bin/apt-get": "exit 9", "bin/sudo": "exit 9"}
    stand_ins["bin/make"] = f'echo "$PYTHON $*" >> {tmp_path}/calls'
    for name, does in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("PYTHON", raising=False)

    def run(**env: str) -> list[str]:
        subprocess.run(
            [tmp_path / ".ci/run"], check=True, env={**os.environ, **env}, stdout=subprocess.DEVNULL
        )
        return (tmp_path / "calls").read_text().splitlines()

    return run


def test_script_with_a_python_named_tries_that_one_alone(asked: Callable[..., list[str]]) -> None:
    calls = asked(PYTHON=sys.executable)
    assert calls == [f"{sys.executable} lint", f"{sys.executable} test"]


def test_script_runs_the_quick_tests_on_the_other_pythons(asked: Callable[..., list[str]]) -> None:
    calls = [call.split(" ", 1) for call in asked()]
    (python,) = {python for python, _ in calls}
    assert Path(python).name.startswith("python3")
    lint, *rest, last = [call for _, call in calls]
    assert (lint, last) == ("lint", "test")
    assert all(
        re.match(r"quick PYTHON=|test-forky$|--jobs 2 test-installed$", call) for call in rest
    )


def failing_first(script: Path, times: int) -> None:
    """Let the stand-in for make fail so often when it is asked for the tests."""
    script.write_text(
        script.read_text()
        + f"""[ "$1" = test ] || exit 0
echo x >> {script.parent}/failed
[ "$(wc -l < {script.parent}/failed)" -gt {times} ]
"""
    )


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("times", "code"), [(0, 0), (1, 0), (2, 1)])
def test_what_fails_is_tried_once_more_alone_and_named(
    tmp_path: Path, times: int, code: int
) -> None:
    failing_first(tmp_path / "bin/make", times)
    env = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        [tmp_path / ".ci/run"], check=False, capture_output=True, text=True, env=env
    )
    _, first, *again = (tmp_path / "calls").read_text().splitlines()
    assert first.endswith(" test")
    assert done.returncode == code
    assert ("FLAKY" in done.stdout) == (times == 1)
    assert len(again) == min(times, 1)
    for call in again:
        assert "--last-failed --last-failed-no-failures=none --numprocesses=0 --cov-app" in call
