"""Both catalogues: nothing missing, nothing left over, the compiled ones are current."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

import web

ROOT = Path(web.__file__).parent
KEYWORDS = {"_": None, "lazy": None, "plural": (1, 2), "plurals": (1, 2)}
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
LANGUAGES = ("en", "it")


def texts_of_the_sources() -> set[str]:
    """Return every text of the sources that a person may read."""
    found = extract_from_dir(str(ROOT), METHODS, keywords=KEYWORDS)
    return {one for _, _, text, _, _ in found for one in forms(text)}


def forms(text: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return a text's one form, or the one for one and the one for many."""
    return (text,) if isinstance(text, str) else tuple(text or ())


def catalogue(language: str) -> dict[str, str]:
    with (ROOT / "translations" / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        read = read_po(file, locale=language)
    assert not [message.id for message in read if message.fuzzy and message.id]
    return translated(read)


def translated(read: Catalog) -> dict[str, str]:
    """Return each form of each text with its translation."""
    return {
        one: told
        for message in read
        if message.id
        for one, told in zip(forms(message.id), forms(message.string), strict=True)
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_has_every_text_translated(language: str) -> None:
    known = catalogue(language)
    assert set(known) == texts_of_the_sources()
    assert [text for text, translated in known.items() if not translated.strip()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_translations_have_the_same_placeholders(language: str) -> None:
    for text, translated in catalogue(language).items():
        names = [sorted(re.findall(r"%\((\w+)\)s", one)) for one in (text, translated)]
        assert names[0] == names[1], text


def test_no_text_is_used_with_a_number_and_without() -> None:
    """Up to Python 3.11 gettext finds no translation for the second."""
    found = list(extract_from_dir(str(ROOT), METHODS, keywords=KEYWORDS))
    alone = {text for _, _, text, _, _ in found if isinstance(text, str)}
    assert (
        alone & {forms(text)[0] for _, _, text, _, _ in found if not isinstance(text, str)} == set()
    )


def test_catalogue_in_italian_is_not_english() -> None:
    same = {text for text, translated in catalogue("it").items() if text == translated}
    assert all(re.search(r"%\(|Backdoor", text) for text in same), same


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_compiled_is_current(language: str) -> None:
    folder = ROOT / "translations" / language / "LC_MESSAGES"
    with (folder / "messages.mo").open("rb") as file:
        compiled = translated(read_mo(file))
    assert compiled == catalogue(language), (
        f"compile it: pybabel compile -d web/translations -l {language}"
    )


def test_templates_have_no_text_outside_the_catalogues() -> None:
    for path in sorted((ROOT / "templates").glob("*.html")):
        text = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}|<(style|title)[^>]*>.*?</\1>|<[^>]*>", "\n",
                      path.read_text(), flags=re.S)  # fmt: skip
        words = set(re.findall(r"[A-Za-zÀ-ÿ]{2,}", re.sub(r"&\w+;", "", text)))
        assert words <= {"Backdoor", "backdoor", "pair", "allowed", "hosts"}, (
            f"{path.name}: {words}"
        )
