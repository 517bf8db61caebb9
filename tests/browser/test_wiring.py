"""The wires on the phone: the header drawn, each wire live from the pin to the drawing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from controller.config.settings import WIRING
from controller.events import Fault
from controller.gpio.simulated import Move
from tests.browser.bar import Bar, BarMaker
from tests.browser.conftest import SCREENSHOTS
from tests.support.wait import eventually

Opener = Callable[..., Page]
PHONE = {"width": 360, "height": 740}
#: Where each pin and its name stand.
PLACES = """() => [...document.querySelectorAll("circle, svg .name")]
  .map((el) => el.getBoundingClientRect()).map((box) => [box.x, box.y + scrollY])"""
#: Every label of the drawing, and each cell of the table, that is not wholly on the screen.
CUT_OFF = """() => [...document.querySelectorAll("svg text, .wide th, .wide td, h1, .moved, .says")]
  .map((el) => [el.textContent, el.getBoundingClientRect()])
  .filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => text)"""


def open_wires(bar: Bar, open_page: Opener, **phone: Any) -> Page:
    page = open_page(bar.serving.pair_url, viewport=PHONE, **phone)
    page.wait_for_url(bar.url)
    page.locator("details.more summary").click()
    page.locator('a[href="/wiring"]').click()
    expect(page.locator("body")).to_have_attribute("data-live", "yes")
    return page


def state(page: Page, line: str, among: str = "svg") -> Any:
    return expect(page.locator(f"{among} [data-wire={line}]"))


def cell(page: Page, line: str, kind: str) -> Any:
    return expect(page.locator(f"tr[data-wire={line}] [data-k={kind}]"))


def test_press_is_seen_at_its_pin_and_in_the_table(make_bar: BarMaker, open_page: Opener) -> None:
    bar = make_bar()
    page = open_wires(bar, open_page)
    expect(page.locator("svg circle")).to_have_count(40)
    for place in ("svg", "tbody"):
        state(page, "exit_button", place).to_have_attribute("data-state", "rest")
    cell(page, "exit_button", "level").to_have_text("not pressed")
    cell(page, "exit_button", "volts").to_have_text("3.3 V")
    bar.simulator.play([Move(0, "exit_button", 1)])
    for place in ("svg", "tbody"):
        state(page, "exit_button", place).to_have_attribute("data-state", "active")
    cell(page, "exit_button", "level").to_have_text("pressed")
    cell(page, "exit_button", "volts").to_have_text("0 V")
    cell(page, "exit_button", "edges").to_have_text("1")
    expect(page.locator(".moved")).to_have_text("exit button: pressed")
    expect(page.locator("svg [data-wire=exit_button] .short")).to_contain_text("pressed · ")
    bar.simulator.play([Move(at, "exit_button", level) for at, level in ((0, 0), (2, 1), (4, 0))])
    state(page, "exit_button").to_have_attribute("data-state", "rest")
    cell(page, "exit_button", "edges").to_have_text("4")
    cell(page, "exit_button", "noise").to_have_text("2")
    state(page, "strike").to_have_attribute("data-state", "rest")  # an output: as it is driven
    bar.running.loop.post(lambda: bar.running.pins.set("strike", True))
    state(page, "strike").to_have_attribute("data-state", "active")
    cell(page, "strike", "level").to_have_text("switched on")
    bar.running.loop.post(lambda: bar.running.pins.set("strike", False))
    state(page, "strike").to_have_attribute("data-state", "rest")


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("it", "light")])
def test_page_is_whole_on_a_phone_and_clean(
    make_bar: BarMaker, open_page: Opener, language: str, scheme: str
) -> None:
    bar = make_bar()
    page = open_wires(bar, open_page, locale=language, color_scheme=scheme)
    before = page.evaluate(PLACES)
    bar.simulator.play([Move(0, "beam_outer", 1)])
    bar.running.loop.post(Fault(bar.running.clock.now_ms(), "LineChatter", "door_contact", True))
    state(page, "door_contact").to_have_attribute("data-state", "fault")
    state(page, "beam_outer").to_have_attribute("data-state", "active")
    fault = "a sensor chatters" if language == "en" else "un sensore dà segnali a caso"
    cell(page, "door_contact", "faults").to_have_text(fault)
    expect(page.locator("tbody tr")).to_have_count(len(WIRING))
    expect(page.locator(".moved")).not_to_have_text("")
    assert page.evaluate(PLACES) == before  # no pin moves with what its wire does
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate(CUT_OFF) == []
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"wires_360x740_{language}-{scheme}.png", full_page=True)
    assert Axe().run(page).violations_count == 0


def test_levels_of_a_controller_that_hangs_are_not_shown(
    make_bar: BarMaker, open_page: Opener
) -> None:
    bar = make_bar()
    page = open_wires(bar, open_page)
    bar.simulator.play([Move(0, "exit_button", 1)])
    state(page, "exit_button").to_have_attribute("data-state", "active")
    bar.freeze()
    state(page, "exit_button").to_have_attribute("data-state", "unknown")
    expect(page.locator(".says")).to_have_text("No levels: not heard now")
    cell(page, "exit_button", "level").to_have_text("–")
    expect(page.locator(".moved")).to_have_text("")
    bar.thaw()
    state(page, "exit_button").to_have_attribute("data-state", "active")


def test_page_that_the_server_left_shows_no_levels(make_bar: BarMaker, open_page: Opener) -> None:
    bar = make_bar()
    page = open_wires(bar, open_page)
    page.context.set_offline(True)
    bar.serving.server.stop()
    state(page, "strike").to_have_attribute("data-state", "unknown")
    expect(page.locator("body")).to_have_attribute("data-live", "no")
    cell(page, "strike", "level").to_have_text("–")


def test_self_test_begins_and_is_followed_here(make_bar: BarMaker, open_page: Opener) -> None:
    bar = make_bar()
    page = open_wires(bar, open_page)
    expect(page.locator(".testing")).to_be_hidden()
    page.locator(".test button").click()
    expect(page.locator(".step")).to_have_text("Break the outer beam with your hand, and let go.")
    bar.simulator.play([Move(0, "beam_outer", 1), Move(120, "beam_outer", 0)])
    expect(page.locator(".step")).to_have_text("Break the inner beam with your hand, and let go.")
    assert page.url.endswith("/wiring")


def test_nobody_is_asked_while_nobody_looks(make_bar: BarMaker, open_page: Opener) -> None:
    bar = make_bar()
    page = open_wires(bar, open_page)
    streams = bar.app.extensions["backdoor"].streams
    eventually(lambda: streams.count == 1)
    hidden = "Object.defineProperty(document, 'hidden', {get: () => %s, configurable: true})"
    page.evaluate(hidden % "true")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    eventually(lambda: streams.count == 0)
    page.evaluate(hidden % "false")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    eventually(lambda: streams.count == 1)


def test_levels_without_scripting_are_asked_for_by_a_key(
    make_bar: BarMaker, open_page: Opener
) -> None:
    bar = make_bar()
    page = open_page(bar.serving.pair_url, viewport=PHONE, java_script_enabled=False)
    page.wait_for_url(bar.url)
    page.goto(bar.url + "wiring")
    state(page, "strike").to_have_attribute("data-state", "unknown")
    page.get_by_role("button", name="Show the levels of now").click()
    state(page, "strike").to_have_attribute("data-state", "rest")
