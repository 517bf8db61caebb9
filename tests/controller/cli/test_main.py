"""The command line, as a user who mistypes meets it: a sentence and an exit code, no traceback."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from controller.cli.main import main


def backdoor(*args: str) -> Result:
    return CliRunner().invoke(main, args)


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "backdoor.toml"
    file.write_text('[pins]\nfactory = "mock"\n')
    return str(file)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["demo", "--speed", "nan"], "nan is not a number"),
        (["self-test", "--seconds", "nan"], "nan is not a number"),
        (["journal", "--trace", "0001-01-01", "21:30"], '--trace: must be a time like 21:30'),
        (["journal", "--trace", "21:30", "9999-12-31T23:59:59-14:00"], "--trace: must be a time"),
        (["nights", "2026-13"], '"2026-13" is no night'),
        (["nights", "2026-W54"], '"2026-W54" is no night'),
        (["nights", "0000"], '"0000" is no night'),
        (["nights", "2026-02-30"], '"2026-02-30" is no night'),
    ],
)  # fmt: skip
def test_value_that_is_none_is_named_with_the_way_out(
    args: list[str], says: str, config: str
) -> None:
    done = backdoor(*args, "--config", config)
    assert done.exit_code == 2, done.output
    assert says in done.stderr


@pytest.mark.parametrize(
    ("command", "data"),
    [
        (["check-config", "--config"], b"SQLite \0\x1b[2J\x07\xfb"),
        (["check-config", "--config"], b'["hou\\u001b[31m"]\n'),
        (["check-config", "--config"], b'[house]\n"a\\u0007" = 1\n'),
        (["replay"], b"\x1b[2J\n"),
        (["replay"], b"t_ms,line,level\n1,beam_outer,\x1b[2J\xfb\x07\n"),
    ],
)
def test_file_of_another_kind_does_nothing_to_the_terminal(
    command: list[str], data: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    done = backdoor(*command, str(file))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{file}:")
    assert done.stderr.removesuffix("\n").isprintable()


@pytest.mark.parametrize("hosts", [("",), ("a b",), ("n1", "n 2"), ("n1", "n..2"), ("n1", "n/2")])
def test_node_of_a_centre_has_a_name_that_can_be_asked_for(hosts: tuple[str, ...]) -> None:
    done = backdoor("centre", "node", *hosts)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f'"{hosts[-1]}": is no name of a host' in done.stderr


def test_check_config_says_how_long_a_party_stays_and_that_nothing_is_wired(config: str) -> None:
    done = backdoor("check-config", "--config", config, "--set", "house.session_length=120")
    assert done.exit_code == 0
    assert "4 guests at most, 2 min for each party, counted by the bartender" in done.stdout
    assert "warning: no line is wired: take the # away" in done.stdout
    wired = backdoor("check-config", "--config", config, "--set", "lines.hatch_knock=17")
    assert "no line is wired" not in wired.stdout


@pytest.mark.parametrize("group", [(), ("centre",), ("centre", "bar")])
def test_menu_shows_what_each_command_does_in_whole_sentences(group: tuple[str, ...]) -> None:
    menu = backdoor(*group, "--help").stdout.partition("Commands:")[2]
    assert len(menu.splitlines()) > 2
    assert "..." not in menu


def test_every_option_of_every_command_says_what_it_does() -> None:
    assert [
        f"{name} {option.opts[0]}"
        for name, command in main.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ] == []
