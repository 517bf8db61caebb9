"""Words need a language, and a language a request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from web.language import init_languages


@pytest.fixture(scope="module")
def english() -> Iterator[None]:
    """A request in English around all tests of a module."""
    app = Flask("web")
    app.secret_key = "x"
    init_languages(app, "en")
    with app.test_request_context():
        yield
