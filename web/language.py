"""The page's language: the phone's choice on the page, else what its browser asks for."""

from __future__ import annotations

from flask import Flask, request, session
from flask_babel import (  # type: ignore[import-untyped]
    Babel,
    format_decimal,
    get_locale,
    gettext,
    lazy_gettext,
    ngettext,
)

LANGUAGES = ("it", "en")
NAMES = {"it": "Italiano", "en": "English"}


def _(text: str, **names: object) -> str:
    """Return the text in the language of the request, with the names filled in."""
    return str(gettext(text, **names))


def lazy(text: str) -> object:
    """Return a text that is translated where it is shown: for tables made at import."""
    return lazy_gettext(text)


def plural(one: str, many: str, n: int, **names: object) -> str:
    """Return the text for one or for many in the language of the request; ``%(n)s`` is the number.

    A language may have more forms than two: gettext chooses, not the caller.
    """
    return str(ngettext(one, many, n, n=n, **names))


def plurals(one: str, many: str) -> tuple[str, str]:
    """Return both forms as they are: for tables made at import, to be given to `plural`."""
    return one, many


def decimal(number: float) -> str:
    """Return a number as the language of the request writes it: 0.5, in Italian 0,5."""
    return str(format_decimal(number))


def current_language() -> str:
    """Return the language of the request, `it` or `en`."""
    return str(get_locale() or "en")


def init_languages(app: Flask, preferred: str) -> None:
    """Add both languages to the app; ``preferred`` is `it`, `en` or `auto` (as the phone asks)."""
    fallback = preferred if preferred in LANGUAGES else "en"

    def choose() -> str:
        chosen = session.get("language")
        if chosen in LANGUAGES:
            return str(chosen)
        if preferred in LANGUAGES:
            return preferred
        return request.accept_languages.best_match(LANGUAGES, fallback) or fallback

    Babel(app, default_locale=fallback, locale_selector=choose)
