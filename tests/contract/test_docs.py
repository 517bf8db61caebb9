"""The documents are true: what they name exists, what exists is named where its reader looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click import Command, Group

from controller.cli.main import main
from controller.config.loader import parse
from controller.config.schema import KEYS
from controller.config.settings import WIRING, Config
from controller.events import EVENTS, INPUT_LINES, OUTPUT_LINES, PAGE_COMMANDS, Reason
from controller.mqtt.memory import InMemoryBroker
from controller.service.assembly import alone
from controller.trace import HEADER
from web import create_app
from web.nights.feed import Feed
from web.presentation.labels import FAULTS

ROOT = Path(__file__).parents[2]
#: Every document for people, by its path from the top.
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted(
        [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("[!.]*/**/*.md")]
    )
}
ALL = "\n".join(DOCUMENTS.values())
CONFIG, MQTT = "controller/config/README.md", "controller/mqtt/README.md"
OWNER, PAGE = "systemd/README.md", "web/README.md"


def rows(document: str, first_cell: str) -> list[list[str]]:
    """Return the cells of the document's table whose head begins with ``first_cell``."""
    lines = DOCUMENTS[document].splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_table_of_keys_has_every_key_with_default_and_range() -> None:
    named = {(row[0].strip("`[]"), row[1].strip("`")): row for row in rows(CONFIG, "section")}
    assert set(named) == {(key.section, key.name) for key in KEYS}
    for key in KEYS:
        row = named[key.section, key.name]
        default = row[2].strip("`")
        parse({}, CONFIG, [f"{key.section}.{key.name}={default}"])
        assert row[3] == key.type.expected.replace("|", "/")
        assert row[4] == key.means


def test_table_of_keys_has_the_true_defaults() -> None:
    sets = [
        f"{row[0].strip('`[]')}.{row[1].strip('`')}={row[2].strip('`')}"
        for row in rows(CONFIG, "section")
    ]
    assert parse({}, CONFIG, sets) == Config().wired(WIRING)


def test_table_of_wiring_is_the_default_wiring() -> None:
    named = {row[2].strip("`"): row for row in rows("controller/gpio/README.md", "header")}
    assert set(named) == set(WIRING) == {*INPUT_LINES, *OUTPUT_LINES}
    for name, line in WIRING.items():
        assert [named[name][1], named[name][3], named[name][4]] == [
            str(line.pin),
            line.active,
            line.pull,
        ]


def commands(group: Command) -> Mapping[str, Command]:
    assert isinstance(group, Group)
    return group.commands


def test_every_command_and_option_exists() -> None:
    known = commands(main)
    named = {
        row[0].strip("`").split()[1]
        for row in rows(OWNER, "command")
        if row[0].startswith("`backdoor")
    }
    assert named == set(known)
    for name, options in re.findall(r"backdoor (\w[\w-]*)((?: [^`\n]*)?)", ALL):
        if name in known:
            legal = {opt for param in known[name].params for opt in param.opts}
            assert set(re.findall(r"--[a-z-]+", options)) <= legal | {"--help"}, (name, options)


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", ALL):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("word", [*PAGE_COMMANDS, *EVENTS, *map(str, Reason)])
def test_every_command_event_and_reason_is_named(word: str) -> None:
    assert f"`{word}`" in DOCUMENTS[MQTT]


def test_every_fault_is_explained_and_the_page_has_words_for_it() -> None:
    named = {row[0].strip("`") for row in rows(OWNER, "fault | it means")}
    sources = "".join(path.read_text() for path in (ROOT / "controller").rglob("*.py"))
    known = {name for name in re.findall(r'"([A-Z][a-z]+[A-Z]\w+)"', sources)}
    assert named == set(FAULTS)
    assert named <= known


def anchors(document: str) -> set[str]:
    """Return the anchors of a document's headings, as the forge makes them."""
    heads = re.findall(r"^#+ (.*)$", DOCUMENTS[document], re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", DOCUMENTS[document]):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(str(file.resolve().relative_to(ROOT))), target


@pytest.mark.parametrize("document", sorted(set(DOCUMENTS) - {"README.md"}))
def test_every_document_is_reached_from_the_readme(document: str) -> None:
    linked = "\n".join(text for name, text in DOCUMENTS.items() if name != document)
    assert f"{Path(document).name})" in linked or f"{Path(document).name}#" in linked


def test_readme_is_short() -> None:
    assert len(DOCUMENTS["README.md"].splitlines()) <= 130


def test_routes_in_the_table_are_routes_of_the_page(tmp_path: Path) -> None:

    config = parse({}, "x")
    config = replace(config, web=replace(config.web, secret_file=str(tmp_path / "secret")))
    links = partial(alone(InMemoryBroker()), client_id="x", on_ack=lambda _: None)
    app = create_app(config, link=links, simulator=Simulator(), feed=Feed(config, links))
    served = {re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", rule.rule) for rule in app.url_map.iter_rules()}
    named = {
        route
        for row in rows(PAGE, "route")
        for route in re.findall(r"(?:GET|POST) (/\S*?)`", row[0])
    }
    assert named <= served
    assert served - named == {"/static/<filename>"}


class Simulator:
    """Moves no pin: only its routes count here."""

    def act(self, name: str) -> None:
        raise KeyError(name)

    def line(self, line: str, level: bool) -> None:
        raise KeyError(line)


def test_trace_header_is_documented() -> None:
    assert f"`{HEADER}`" in DOCUMENTS[OWNER]
