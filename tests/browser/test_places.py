"""No key moves: each has one place on a screen, whatever the state of the house."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.states import STATES
from tests.support.fake_controller import FakeController, Serving, page_of
from tests.support.wait import eventually

SCREENS = {
    "320x560": (320, 560),
    "360x740": (360, 740),
    "412x915": (412, 915),
    "740x360": (740, 360),
    "915x412": (915, 412),
    "1280x800": (1280, 800),
}
#: Also whether each key's name has the words that stand on it: who speaks to the phone says those.
RULES = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
#: Each visible key by what it does, with its box on the screen: in the first view and in the bar.
BOXES = """() => Object.fromEntries(
  [...document.querySelectorAll(":is(.dock, .bar) :is(button, summary)")]
  .filter((key) => key.checkVisibility({visibilityProperty: true}))
  .map((key) => [key, key.getBoundingClientRect()])
  .map(([key, box]) => [
    [key.closest(".group, .doings, .bar").className,
     key.form ? new URL(key.form.action).pathname : "keypad",
     key.textContent.trim()].join(" "),
    [box.x, box.y, box.width, box.height].map(Math.round)]))"""


#: Each text that is cut: part of it lies outside a box that hides what runs over, and is not made
#: for screen readers only. On the smallest phones the picture and its figures (`.now`) give way to
#: a question, so they may be cut below.
CUT = """() => {
  const cut = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
    if (!own.length || !element.checkVisibility({visibilityProperty: true})) continue;
    const range = document.createRange();
    for (const text of own) {
      range.selectNodeContents(text);
      const words = range.getBoundingClientRect();
      if (words.width < 2) continue;
      for (let box = element; box !== document.body; box = box.parentElement) {
        const style = getComputedStyle(box), at = box.getBoundingClientRect();
        if (at.width < 2 || at.height < 2 || style.clipPath !== "none") break;
        const wide = style.overflowX !== "visible"
          && (words.right > at.right + 1 || words.left < at.left - 1);
        const high = ["hidden", "clip"].includes(style.overflowY)
          && words.bottom > at.bottom + 2 && !box.matches(".now");
        if (style.overflowX === "auto" || style.overflowY === "auto") break;
        if (!wide && !high) continue;
        cut.push(`${box.tagName}.${box.className}: ${text.data.trim()}`);
        break;
      }
    }
  }
  return cut;
}"""


#: Whether the page shows the state of this name: it has drawn the words that go with it.
HAS_DRAWN = """async (name) => {
  const {venue, page} = await (await fetch("/api/state?page=1")).json();
  const shown = (at) => document.querySelector(at);
  return venue === name && shown("h1 [data-t=headline]").textContent === page.t.headline
    && shown("#notices").children.length === page.notices.length
    && shown(".undo").dataset.state === page.s.undo;
}"""


def more_states() -> dict[str, Callable[[FakeController], None]]:
    """Return states beyond those of the looks: what used to push the keys away."""
    faults = [{"name": "BeamStuck", "line": f"line{n}"} for n in range(9)]
    return {
        "many-faults": lambda controller: controller.inside(2, 3, faults=faults),
        "overtime-doubt": lambda controller: controller.inside(
            2, 4, session={"remaining_s": -700, "phase": "overtime"}
        ),
    }


def show_each(
    controller: FakeController, page: Page, look: Callable[[str], None], capacity: int = 4
) -> None:
    """Show every state and look at the page in each."""
    for name, show in {**STATES, **more_states()}.items():
        fresh = FakeController(controller.bus)
        fresh.state["seq"] = controller.state["seq"] = controller.state["seq"] + 10
        fresh.state["occupancy"]["capacity"] = capacity
        fresh.state["venue"] = name
        fresh.keep_alive()
        show(fresh)
        link = "stale" if name == "frozen" else "online"
        expect(page.locator("body")).to_have_attribute("data-link", link)
        # The page has drawn this state when it has the words that go with it.
        eventually(partial(page.evaluate, HAS_DRAWN, name))
        look(name)
        fresh.freeze()


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.show()
    controller.let_time_run()
    return controller


def test_no_key_moves_in_any_state_on_any_screen(
    controller: FakeController, tmp_path: Path, open_page: Any
) -> None:
    places: dict[tuple[str, str], dict[str, Any]] = {}
    moved: list[str] = []

    def look(state: str) -> None:
        for screen, (width, height) in SCREENS.items():
            page.set_viewport_size({"width": width, "height": height})
            for key, box in page.evaluate(BOXES).items():
                seen = places.setdefault((screen, key), {"box": box, "state": state})
                if seen["box"] != box:
                    moved.append(f"{screen} {state}: {key} {box}, {seen['state']}: {seen['box']}")

    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(serving.pair_url, reduced_motion="reduce")
        page.wait_for_url(f"{serving.url}/")
        show_each(controller, page, look)
    assert moved == []
    assert len(places) > 25 * len(SCREENS)


@pytest.mark.parametrize("language", ["en", "it"])
def test_every_key_is_on_the_screen_large_and_covered_by_nothing(
    controller: FakeController, tmp_path: Path, open_page: Any, language: str
) -> None:
    wrong: list[str] = []

    def look(state: str) -> None:
        for screen, (width, height) in SCREENS.items():
            page.set_viewport_size({"width": width, "height": height})
            boxes = page.evaluate(BOXES)
            wrong.extend(
                f"{screen} {state}: {key} {box}"
                for key, box in boxes.items()
                if box[1] < 0 or box[1] + box[3] > height or box[0] < 0
                or box[0] + box[2] > width or box[2] < 44 or box[3] < 44
            )  # fmt: skip
            wrong.extend(f"{screen} {state}: {pair}" for pair in overlapping(boxes))
            wide = page.evaluate("document.documentElement.scrollWidth")
            wrong.extend([f"{screen} {state}: {wide} wide"] if wide > width else [])

    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(serving.pair_url, locale=language, reduced_motion="reduce")
        page.wait_for_url(f"{serving.url}/")
        show_each(controller, page, look)
    assert wrong == []


@pytest.mark.parametrize("language", ["en", "it"])
def test_no_text_is_cut_on_a_phone_in_any_state(
    controller: FakeController, tmp_path: Path, open_page: Any, language: str
) -> None:
    cut: list[str] = []

    def look(state: str) -> None:
        for width, height in ((320, 560), (360, 740), (412, 915)):
            page.set_viewport_size({"width": width, "height": height})
            cut.extend(f"{width} {state}: {text}" for text in page.evaluate(CUT))

    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(serving.pair_url, locale=language, reduced_motion="reduce")
        page.wait_for_url(f"{serving.url}/")
        show_each(controller, page, look)
    assert "\n".join(cut) == ""


def overlapping(boxes: dict[str, list[int]]) -> list[tuple[str, str]]:
    """Return the pairs of keys that share more than a pixel."""
    keys = sorted(boxes)
    return [
        (one, two)
        for at, one in enumerate(keys)
        for two in keys[at + 1 :]
        if min(boxes[one][0] + boxes[one][2], boxes[two][0] + boxes[two][2])
        - max(boxes[one][0], boxes[two][0]) > 1
        and min(boxes[one][1] + boxes[one][3], boxes[two][1] + boxes[two][3])
        - max(boxes[one][1], boxes[two][1]) > 1
    ]  # fmt: skip


@pytest.mark.parametrize("capacity", [1, 2, 5, 6, 7, 12, 20])
def test_house_of_any_size_has_its_stools_and_one_number_more(
    controller: FakeController, tmp_path: Path, open_page: Any, capacity: int
) -> None:
    guests = {"capacity": capacity, "count": 0, "min": 0, "max": 1, "certain": False}
    controller.show(occupancy=guests | {"free_places": capacity - 1})
    controller.keep_alive()
    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(serving.pair_url, viewport={"width": 320, "height": 560})
        page.wait_for_url(f"{serving.url}/")
        expect(page.locator("body")).to_have_attribute("data-link", "online")
        assert page.locator(".seat:not(.extra)").count() == capacity
        if capacity > 6:
            page.locator(".settle summary").click()
        page.locator('.settle form[action="/command/set_count"] button').last.click()
        expect(page.locator(".told")).to_have_text("Done")
        assert controller.commands[-1][1]["count"] == capacity + 1
        controller.show(occupancy={"min": 0, "max": 0, "certain": True, "free_places": capacity})
        expect(page.locator(".settle")).to_be_hidden()
        if capacity > 6:
            page.locator(".let summary").click()
        page.locator('.let form[action="/command/access_door"] button').last.click()
        expect(page.locator(".told")).to_have_text("Done")
        assert controller.commands[-1][1]["party"] == capacity
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
    controller.stop()


def test_page_loads_anew_when_the_house_takes_more(
    controller: FakeController, tmp_path: Path, open_page: Any
) -> None:
    controller.keep_alive()
    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(serving.pair_url)
        page.wait_for_url(f"{serving.url}/")
        expect(page.locator(".seat:not(.extra)")).to_have_count(4)
        controller.show(occupancy={"capacity": 6, "free_places": 6})
        expect(page.locator(".seat:not(.extra)")).to_have_count(6)
    controller.stop()


def test_line_below_keeps_count_time_and_the_worst_fact_in_sight(
    controller: FakeController, tmp_path: Path, open_page: Any
) -> None:
    controller.inside(4, session={"remaining_s": -700, "phase": "overtime"})
    controller.keep_alive()
    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(serving.pair_url, viewport={"width": 360, "height": 640})
        page.wait_for_url(f"{serving.url}/")
        page.locator("details.more summary").click()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        line = page.locator(".line")
        expect(line).to_contain_text("4/4")
        expect(line).to_contain_text("Time is up")
        box = line.bounding_box()
        assert box
        assert 0 <= box["y"] < 5
    controller.stop()


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("it", "light")])
def test_page_passes_axe_in_every_state(
    controller: FakeController, tmp_path: Path, open_page: Any, language: str, scheme: str
) -> None:
    found: list[str] = []

    def look(state: str) -> None:
        result = Axe().run(page, options=RULES)
        if result.violations_count:
            found.append(f"{state}: {result.generate_report()}")

    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(
            serving.pair_url, locale=language, color_scheme=scheme, reduced_motion="reduce"
        )
        page.wait_for_url(f"{serving.url}/")
        page.locator("details.more summary").first.click()
        show_each(controller, page, look)
    assert found == []
