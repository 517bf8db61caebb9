"""Debian's Chromium through Playwright, and a bar to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.bar import Bar, BarMaker
from tests.support.fake_controller import FakeController
from tests.support.wait import HANGS_S

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 360, "height": 640}
SCREENSHOTS = Path(__file__).parents[1] / "screenshots"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    assert CHROMIUM, "chromium is missing: sudo apt install chromium, or set CHROMIUM"
    expect.set_options(timeout=1000 * HANGS_S)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Any]:
    """Return what opens a page in a fresh phone; any error in its script fails the test."""
    errors: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(url: str, **phone: Any) -> Page:
        options = {"viewport": PHONE, "locale": "en", "color_scheme": "dark"} | phone
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(1000 * HANGS_S)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if bad(message) else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def bad(message: Any) -> bool:
    """Return whether this is an error on the console; an answer 4xx is none, tests want some."""
    return message.type == "error" and "Failed to load resource" not in message.text


@pytest.fixture
def make_bar(tmp_path: Path) -> Iterator[BarMaker]:
    """Return what opens a bar; all are closed at the end."""
    with ExitStack() as stack:

        def make(**how: Any) -> Bar:
            folder = tmp_path / f"bar{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return stack.enter_context(Bar(folder, **how))

        yield make


@pytest.fixture
def bar(make_bar: BarMaker) -> Bar:
    """One bar, empty."""
    return make_bar()


@pytest.fixture
def controller() -> Iterator[FakeController]:
    """A scripted controller of an empty room, alive until the test's end."""
    controller = FakeController()
    controller.show()
    controller.keep_alive()
    yield controller
    controller.stop()
