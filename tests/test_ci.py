"""What CI runs, here and in a fork: it can't be tried here, but what it promises can be held."""

from __future__ import annotations

import re
import tomllib
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


def test_the_workflow_tries_each_python_and_each_debian_that_we_promise() -> None:
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


def test_only_the_matrix_says_which_python() -> None:
    (run,) = (step for step in JOBS["python"]["steps"] if "run" in step)
    assert run["env"] == {"PYTHON": "python${{ matrix.python }}"}


def test_neither_names_a_place_on_the_network() -> None:
    for text in (RUN, WORKFLOW.read_text()):
        assert "://" not in text
        assert not re.search(r"\b[\w-]+\.(org|com|net|io)\b", text)


def test_our_script_tries_every_python_and_ends_as_the_readme_says() -> None:
    (loop,) = re.findall(r"for version in ([\d. ]+); do", RUN)
    assert loop.split() == promised()
    assert RUN.splitlines()[-1] == "make test"
    assert re.search(r"^make test\b", Path("README.md").read_text(), re.MULTILINE)
