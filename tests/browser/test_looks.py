"""Every state of the page on three screens: kept as pictures, and nothing hangs over the edge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import web
from tests.browser.conftest import SCREENSHOTS
from tests.browser.states import STATES, evening
from tests.support.fake_controller import FakeController, FakeSimulator, Serving, page_of
from tests.support.wires import every_wire

SCREENS = {
    "320x560": (320, 560),
    "360x740": (360, 740),
    "412x915": (412, 915),
    "740x360": (740, 360),
    "820x1180": (820, 1180),
}


#: The captions whose end is not seen.
CUT_OFF = """() => [...document.querySelectorAll(".captions dd")]
  .filter(text => text.scrollWidth > text.clientWidth).map(text => text.textContent)"""

#: The rows that "Has everybody left?" has its answers in; 0 while it is not asked.
ANSWER_ROWS = """() => new Set([...document.querySelectorAll(".everybody .cells > form")]
  .filter(form => form.offsetParent).map(form => form.offsetTop)).size"""


def keep(page: Page, name: str, *, whole: bool = False) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=str(SCREENSHOTS / f"{name}.png"), full_page=whole)


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.show()
    controller.publish("night", evening(), retain=True)
    return controller


@pytest.mark.parametrize(
    ("language", "scheme", "screens"),
    [("en", "dark", list(SCREENS)), ("it", "light", ["320x560", "360x740", "412x915", "740x360"])],
)
def test_page_in_every_state_on_every_screen(
    controller: FakeController,
    tmp_path: Path,
    open_page: Any,
    language: str,
    scheme: str,
    screens: list[str],
) -> None:
    with Serving(page_of(controller, tmp_path, simulator=FakeSimulator())) as serving:
        page: Page = open_page(
            serving.pair_url, locale=language, color_scheme=scheme, reduced_motion="reduce"
        )
        page.wait_for_url(f"{serving.url}/")
        controller.let_time_run()
        for name, show in STATES.items():
            fresh = FakeController(controller.bus)  # every state begins from the calm room
            fresh.state["seq"] = controller.state["seq"] = controller.state["seq"] + 10
            fresh.keep_alive()
            show(fresh)
            link = "stale" if name == "frozen" else "online"
            expect(page.locator("body")).to_have_attribute("data-link", link)
            expect(page.locator(".count")).to_contain_text(str(fresh.state["occupancy"]["max"]))
            for screen in screens:
                width, height = SCREENS[screen]
                page.set_viewport_size({"width": width, "height": height})
                keep(page, f"{name}-{screen}-{language}-{scheme}")
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} on {screen} is {wide} wide"
                assert page.evaluate(CUT_OFF) == [], f"{name} on {screen}"
                assert page.evaluate(ANSWER_ROWS) <= 1, f"{name} on {screen}"
                keys, bar = (
                    page.locator(".dock").bounding_box(),
                    page.locator(".bar").bounding_box(),
                )
                assert keys
                assert bar
                assert keys["y"] + keys["height"] <= bar["y"] + 1, f"{name}: keys below {screen}"
            fresh.freeze()
        page.set_viewport_size({"width": 360, "height": 640})
        page.locator("details.more summary").click()
        page.locator("details.bench summary").click()
        keep(page, f"whole-{language}-{scheme}", whole=True)


def test_page_for_a_stranger(controller: FakeController, tmp_path: Path, open_page: Any) -> None:
    with Serving(page_of(controller, tmp_path)) as serving:
        keep(open_page(serving.url), "unpaired-360x640-en-dark")
        page = open_page(f"{serving.url}/pair/{'x' * 32}", locale="it")
        expect(page.locator(".wrong")).to_be_visible()
        keep(page, "wrong-link-360x640-it-dark")


def show_wires(controller: FakeController, page: Page, url: str) -> None:
    """Open the drawing of the header, a beam broken and a button pressed."""
    wires = every_wire(beam_outer=True, release_button=True, strike=True)
    moved = {"beam_outer": (3.0, 1, 0), "release_button": (0.4, 3, 1), "door_knock": (41.0, 12, 0)}
    for wire in wires["lines"]:
        if wire["line"] in moved:
            wire["last_edge_s"], wire["edges"], wire["noise"] = moved[wire["line"]]
    controller.publish("wiring", wires)
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"{url}/wiring")
    expect(page.locator("svg [data-wire=strike]")).to_have_attribute("data-state", "active")


PICTURES = Path(web.__file__).parent / "pictures"


def test_pictures_of_the_readme_are_of_this_page(
    controller: FakeController, tmp_path: Path, open_page: Any
) -> None:
    """Renew them with RENEW_PICTURES=1 after a change of templates, style or script."""
    app = page_of(controller, tmp_path)
    now, mark = str(app.jinja_env.globals["version"]), PICTURES / "page.version"
    if not os.environ.get("RENEW_PICTURES"):
        assert mark.read_text().strip() == now, (
            "RENEW_PICTURES=1 pytest tests/browser/test_looks.py"
        )
        return
    controller.keep_alive()
    with Serving(app) as serving:
        page: Page = open_page(serving.pair_url, reduced_motion="reduce")
        page.wait_for_url(f"{serving.url}/")
        for name, state in (("page", "knock"), ("doubt", "doubt"), ("tonight", "three")):
            STATES[state](controller)
            page.set_viewport_size({"width": 390, "height": 760})
            page.locator("h1").click()  # from now on it can be heard, and need not say otherwise
            seat = page.locator('[data-s="seat3"]')
            expect(seat).to_have_attribute("data-state", "doubt" if name == "doubt" else "taken")
            if name == "tonight":
                page.locator(".tonight").screenshot(path=str(PICTURES / f"{name}.png"))
            else:
                page.screenshot(path=str(PICTURES / f"{name}.png"))
        show_wires(controller, page, serving.url)
        page.screenshot(path=str(PICTURES / "wires.png"))
    mark.write_text(f"{now}\n")
    controller.stop()
