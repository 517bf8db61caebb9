"""The charts of the history, and numbers as each language writes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from controller.config.header import POWER
from web.language import init_languages
from web.presentation.nights import bars, cell_words
from web.presentation.wiring import power_words


@pytest.fixture(params=["en", "it"])
def mark(request: pytest.FixtureRequest) -> Iterator[str]:
    """A request in each language; the decimal mark that is usual there."""
    app = Flask("web")
    app.secret_key = "x"
    init_languages(app, request.param)
    with app.test_request_context():
        yield {"en": ".", "it": ","}[request.param]


def test_numbers_have_the_mark_of_the_language(mark: str) -> None:
    chart = bars([("Mon", 0.25), ("Tue", 0.5)], "Guests a night")
    assert [bar.title for bar in chart.bars] == [f"Mon: 0{mark}25", f"Tue: 0{mark}5"]
    assert f"0{mark}2" in [words for _, words in chart.levels]
    assert cell_words("a_night", 0.5) == f"0{mark}5"
    assert power_words(POWER[1]) == f"3{mark}3 V"
    assert power_words(POWER[2]) == "5 V"


def test_chart_of_nothing_goes_to_one(mark: str) -> None:
    chart = bars([("Mon", 0.0), ("Tue", 0.0)], "Guests a night")
    assert [words for _, words in chart.levels] == ["0", "1"]


def test_chart_of_whole_numbers_has_no_level_between_them(mark: str) -> None:
    chart = bars([("1", 0.0), ("2", 2.0)], "Guests")
    assert [words for _, words in chart.levels] == ["0", "1", "2"]
