"""What went wrong for others (`FAILURES.md`): the table is whole and true; its missing tests."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from controller.config.settings import WIRING
from controller.events import COMMANDS, Command
from tests.support.demo import house_on, times_on
from tests.support.fake_controller import FakeController, page_of
from tests.support.rules_driver import Room, names
from tests.support.wait import eventually
from tests.tools.model.space import key, normal

ROOT = Path(__file__).parents[2]
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "tests" / "contract" / "FAILURES.md").read_text().splitlines()
    if re.match(r"\| C\d", line)
]


@cache
def functions_of(file: str) -> set[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_table_has_a_row_for_each_failure() -> None:
    assert [row[0] for row in TABLE] == [f"C{number}" for number in range(1, 33)]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_tests_named_in_the_table_exist(row: list[str]) -> None:
    _, failure, rule, held_by = row
    assert failure
    assert rule
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", held_by)
    assert len(named) == len(held_by.split(",")) > 0
    for file, test in named:
        assert test in functions_of(file), f"{file}::{test}"


# --- tests of their own --------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_command_given_twice_is_as_if_given_once(name: str) -> None:
    """C4: there is no toggle, so a command that is sent again for safety does no harm."""
    for first in COMMANDS:
        room = Room()
        room.command(first, 2)
        room.command(name, 2)
        once = key(normal(room.state, room.settings))
        room.step(Command(room.now_ms, name, 2))
        assert key(normal(room.state, room.settings)) == once, first


def test_pairing_and_reading_pages_send_no_command(tmp_path: Path) -> None:
    """C5: a whole visit, from the pairing link over every page to the goodbye of the stream."""
    scripted = FakeController()
    scripted.show()
    scripted.heartbeat()
    app = page_of(scripted, tmp_path)
    phone = app.test_client()
    phone.get(f"/pair/{app.extensions['backdoor'].pairing.secret}", follow_redirects=True)
    visited = 0
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments:
            answer = phone.get(rule.rule, buffered=False)
            next(iter(answer.response), b"")  # a stream is left after its first words
            answer.close()
            visited += 1
    assert visited >= 5
    assert scripted.commands == []


def test_two_entries_are_two_events() -> None:
    """C16: the second says its own count, and is told though nothing else came between."""
    room = Room()
    effects = [*room.passes(1), *room.passes(1)]
    assert names(effects).count("entry") == 2
    assert room.state.occupancy.count == 2


def test_release_button_needs_no_broker(tmp_path: Path) -> None:
    """C30: with a broker that is not there, pressing the button opens."""
    with house_on(tmp_path, 1) as demo:
        demo.simulator.act("press_release")
        eventually(lambda: times_on(demo.pin(WIRING["strike"].pin)))
