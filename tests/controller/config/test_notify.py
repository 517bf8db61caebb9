"""The section [notify]: each wrong address is named, and none is shown."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config.loader import ConfigError, parse
from controller.config.notify import KINDS, ChannelSettings, masked

TOKEN = "tgram://123456:SECRET/42"


def problems(**keys: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        parse({"notify": keys}, "bar.toml")
    return error.value.problems


def test_an_address_is_a_text_or_a_table_and_takes_what_it_does_not_say_from_the_section() -> None:
    table = {"url": TOKEN, "for": ["alarm"], "quiet_hours": "", "least_severity": "critical"}
    notify = parse(
        {"notify": {"urls": ["ntfy://h/t", table], "quiet_hours": "23:00-09:00"}}, "x"
    ).notify
    assert notify.channels() == (
        ChannelSettings("ntfy://h/t", KINDS, "23:00-09:00", "info"),
        ChannelSettings(TOKEN, ("alarm",), "", "critical"),
    )


def test_nobody_is_told_by_default() -> None:
    assert parse({}, "x").notify.channels() == ()


WRONG = '(tgram://...): must be like "ntfy://host/topic" without spaces; write what is odd in it'


@pytest.mark.parametrize(
    ("urls", "says"),
    [
        (["tgram://SECRET /x"], f"address 1 {WRONG} as %20"),
        (["ntfy://h/t", f"{TOKEN}\u00e9"], f"address 2 {WRONG} as %20"),
        ([{"url": TOKEN, "four": 1}], "address 1 (tgram://...): unknown key four; known are url,"),
        (
            [{"url": TOKEN, "for": ["knok"]}],
            "address 1 (tgram://...): for must be a list of knock,",
        ),
        ([{"url": TOKEN, "for": "knock"}], "address 1 (tgram://...): for must be a list of knock,"),
        (
            [{"url": TOKEN, "quiet_hours": "24:00-1"}],
            "address 1 (tgram://...): quiet_hours must be",
        ),
        ([{"url": TOKEN, "least_severity": 3}], "address 1 (tgram://...): least_severity must be"),
    ],
)
def test_a_wrong_address_is_named_without_its_secret(urls: list[Any], says: str) -> None:
    (problem,) = problems(urls=urls)
    assert problem.startswith(f"bar.toml: [notify] urls: {says}")
    assert "SECRET" not in problem


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = problems(urls=["SECRET", 7, {"for": []}], most_an_hour=0)
    assert [text.split(": ")[1] for text in found] == [
        *["[notify] urls"] * 3,
        "[notify] most_an_hour",
    ]
    assert not [text for text in found if "SECRET" in text]


def test_quiet_hours_of_the_section_are_checked() -> None:
    (problem,) = problems(quiet_hours="23-9")
    assert problem == (
        'bar.toml: [notify] quiet_hours: must be "" or hours like "23:00-09:00", got "23-9"'
    )


@pytest.mark.parametrize("value", ["tgram://SECRET", {"tgram://SECRET": 1}, 7])
def test_what_is_no_list_is_not_shown_either(value: object) -> None:
    (problem,) = problems(urls=value)
    assert problem == (
        'bar.toml: [notify] urls: must be a list of addresses like ["ntfy://host/topic"],'
        " got something else"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (TOKEN, "tgram://..."),
        ("SECRET://x", "SECRET://..."),
        ("no scheme", "..."),
        ("a b://x", "..."),
        (7, "..."),
    ],
)
def test_what_is_shown_of_an_address(url: object, shown: str) -> None:
    assert masked(url) == shown


def test_a_record_of_it_does_not_show_it() -> None:
    assert "SECRET" not in repr(parse({"notify": {"urls": [TOKEN]}}, "x"))
