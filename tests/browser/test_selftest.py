"""The self-test on the phone: begun there, each wire ticked off by the real controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from controller.config.settings import Mqtt, input_lines
from controller.gpio.simulated import ACTS, Move
from controller.mqtt.client import MqttLink
from controller.service.selftest import STEPS
from tests.browser.bar import Bar
from tests.browser.conftest import SCREENSHOTS
from tests.conftest import Broker
from tests.support.wait import eventually

Opener = Callable[..., Page]
SCREENS = {"360x640": (360, 640), "390x844": (390, 844), "820x1180": (820, 1180)}


@pytest.fixture(params=[5])
def bar(tmp_path: Path, broker: Broker, request: pytest.FixtureRequest) -> Iterator[Bar]:
    """One empty bar, its controller and its page joined by a real broker."""
    mqtt = Mqtt(host=broker.host, port=broker.port, protocol=request.param)
    links = partial(MqttLink, mqtt)
    with Bar(tmp_path, links=links) as bar:
        eventually(lambda: bar.state()["link"] == "online")
        yield bar


def begin(page: Page) -> None:
    page.locator("details.more summary").click()
    page.locator('form[action="/command/self_test"] button').click()
    expect(page.locator(".trial")).to_be_visible()


def prove(bar: Bar, line: str) -> None:
    knocks = {"hatch_knock": "knock_hatch", "door_knock": "knock_door"}
    press = [Move(0, line, 1), Move(120, line, 0)]
    bar.simulator.play(ACTS[knocks[line]] if line in knocks else press)


@pytest.mark.parametrize("bar", [4, 5], indirect=True)
def test_self_test_marks_each_line_live(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.serving.pair_url, reduced_motion="reduce")
    page.wait_for_url(bar.url)
    expect(page.locator(".trial")).to_be_hidden()
    begin(page)
    lines = [line for line in STEPS if line in input_lines(bar.config)]
    expect(page.locator("#trial li")).to_have_count(len(lines))
    expect(page.locator(".trial h2")).to_contain_text(f"0 of {len(lines)} wires. ")
    expect(page.locator(".step")).to_have_text("Break the outer beam with your hand, and let go.")
    eventually(lambda: page.evaluate("scrollY") == 0)
    assert not bar.is_on("strike")
    for done, line in enumerate(lines[:4], 1):
        prove(bar, line)
        expect(page.locator("#trial .proven")).to_have_count(done)
    expect(page.locator("#trial .next")).to_have_text("bolt contact")
    expect(page.locator("#announce")).to_contain_text("4 of 9 wires. Press the release, so")
    keep(page, "self-test", "en-dark")
    assert Axe().run(page).violations_count == 0
    for line in lines[4:]:
        prove(bar, line)
    expect(page.locator(".trial")).to_be_hidden()
    expect(page.locator("#notices .calm")).to_have_text("Self-test: every wire is proven.")
    expect(page.locator("h1")).to_have_text("Nobody inside. Four may come in.")


def test_self_test_in_italian_by_day_and_what_is_missing(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.serving.pair_url, locale="it", color_scheme="light")
    page.wait_for_url(bar.url)
    begin(page)
    expect(page.locator(".step")).to_contain_text("Copri la fotocellula esterna")
    prove(bar, "beam_outer")
    expect(page.locator("#trial .proven")).to_have_text("fotocellula esterna")
    keep(page, "self-test", "it-light")
    bar.running.loop.post(bar.running.self_test.end)
    missing = page.locator("#notices .warn")
    expect(missing).to_contain_text("Prova: nessun segnale da: fotocellula interna, ")
    keep(page, "self-tested", "it-light")


def at_once() -> list[Move]:
    """Both beams broken at the same time, in the open door: nobody can say who passed."""
    beams = [(300, "beam_outer", 1), (300.2, "beam_inner", 1)]
    beams += [(700, "beam_outer", 0), (700.2, "beam_inner", 0)]
    moves = [(0, "door_contact", 1), *beams, (1200, "door_contact", 0)]
    return [Move(at, line, level) for at, line, level in moves]


@pytest.mark.parametrize(
    ("name", "moves", "counted"),
    [("self-test-left", ACTS["walk_in"], "1"), ("self-test-doubt", at_once(), "0–3")],
)
def test_self_test_offers_room_empty_beside_its_result(
    bar: Bar, open_page: Opener, name: str, moves: Sequence[Move], counted: str
) -> None:
    page = open_page(bar.serving.pair_url, locale="it", color_scheme="light")
    page.wait_for_url(bar.url)
    begin(page)
    bar.simulator.play(moves)
    eventually(lambda: bar.running.loop.state.occupancy.max)
    bar.running.loop.post(bar.running.self_test.end)
    left = page.locator(".asked")
    words = f"Nella prova ne sono stati contati {counted}. Nessuno dentro?"
    expect(left.locator(".say b")).to_have_text(words)
    keep(page, name, "it-light")
    assert Axe().run(page).violations_count == 0
    left.get_by_role("button", name="Sì").click()
    eventually(lambda: bar.state()["occupancy"]["max"] == 0)
    expect(left).to_be_hidden()


def test_self_test_that_was_broken_off_disappears(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.serving.pair_url)
    page.wait_for_url(bar.url)
    begin(page)
    bar.freeze()  # the loop hangs: nothing is ticked off any more
    expect(page.locator("body")).to_have_attribute("data-link", "stale")
    expect(page.locator(".trial")).to_be_hidden()
    expect(page.locator(".veil")).to_be_visible()


def test_self_test_with_guests_inside_is_refused(bar: Bar, open_page: Opener) -> None:
    bar.simulator.act("walk_in")
    page = open_page(bar.serving.pair_url)
    page.wait_for_url(bar.url)
    expect(page.locator("h1")).to_contain_text("1 of 4 inside.")
    page.locator("details.more summary").click()
    page.locator('form[action="/command/self_test"] button').click(force=True)
    expect(page.locator(".told")).to_have_text("only in an empty room")
    assert bar.mirror.command("self_test").reason == "NotPermittedAtThisTime"
    expect(page.locator(".trial")).to_be_hidden()


def keep(page: Page, name: str, how: str) -> None:
    """Keep a picture on every screen, with nothing over its edge and the keys on it."""
    SCREENSHOTS.mkdir(exist_ok=True)
    for screen, (width, height) in SCREENS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=str(SCREENSHOTS / f"{name}-{screen}-{how}.png"))
        wide: Any = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} on {screen} is {wide} wide"
        box = page.locator(".dock").bounding_box()
        assert box
        assert box["y"] + box["height"] <= height, f"{name}: keys below {screen}"
    page.set_viewport_size({"width": 360, "height": 640})
