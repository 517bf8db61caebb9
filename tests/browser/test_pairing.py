"""Pairing in a real browser: how a phone finds back, and how it comes from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest
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
    expect(page.get_by_role("heading")).to_have_text("This phone is not paired")
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
