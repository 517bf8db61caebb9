"""The architecture: each row may import only rows above it, and the edges know one library each."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Row by row, from the contract's layout; a module may import rows above, and the named siblings.
ROWS: tuple[frozenset[str], ...] = (
    frozenset({"events"}),
    frozenset({"occupancy", "state", "turn", "commands", "said", "rules"}),
    frozenset({"shapes", "beams", "contacts", "hits", "knocks", "passages", "regulars",
               "sensing"}),
    frozenset({"wire", "kinds", "keys", "config", "configfile", "inbox", "night", "record",
               "entities", "discovery", "presets", "latency", "wiring"}),
    frozenset({"clock", "listener", "chip", "factory", "guard", "pins", "tail", "schema",
               "journal", "opening", "recorder", "flight", "client", "connection", "mailbox",
               "link", "bus", "notify", "credentials", "learned", "radio"}),
    frozenset({"engine", "outbox", "teller", "parts", "service", "home", "replay", "simulate",
               "joints", "assembly", "safe", "proving", "selftest"}),
    frozenset({"demo", "cli", "__main__"}),
)  # fmt: skip

#: Within a row only these pairs may meet: a part with the parts that it is made of.
SIBLINGS = {
    "occupancy": set(),
    "state": {"occupancy"},
    "turn": {"occupancy", "state"},
    "commands": {"occupancy", "state", "turn"},
    "said": {"occupancy", "state", "turn", "commands"},
    "rules": {"occupancy", "state", "turn", "commands", "said"},
    "keys": {"kinds"},
    "config": {"keys"},
    "configfile": {"keys", "config", "presets"},
    "presets": {"config", "wire"},
    "wiring": {"config"},
    "entities": {"wire"},
    "discovery": {"config", "entities", "wire"},
    "inbox": {"wire"},
    "record": {"wire"},
    "chip": {"listener"},
    "factory": {"chip"},
    "pins": {"factory", "guard"},
    "journal": {"schema", "tail"},
    "opening": {"journal", "schema"},
    "recorder": {"journal"},
    "connection": {"client", "mailbox"},
    "link": {"connection", "mailbox"},
    "bus": {"connection", "link"},
}

PURE = ROWS[0] | ROWS[1] | ROWS[2]
NEVER_IN_PURE = {"time", "datetime", "logging", "os", "threading", "random", "json", "pathlib"}
#: One library, one place.
OWNERS = {
    "gpiozero": {"pins", "chip", "factory", "simulate"},
    "gpiod": {"chip"},
    "lgpio": {"factory"},
    "paho": {"client", "connection", "link", "bus"},
    "sqlite3": {"schema", "journal", "opening", "recorder"},
    "flask": set(),
    "click": {"cli"},
    "web": {"demo", "cli"},
}
WEB_MAY_USE = {"events", "wire", "config", "link", "bus"}


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path, package: str = "controller") -> set[str]:
    parts = (name.split(".") for name in imports(path))
    return {names[1] for names in parts if names[0] == package and len(names) > 1}


MODULES = sorted((ROOT / "controller").glob("[!_]*.py"))


def row_of(module: str) -> int:
    return next(number for number, row in enumerate(ROWS) if module in row)


def test_every_module_has_its_row() -> None:
    assert {path.stem for path in MODULES} | {"__main__"} == frozenset().union(*ROWS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    number = row_of(path.stem)
    above = frozenset().union(*ROWS[:number])
    if path.stem in ROWS[2]:
        above -= ROWS[1]  # sensing and rules do not know each other
    siblings = SIBLINGS.get(path.stem, set())
    if number in (2, 5, 6):
        siblings = set(ROWS[number]) - {path.stem}
    assert ours(path) <= above | siblings


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem in PURE], ids=lambda path: path.stem)
def test_sense_and_rules_are_pure(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)} - {"controller", "__future__"}
    assert roots <= set(sys.stdlib_module_names)
    assert not roots & NEVER_IN_PURE


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_each_library_has_one_home(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    for library, owners in OWNERS.items():
        assert library not in roots or path.stem in owners


@pytest.mark.parametrize("path", sorted((ROOT / "web").glob("*.py")), ids=lambda path: path.stem)
def test_the_page_knows_only_the_wire(path: Path) -> None:
    assert ours(path) <= WEB_MAY_USE


def test_there_are_no_cycles() -> None:
    graph = {path.stem: ours(path) for path in MODULES}

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        for below in graph.get(module, ()):
            visit(below, (*way, module))

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(
    "path",
    [*MODULES, *sorted((ROOT / "web").glob("*.py"))],
    ids=lambda path: f"{path.parent.name}.{path.stem}",
)
def test_a_file_can_be_read_at_a_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300, "is there a second concept in it?"
