"""What the contract of imports in pyproject.toml can't say: purity, and one home a library.

The direction between our own packages is held by ``lint-imports`` in `make lint`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(file for top in ("controller", "web") for file in (ROOT / top).rglob("*.py"))

#: Time comes in as an argument, and effects go out as values: replay and the tests rely on it.
PURE = ("controller/events", "controller/engine", "controller/rules/", "controller/sensing/")
NOT_IN_PURE = {"time", "datetime", "logging", "os", "threading", "random", "json", "pathlib"}
#: Libraries that pure files may use besides the standard one.
PURE_LIBRARIES = {"msgspec"}

#: Where a library may be imported, so that it can be replaced in one place.
HOMES: dict[str, str | tuple[str, ...]] = {
    "gpiozero": "controller/gpio/",
    "gpiod": "controller/gpio/",
    "lgpio": "controller/gpio/",
    "paho": "controller/mqtt/",
    "sqlite3": ("controller/journal/", "controller/maintenance/", "web/nights/database"),
    "psycopg": "web/nights/database",
    "nats": "web/centre/",
    "click": "controller/cli/",
    "flask": "web/",
    "flask_babel": "web/",
    "flask_wtf": "web/",
    "waitress": ("web/", "controller/notify/answer_page"),
    "icalendar": "web/bookings/",
    "recurring_ical_events": "web/bookings/",
    "prometheus_client": "web/routes/",
    "apprise": "controller/notify/channels",
    "requests": "controller/notify/channels",
}


#: What is sent when, to whom, and what an answer answers: the time comes in as an argument.
DECISIONS = [
    f"controller/notify/{name}.py"
    for name in ("notices", "decide", "venues", "routing", "pending", "answers", "words")
]
NOT_IN_DECISIONS = {"time", "os", "threading", "random", "socket", "pathlib", "paho", "requests"}


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imported(file: Path) -> Iterator[str]:
    """Yield the top-level package of every import in a file, also of those inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("file", [f for f in FILES if name(f).startswith(PURE)], ids=name)
def test_rules_and_sensing_import_nothing_impure(file: Path) -> None:
    outside = set(imported(file)) - {"controller"}
    assert not outside & NOT_IN_PURE
    assert outside <= set(sys.stdlib_module_names) | PURE_LIBRARIES


@pytest.mark.parametrize("file", DECISIONS)
def test_messages_are_decided_without_clock_thread_or_network(file: str) -> None:
    assert not set(imported(ROOT / file)) & NOT_IN_DECISIONS


@pytest.mark.parametrize("library", HOMES)
def test_library_is_imported_in_its_home_only(library: str) -> None:
    users = {name(file) for file in FILES if library in imported(file)}
    assert users, f"nobody imports {library}: take it out of this table"
    assert all(user.startswith(HOMES[library]) for user in users)


ROOMS = sorted(
    file
    for top in ("controller", "web", "systemd/installer", "tests/support", "tests/tools")
    for file in (ROOT / top).rglob("__init__.py")
)


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_room_names_each_of_its_files_once_and_says_what_it_is(room: Path) -> None:
    """Whoever opens a folder reads there what is in it, and where to begin."""
    files = {file.stem for file in room.parent.glob("*.py")} - {"__init__", "__main__"}
    inside = {file for file in files if not file.startswith("test_")}
    inside |= {package.parent.name for package in room.parent.glob("*/__init__.py")}
    rows = re.findall(r"^    (\w+(?:(?:, | \| )\w+)*)  +\S", room.read_text(), re.MULTILINE)
    assert sorted(word for row in rows for word in re.split(r", | \| ", row)) == sorted(inside)


TESTS = sorted((ROOT / "tests").rglob("*.py"))


def test_no_test_module_is_imported() -> None:
    """What tests share is in tests/support: a test module may be renamed, split and deleted."""
    out_of_a_test = re.compile(r"^\s*(from|import) tests\.([\w.]+\.)?test_\w+", re.MULTILINE)
    assert [name(file) for file in TESTS if out_of_a_test.search(file.read_text())] == []
