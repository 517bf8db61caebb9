"""The page's language: the phone's choice on the page, else what its browser asks for."""

from __future__ import annotations

from flask import Flask, request, session
from flask_babel import Babel, get_locale, gettext, lazy_gettext  # type: ignore[import-untyped]

LANGUAGES = ("it", "en")
NAMES = {"it": "Italiano", "en": "English"}


def _(text: str, **names: object) -> str:
    """Return the text in the language of the request, with the names filled in."""
    return str(gettext(text, **names))


def lazy(text: str) -> object:
    """Return a text that is translated where it is shown: for tables made at import."""
    return lazy_gettext(text)


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
