"""Pairing in a real browser: how a phone finds back, and how it comes from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.bar import Bar

Opener = Callable[..., Page]


@pytest.fixture
def page(bar: Bar, open_page: Opener) -> Page:
    page: Page = open_page(bar.serving.pair_url)
    page.wait_for_url(bar.url)
    return page


def test_page_that_is_not_paired_goes_on_by_itself_when_it_is(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.url)
    expect(page.locator("h1")).to_have_text("This phone is not paired")
    page.context.new_page().goto(bar.serving.pair_url)
    expect(page.locator("body")).to_have_attribute("data-link", "online")


@pytest.mark.parametrize("same_site", ["Lax", "Strict"])  # Strict: paired before 0.3
def test_paired_phone_that_follows_a_link_from_another_site_lands_on_the_page(
    bar: Bar, page: Page, tmp_path: Path, same_site: Literal["Lax", "Strict"]
) -> None:
    [cookie] = [c for c in page.context.cookies() if c["name"] == "backdoor"]
    page.context.add_cookies([{**cookie, "sameSite": same_site}])  # type: ignore[typeddict-item]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text(f'<a href="{bar.url}">the bar</a>')
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "other"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as other:
        threading.Thread(target=other.serve_forever).start()
        page.goto(f"http://localhost:{other.server_port}/")  # the page's own is 127.0.0.1
        page.get_by_role("link").click()
        expect(page.locator("body")).to_have_attribute("data-link", "online")
        other.shutdown()


def test_phone_is_added_by_a_code_named_and_thrown_out(
    bar: Bar, page: Page, open_page: Opener
) -> None:
    page.get_by_text("More", exact=True).click()
    page.get_by_role("link", name="Paired phones").click()
    assert mistakes(page) == []
    page.get_by_role("button", name="Pair another phone").click()
    expect(page.locator("svg.qr")).to_be_visible()
    assert mistakes(page) == []
    code = page.locator("code").inner_text().rpartition("/pair/")[2]
    new = open_page(f"{bar.serving.url}/pair/{code}", user_agent="Mozilla/5.0 (iPhone; x) Safari")
    expect(new.locator("body")).to_have_attribute("data-link", "online")
    page.goto(f"{bar.url}phones")
    row = page.get_by_role("listitem").filter(has=page.locator('[value="iPhone"]'))
    row.get_by_label("Name of iPhone").fill("Anna's phone")
    row.get_by_role("button", name="Rename").click()
    new.locator('.dock form[action="/command/staff_pass"] button').click()
    expect(new.locator("#tonight")).to_contain_text("Staff pass armed, Anna's phone")
    row = page.get_by_role("listitem").filter(has=page.locator('[value="Anna\'s phone"]'))
    row.get_by_text("Remove", exact=True).click()
    page.get_by_role("button", name="Yes, remove Anna's phone").click()
    expect(page.get_by_role("status")).to_have_text("Anna's phone is not paired any more.")
    expect(new.locator("h1")).to_have_text("This phone is not paired")


def mistakes(page: Page) -> list[str]:
    """Return what axe finds on a page."""
    return [str(violation["id"]) for violation in Axe().run(page).response["violations"]]
