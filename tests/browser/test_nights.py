"""The history in a real browser: readable on a phone, found by who does not see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.support.fake_controller import FakeController, Serving
from tests.support.history import fill_history, history_page

Opener = Callable[..., Page]


#: How much of the widest table stands beyond its card; a long one below "As a table" may.
HIDDEN_PIXELS = """() => Math.max(0, ...[...document.querySelectorAll(".wide")]
  .filter(table => !table.closest("details"))
  .map(table => table.scrollWidth - table.clientWidth))"""


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A page with some weeks of history."""
    controller = FakeController()
    controller.show()
    fill_history(tmp_path / "nights.db", date(2026, 10, 12), 28)
    with Serving(history_page(controller, tmp_path)[0]) as serving:
        yield serving
    controller.stop()


@pytest.mark.parametrize(("scheme", "locale"), [("dark", "en"), ("light", "it")])
def test_history_passes_axe_and_fits_a_phone(
    serving: Serving, open_page: Opener, scheme: str, locale: str
) -> None:
    page = open_page(serving.pair_url, color_scheme=scheme, locale=locale)
    for span in ("2026", "2026-10", "2026-W44", "2026-10-23"):
        page.goto(f"{serving.url}/nights/{span}")
        for summary in page.locator("figure summary").all():
            summary.click()
        found = Axe().run(page)
        assert found.violations_count == 0, f"{span} {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, span
        assert page.evaluate(HIDDEN_PIXELS) < 16, span


def test_calendar_leads_to_a_night_and_back_to_its_month(
    serving: Serving, open_page: Opener
) -> None:
    page = open_page(serving.pair_url)
    page.goto(f"{serving.url}/nights/2026-10")
    expect(page.locator("h1")).to_have_text("October 2026")
    page.locator("a.day").first.click()
    expect(page.locator("h1")).to_contain_text("October 2026")
    expect(page.locator("svg.chart").first).to_be_visible()
    page.get_by_role("link", name="October 2026", exact=True).click()
    page.locator("a[rel=next]").click()
    expect(page.locator("h1")).to_have_text("November 2026")
