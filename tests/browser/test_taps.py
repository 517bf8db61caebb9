"""A tap does what the thumb meant: once, held where nothing can take it back, and never a guess."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.fake_controller import FakeController, Serving, page_of
from tests.support.wait import eventually

HELD = ["lock_open", "lock_down", "lock_open_release", "lock_down_release"]


@pytest.fixture
def page(controller: FakeController, tmp_path: Path, open_page: Any) -> Iterator[Page]:
    with Serving(page_of(controller, tmp_path)) as serving:
        page: Page = open_page(serving.pair_url)
        page.wait_for_url(f"{serving.url}/")
        expect(page.locator("body")).to_have_attribute("data-link", "online")
        page.locator("details.more summary").first.click()
        yield page


def key(page: Page, command: str) -> Locator:
    """Return the key of a command outside of questions."""
    return page.locator(f':is(.let, .doings, .more, .bar) form[action="/command/{command}"] button')


def ready(controller: FakeController, page: Page, command: str) -> Locator:
    """Bring the house into the state in which this key stands there, and return it."""
    mode = {"lock_open_release": "LockedOpen", "lock_down_release": "LockedDown"}.get(command)
    if mode:
        controller.show(door={"mode": mode})
    button = key(page, command)
    expect(button).to_be_visible()
    settled(page)
    button.scroll_into_view_if_needed()
    return button


def settled(page: Page) -> None:
    """Wait until a key that has just appeared takes taps."""
    guards = "[...document.querySelectorAll('.guard')]"
    took_s = "Date.now() - (place.changedAt ?? 0)"
    eventually(lambda: page.evaluate(f"{guards}.every((place) => {took_s} > 700)"))


def names(controller: FakeController) -> list[str]:
    return [name for name, _ in controller.commands]


def tap_twice(page: Page, button: Locator, apart_ms: int) -> None:
    box = button.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(x, y)
    page.wait_for_timeout(apart_ms)
    page.mouse.click(x, y)


@pytest.mark.parametrize("command", HELD)
@pytest.mark.parametrize("apart_ms", [0, 25, 900])
def test_two_taps_confirm_nothing(
    controller: FakeController, page: Page, command: str, apart_ms: int
) -> None:
    button = ready(controller, page, command)
    tap_twice(page, button, apart_ms)
    expect(page.locator(".told")).to_have_text("Hold the key down until the ring is full")
    key(page, "staff_pass").click()
    eventually(lambda: names(controller))
    assert names(controller) == ["staff_pass"]


@pytest.mark.parametrize("command", HELD)
def test_key_that_is_held_sends_once_while_it_is_down(
    controller: FakeController, page: Page, command: str
) -> None:
    button = ready(controller, page, command)
    button.hover()
    page.mouse.down()
    expect(button).to_have_attribute("data-phase", "held")
    eventually(lambda: names(controller))
    expect(page.locator(".told")).to_have_text("Done")
    page.mouse.up()
    key(page, "staff_pass").click()
    eventually(lambda: "staff_pass" in names(controller))
    assert names(controller) == [command, "staff_pass"]


def test_key_that_is_let_go_or_left_before_the_ring_is_full_sends_nothing(
    controller: FakeController, page: Page
) -> None:
    button = ready(controller, page, "lock_open")
    button.hover()
    page.mouse.down()
    expect(button).to_have_attribute("data-phase", "held")
    page.mouse.move(5, 5)
    expect(button).not_to_have_attribute("data-phase", "held")
    page.mouse.up()
    key(page, "staff_pass").click()
    eventually(lambda: names(controller))
    assert names(controller) == ["staff_pass"]


def test_ring_fills_in_about_eight_tenths_of_a_second(
    controller: FakeController, page: Page
) -> None:
    button = ready(controller, page, "lock_down")
    button.evaluate(
        "(key) => { key.addEventListener('pointerdown', () => { window.down = Date.now(); });"
        " new MutationObserver(() => { if (key.dataset.phase === 'pending')"
        " window.sent ??= Date.now(); }).observe(key, {attributes: true}); }"
    )
    button.hover()
    page.mouse.down()
    eventually(lambda: page.evaluate("window.sent"))
    page.mouse.up()
    assert page.evaluate("window.sent - window.down") >= 700


def test_keyboard_confirms_in_two_steps_that_are_apart(
    controller: FakeController, page: Page
) -> None:
    button = ready(controller, page, "lock_open")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # a key that bounces
    expect(button).to_have_attribute("data-phase", "sure")
    expect(page.locator(".told")).to_have_text("Sure? Press it once more")
    red = button.evaluate("(key) => getComputedStyle(key).backgroundColor")
    assert red not in ("rgba(0, 0, 0, 0)", "transparent")
    assert names(controller) == []
    eventually(lambda: button.evaluate("(key) => Date.now() - key.armedAt > 850"))
    page.keyboard.press("Enter")
    eventually(lambda: names(controller) == ["lock_open"])


@pytest.mark.parametrize("command", ["room_empty", "staff_pass", "block_door"])
def test_two_taps_on_any_key_are_one_command(
    controller: FakeController, page: Page, command: str
) -> None:
    tap_twice(page, ready(controller, page, command), 25)
    expect(page.locator(".told")).to_have_text("Done")
    key(page, "answer_hatch").evaluate(
        "(b) => { b.dataset.state = 'yes'; b.form.requestSubmit(); }"
    )
    eventually(lambda: "answer_hatch" in names(controller))
    assert names(controller) == [command, "answer_hatch"]


def test_second_tap_on_a_key_that_became_stop_does_not_stop(
    controller: FakeController, page: Page
) -> None:
    def granted(name: str, command: dict[str, Any]) -> dict[str, Any]:
        if name == "access_door":
            grant = {"party": 2, "entered": 0, "remaining_s": 5.0}
            controller.show(grant=grant, door={"mode": "Accessed"})
        return {"ok": True, "reason": None}

    controller.answer = granted
    slot = page.locator(".slot:nth-child(2)")
    slot.scroll_into_view_if_needed()
    let = slot.locator(".enter button")
    box = let.bounding_box()
    assert box
    let.click()
    expect(slot.locator(".stop button")).to_be_visible()
    # However late a busy machine looks: at this moment the first tap has just been sent.
    second = "slot.querySelector('.stop').requestSubmit()"
    slot.evaluate(f"(slot) => {{ slot.askedAt = Date.now(); {second}; }}")
    assert names(controller) == ["access_door"]
    eventually(lambda: slot.evaluate("(slot) => Date.now() - slot.askedAt > 400"))
    slot.locator(".stop button").click()
    eventually(lambda: names(controller) == ["access_door", "release_cancel"])


def test_tap_meant_for_stop_lets_nobody_in_when_the_release_has_just_ended(
    controller: FakeController, page: Page
) -> None:
    grant = {"party": 2, "entered": 0, "remaining_s": 5.0}
    controller.show(grant=grant, door={"mode": "Accessed"})
    slot = page.locator(".slot:nth-child(2)")
    expect(slot.locator(".stop button")).to_be_visible()
    controller.show(grant=None, door={"mode": "Locked"})
    expect(slot.locator(".enter button")).to_be_visible()
    assert slot.evaluate("(slot) => slot.changedAt > 0")
    submit = "slot.querySelector('.enter').requestSubmit()"
    slot.evaluate(f"(slot) => {{ slot.changedAt = Date.now(); {submit}; }}")
    key(page, "staff_pass").click()
    eventually(lambda: names(controller))
    assert names(controller) == ["staff_pass"]


def test_done_is_green_and_refused_is_outlined(controller: FakeController, page: Page) -> None:
    button = ready(controller, page, "staff_pass")
    button.click()
    expect(button).to_have_attribute("data-phase", "done")
    colours = page.evaluate(
        "[getComputedStyle(document.querySelector('[data-phase=done]')).backgroundColor,"
        " getComputedStyle(document.documentElement).getPropertyValue('--green')]"
    )
    assert colours[0] == "rgb(126, 212, 145)"
    assert colours[1].strip() == "#7ed491"


def test_undo_names_what_it_takes_back(controller: FakeController, page: Page) -> None:
    undo = page.locator(".bar .undo button")
    expect(undo).to_be_hidden()
    undoable = {"id": "c0ffee", "type": "room_empty", "until": "2026-11-25T21:00:00Z"}
    controller.show(undoable=[undoable])
    expect(undo).to_be_visible()
    expect(page.locator(".undone")).to_have_text("Room empty")
    settled(page)
    undo.click()
    eventually(lambda: names(controller) == ["undo"])
    assert controller.commands[0][1]["undoes"] == "c0ffee"
    controller.show(undoable=[])
    expect(undo).to_be_hidden()


# --- no answer ----------------------------------------------------------------------------------


def test_answer_that_comes_late_settles_what_was_unknown(
    controller: FakeController, page: Page
) -> None:
    controller.answer = lambda name, command: None
    button = key(page, "access_door").nth(1)
    button.click()
    told = page.locator(".told")
    expect(told).to_have_text("No answer: look at the door")
    expect(told).to_have_attribute("data-kind", "not_answered")
    [(_, command)] = controller.commands
    controller.publish("result", {"id": command["id"], "ok": True, "reason": None})
    expect(told).to_have_text("Done")
    expect(told).to_have_attribute("data-kind", "done")


def test_late_refusal_is_told_with_its_reason(controller: FakeController, page: Page) -> None:
    controller.answer = lambda name, command: None
    key(page, "staff_pass").click()
    expect(page.locator(".told")).to_have_text("No answer: look at the door")
    [(_, command)] = controller.commands
    controller.publish("result", {"id": command["id"], "ok": False, "reason": "DoorFault"})
    expect(page.locator(".told")).to_have_text("Refused: the door has a fault")


def test_answer_that_is_lost_on_its_way_to_the_phone_is_found_again(
    controller: FakeController, page: Page
) -> None:
    def lose(route: Any) -> None:
        route.fetch()  # the page's process did get it
        route.abort()

    page.route("**/command/**", lose)
    key(page, "staff_pass").click()
    expect(page.locator(".told")).to_have_text("Done")
    assert names(controller) == ["staff_pass"]


def test_tap_that_reaches_nobody_is_unknown_and_never_called_not_done(
    controller: FakeController, page: Page
) -> None:
    page.route("**/command/**", lambda route: route.abort())
    key(page, "staff_pass").click()
    expect(page.locator(".told")).to_have_text("No answer: look at the door")
    assert names(controller) == []
