"""Titles that a bartender reads on a lock screen, in two languages."""

from __future__ import annotations

import re
import string
import textwrap
import tomllib
from math import inf
from pathlib import Path

import pytest

from controller.config.loader import parse
from controller.config.notify import KINDS
from controller.notify import venues
from controller.notify.channels import open_channel
from controller.notify.decide import SESSION, STANDING
from controller.notify.notices import Notice
from controller.notify.words import FAULTS, WORDS, render, span
from web.presentation import labels


def notice(word: str, **data: object) -> Notice:
    return Notice("key", "knock", "warning", word, 100.0, inf, data)


@pytest.mark.parametrize(
    ("language", "after_s", "title"),
    [
        ("en", 0.0, "Hatch: 2 waiting"),
        ("en", 40.0, "Hatch: 2 waiting, 40 s"),
        ("it", 40.0, "Sportello: 2 in attesa, 40 s"),
    ],
)
def test_the_age_is_right_when_it_is_sent(language: str, after_s: float, title: str) -> None:
    assert render(notice("hatch_waits", n=2), 100.0 + after_s, language)[0] == title


def test_what_is_decided_has_words() -> None:
    words = {"hatch_waits", "door_waits", "door_pre_alarm", "test", *SESSION}
    words |= set(STANDING) | {f"{word}_over" for word in STANDING}
    words |= set(venues.STANDING)
    words |= {f"{word}_over" for word, (*_, said) in venues.STANDING.items() if said}
    assert words | {f"more_{kind}" for kind in KINDS} == set(WORDS)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("language", ["en", "it"])
def test_every_word_can_be_said_and_is_short(word: str, language: str) -> None:
    data = {"n": 3, "name": "BeamDead", "line": "beam_outer", "who": "broker", "left_s": 900.0}
    title, body = render(notice(word, **data), 140.0, language)
    assert 0 < len(title) <= 60
    assert 0 < len(body) <= 100
    assert not set("{}") & set(title + body)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("word", WORDS)
def test_the_languages_say_the_same_things(word: str) -> None:
    for english, italian in WORDS[word]:
        assert fields(english) == fields(italian)


def test_the_page_and_the_messages_know_the_same_faults() -> None:
    assert set(FAULTS) == set(labels.FAULTS)


def test_an_unknown_fault_is_told_by_its_name() -> None:
    assert render(notice("fault", name="Odd", line="x"), 0.0, "it")[0] == "Guasto: Odd"


@pytest.mark.parametrize(("seconds", "text"), [(59.9, "59 s"), (60, "1 min"), (4320, "1 h 12")])
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


# --- the document ---------------------------------------------------------------------------------

DOCUMENT = Path("controller/notify/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL))
def test_what_the_document_shows_is_a_configuration_that_apprise_understands(block: str) -> None:
    notify = parse(tomllib.loads(textwrap.dedent(block)), "README").notify
    assert notify.urls
    for channel in notify.channels():
        open_channel(channel.url, "bar")


OF_ONE_BAR, OF_MANY = DOCUMENT.split("At a [centre of many bars]")


def documented(text: str) -> set[tuple[str, str]]:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (\w+) \| .+? \|", text, re.MULTILINE)
    return {(kind, severity) for kinds, severity in rows for kind in re.findall(r"\w+", kinds)}


def test_the_document_says_when_each_kind_is_sent_and_how_severe_it_is() -> None:
    assert documented(OF_ONE_BAR) == {
        ("knock", "warning"),
        ("door_knock", "warning"),
        ("alarm", "warning"),  # before the door is open too long
        *STANDING.values(),
        *(("session", severity) for severity in SESSION.values()),
    }


def test_the_document_says_what_is_sent_of_many_bars() -> None:
    assert documented(OF_MANY) == {pair[:2] for pair in venues.STANDING.values()}
