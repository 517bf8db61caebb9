"""The page in a real browser: pairing, each action to its effect on the pins, truth, a knock."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from controller.rules.occupancy import Occupancy
from tests.browser.bar import Bar, BarMaker
from tests.support.wait import eventually
from web.security.pairing import Pairing

Opener = Callable[..., Page]


def key(page: Page, command: str, number: int | None = None) -> Any:
    """Return the button of a command in the first view."""
    form = page.locator(f'.dock > :not(.asked) form[action="/command/{command}"]')
    return (form if number is None else form.nth(number)).locator("button")


def hold(page: Page, button: Any, seen: Callable[[], bool]) -> None:
    """Hold a key down until what it does is seen."""
    button.hover()
    page.mouse.down()
    eventually(seen)
    page.mouse.up()


def let(page: Page, party: int) -> Any:
    return key(page, "access_door", party - 1)


@pytest.fixture
def page(bar: Bar, open_page: Opener) -> Page:
    page: Page = open_page(bar.serving.pair_url)
    page.wait_for_url(bar.url)
    expect(page.locator("body")).to_have_attribute("data-link", "online")
    return page


def test_phone_without_pairing_sees_how_to_pair_and_no_more(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.url)
    expect(page.get_by_role("heading")).to_have_text("This phone is not paired")
    assert page.locator("svg.picture").count() == 0


def test_pair_link_shows_the_room(bar: Bar, page: Page) -> None:
    expect(page.locator("h1")).to_have_text("Nobody inside. Four may come in.")
    [cookie] = [c for c in page.context.cookies() if c["name"] == "backdoor"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    page.reload()
    expect(page.locator("h1")).to_contain_text("Nobody inside.")


def test_new_secret_throws_the_open_page_out(bar: Bar, page: Page) -> None:
    Pairing(bar.app.extensions["backdoor"].pairing._path).rotate()
    expect(page.locator("h1")).to_have_text("This phone is not paired")


def test_guests_fill_the_seats_and_the_lamp(make_bar: BarMaker, open_page: Opener) -> None:
    bar = make_bar(inside=3)
    page = open_page(bar.serving.pair_url)
    seat = page.locator('[data-s="seat4"]')
    expect(seat).to_have_attribute("data-state", "free")
    bar.simulator.act("walk_in")
    expect(seat).to_have_attribute("data-state", "taken")
    expect(page.locator("h1")).to_contain_text("4 of 4 inside. Full.")
    expect(page.locator(".lamp")).to_have_attribute("data-state", "full")
    assert bar.is_on("full_lamp")
    let(page, 1).click(force=True)
    expect(page.locator(".told")).to_have_text("The room is full")
    assert not bar.is_on("strike")


# --- each action to its effect on the pins ------------------------------------------------------


def test_letting_in_releases_the_strike(bar: Bar, page: Page) -> None:
    let(page, 2).click()
    expect(page.locator(".told")).to_have_text("Done")
    eventually(lambda: bar.is_on("strike"))
    expect(page.locator('[data-s="seat2"]')).to_have_attribute("data-state", "coming")
    bar.simulator.act("open_door")
    eventually(lambda: not bar.is_on("strike"))
    expect(page.locator("g.door")).to_have_attribute("data-state", "Open")


def test_letting_in_twice_is_refused_with_its_reason(bar: Bar, page: Page) -> None:
    page.route("**/events", lambda route: route.abort())  # this phone has not heard of the first
    let(page, 1).click()
    expect(page.locator(".told")).to_have_text("Done")
    refused = "Refused: somebody is being let in already"

    def is_refused() -> bool:
        """Ask again: the key takes no tap for a moment, and the release may be over by then."""
        let(page, 1).evaluate("b => { b.dataset.state = 'yes'; b.form.requestSubmit(); }")
        page.wait_for_timeout(200)
        return page.locator(".told").inner_text() == refused

    eventually(is_refused)


def test_hatch_answered_puts_its_light_out(bar: Bar, page: Page) -> None:
    bar.simulator.act("knock_hatch")
    expect(page.locator("g.hatch")).to_have_attribute("data-state", "glow")
    assert bar.is_on("hatch_light")
    key(page, "answer_hatch").click()
    expect(page.locator("g.hatch")).to_have_attribute("data-state", "dark")
    eventually(lambda: not bar.is_on("hatch_light"))


def test_front_door_answered_takes_its_notice_away(bar: Bar, page: Page) -> None:
    expect(key(page, "answer_door")).to_have_attribute("aria-disabled", "true")
    bar.simulator.act("knock_door")
    expect(page.locator("#notices .knock")).to_contain_text("Somebody knocked at the front door")
    key(page, "answer_door").click()
    expect(page.locator("#notices .knock")).to_have_count(0)


def test_set_count_settles_the_count(bar: Bar, page: Page) -> None:
    page.locator("details.more summary").click()
    page.locator('.more form[action="/command/report_wrong"] button').nth(3).click()
    expect(page.locator("h1")).to_contain_text("3 of 4 inside. One may come in.")
    assert bar.state()["occupancy"]["count"] == 3


def test_staff_pass_lets_one_through_uncounted(bar: Bar, page: Page) -> None:
    key(page, "staff_pass").click()
    expect(page.locator("#notices")).to_contain_text("The next one through the door is staff.")
    bar.simulator.act("walk_in")
    expect(page.locator("h1")).to_contain_text("Nobody inside.")


def test_room_empty_ends_the_session_and_is_taken_back_with_it(bar: Bar, page: Page) -> None:
    bar.simulator.act("walk_in")
    clock = page.locator("g.clock")
    expect(clock).to_have_attribute("data-state", "running")
    ends_at = bar.state()["session"]["ends_at"]
    key(page, "room_empty").click()
    expect(clock).to_have_attribute("data-state", "none")
    assert bar.state()["occupancy"]["count"] == 0
    page.locator(".undo button").click()
    expect(clock).to_have_attribute("data-state", "running")
    assert bar.state()["occupancy"]["count"] == 1
    assert bar.state()["session"]["ends_at"] == ends_at  # not a second is gained by it
    expect(page.locator(".undo button")).to_be_hidden()


def test_open_release_is_stopped_where_it_was_tapped(bar: Bar, page: Page) -> None:
    box = let(page, 2).bounding_box()
    let(page, 2).click()
    eventually(lambda: bar.is_on("strike"))
    stop = page.locator(".slot:nth-child(2) .stop button")
    expect(stop).to_be_visible()
    assert stop.bounding_box() == box
    eventually(
        lambda: page.evaluate("Date.now() - document.querySelectorAll('.slot')[1].askedAt > 400")
    )
    stop.click()
    eventually(lambda: not bar.is_on("strike"))
    expect(let(page, 2)).to_be_visible()
    let(page, 1).click()  # the house is open to the next
    eventually(lambda: bar.is_on("strike"))


def test_evacuation_is_held_and_is_ended_where_it_shows(bar: Bar, page: Page) -> None:
    page.locator("details.more summary").click()
    evacuate = page.locator('.more form[action="/command/lock_open"] button')
    hold(page, evacuate, lambda: bar.state()["door"]["mode"] == "LockedOpen")
    expect(page.locator("h1")).to_contain_text("Evacuation: everybody out!")
    expect(page.locator("#notices .alarm")).to_contain_text("The inside handle opens")
    expect(let(page, 1)).to_be_hidden()
    hold(page, key(page, "lock_open_release"), lambda: bar.state()["door"]["mode"] == "Locked")
    expect(let(page, 1)).to_be_visible()
    assert bar.state()["door"]["mode"] == "Locked"


def test_closing_to_guests_and_opening_again(bar: Bar, page: Page) -> None:
    page.locator("details.more summary").click()
    page.locator('.more form[action="/command/block_door"] button').click()
    expect(page.locator("h1")).to_contain_text("Closed to guests.")
    key(page, "unblock_door").click()
    expect(page.locator("h1")).to_contain_text("Four may come in.")


def test_lock_down_and_its_end(bar: Bar, page: Page) -> None:
    page.locator("details.more summary").click()
    down = page.locator('.more form[action="/command/lock_down"] button')
    hold(page, down, lambda: bar.state()["door"]["mode"] == "LockedDown")
    expect(page.locator("h1")).to_contain_text("Locked down: nobody comes in.")
    hold(page, key(page, "lock_down_release"), lambda: bar.state()["door"]["mode"] == "Locked")
    expect(page.locator("h1")).to_contain_text("Four may come in.")


def test_question_how_many_came_in_is_answered_by_a_tap(bar: Bar, page: Page) -> None:
    let(page, 2).click()
    eventually(lambda: bar.is_on("strike"))
    bar.simulator.act("walk_in")
    asked = page.locator(".asked")
    expect(asked.locator(".say b")).to_have_text("Let in 2, saw 1. How many came in?")
    answers = asked.locator(".came button:visible")
    expect(answers).to_have_text(["1", "2"])
    expect(page.locator(".settle")).to_be_hidden()
    assert bar.state()["occupancy"]["max"] == 2
    let(page, 1).click()  # the question does not stand in the way of who fits
    expect(page.locator(".told")).to_have_text("Done")
    bar.simulator.act("walk_in")
    expect(page.locator("h1")).to_contain_text("2 or 3 inside?")
    answers.nth(1).click()
    expect(asked).to_be_hidden()
    expect(page.locator("h1")).to_contain_text("3 of 4 inside.")
    assert bar.state()["question"] is None


def test_question_leaves_the_keys_where_they_are_when_nobody_fits(
    bar: Bar, open_page: Opener
) -> None:
    page = open_page(bar.serving.pair_url, locale="it")
    let(page, 4).click()
    eventually(lambda: bar.is_on("strike"))
    bar.simulator.act("walk_in")
    asked = page.locator(".asked")
    expect(asked.locator(".say b")).to_have_text("Aperto per 4, visti: 1. Quanti entrati?")
    expect(let(page, 1)).to_have_attribute("aria-disabled", "true")
    asked.locator(".came button:visible").nth(3).click()
    expect(page.locator("h1")).to_contain_text("4 su 4 dentro.")


def test_doubt_is_shown_asks_before_letting_in_and_is_settled_by_a_tap(
    make_bar: BarMaker, open_page: Opener
) -> None:
    bar = make_bar(inside=Occupancy(2, 1, 2))
    page = open_page(bar.serving.pair_url)
    expect(page.locator('[data-s="seat2"]')).to_have_attribute("data-state", "doubt")
    expect(page.locator("h1")).to_contain_text("1 or 2 inside?")
    let(page, 1).click()
    expect(page.locator(".told")).to_have_text("Hold the key down until the ring is full")
    assert not bar.is_on("strike")
    hold(page, let(page, 1), lambda: bar.is_on("strike"))
    page.locator('.settle form[action="/command/set_count"] button').nth(2).click()
    expect(page.locator("h1")).to_contain_text("2 of 4 inside.")
    expect(page.locator(".settle")).to_be_hidden()


# --- truth --------------------------------------------------------------------------------------


def test_frozen_controller_greys_the_page(bar: Bar, page: Page) -> None:
    bar.freeze()
    expect(page.locator("body")).to_have_attribute("data-link", "stale")
    expect(page.locator(".veil")).to_be_visible()
    assert re.match(r"no connection for ([3-9]|\d\d+) s", page.locator("#heard").inner_text())
    expect(let(page, 1)).to_be_disabled()
    assert page.title() == "(?) Backdoor"
    bar.thaw()
    expect(page.locator("body")).to_have_attribute("data-link", "online")
    expect(let(page, 1)).to_be_enabled()
    expect(page.locator(".veil")).to_be_hidden()


def test_lost_network_greys_the_page_and_it_comes_back_by_itself(bar: Bar, page: Page) -> None:
    page.context.set_offline(True)
    page.route("**/events", lambda route: route.abort())
    page.route("**/api/**", lambda route: route.abort())
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.evaluate("performance.now()")
    bar.simulator.act("walk_in")
    page.unroute_all()
    page.context.set_offline(False)
    expect(page.locator("h1")).to_contain_text("1 of 4 inside.")


def test_phone_without_a_stream_polls(make_bar: BarMaker, open_page: Opener) -> None:
    bar = make_bar(max_streams=1)
    first = open_page(bar.serving.pair_url)
    expect(first.locator("body")).to_have_attribute("data-link", "online")
    second = open_page(bar.serving.pair_url)
    second.wait_for_url(bar.url)
    bar.simulator.act("walk_in")
    expect(second.locator("h1")).to_contain_text("1 of 4 inside.")
    expect(second.locator("body")).to_have_attribute("data-link", "online")


def test_page_that_slept_is_right_again(bar: Bar, page: Page) -> None:
    seen = page.evaluate(  # an hour in a pocket, and in the hand again before anything is heard
        "(() => { Date.now = (now => () => now() + 3600e3)(Date.now);"
        " document.dispatchEvent(new Event('visibilitychange'));"
        " return document.body.dataset.link; })()"
    )
    assert seen == "stale"
    expect(page.locator("body")).to_have_attribute("data-link", "online")


def test_controller_that_was_restarted_is_shown_anew(tmp_path: Any, open_page: Opener) -> None:
    from tests.support.fake_controller import FakeController, Serving, page_of

    controller = FakeController()
    controller.inside(3)
    controller.keep_alive()
    with Serving(page_of(controller, tmp_path)) as serving:
        page = open_page(serving.pair_url)
        expect(page.locator("h1")).to_contain_text("3 of 4 inside.")
        controller.state["boot"] = "an0ther"
        controller.inside(1)
        expect(page.locator("h1")).to_contain_text("1 of 4 inside.")
        expect(page.locator("body")).to_have_attribute("data-link", "online")
    controller.stop()


# --- a knock ------------------------------------------------------------------------------------


def test_knock_at_the_hatch_is_noticed(bar: Bar, page: Page) -> None:
    page.locator("h1").click()  # the first touch: sound is allowed from now on
    page.evaluate(
        "window.felt = []; navigator.vibrate = (how) => window.felt.push(how);"
        "window.flashed = 0; new MutationObserver(() => window.flashed++)"
        ".observe(document.getElementById('flash'), {attributes: true})"
    )
    bar.simulator.act("knock_hatch")
    expect(page).to_have_title(re.compile(r"^\(!\) Hatch"))
    eventually(lambda: page.evaluate("window.flashed > 0 && window.felt.length === 1"))
    assert "icon-knock" in (page.locator("#icon").get_attribute("href") or "")
    key(page, "answer_hatch").click()
    expect(page).not_to_have_title(re.compile(r"^\(!\)"))
    assert "icon-knock" not in (page.locator("#icon").get_attribute("href") or "")


def test_knock_at_the_door_is_silent_during_a_session(bar: Bar, page: Page) -> None:
    page.evaluate("window.felt = []; navigator.vibrate = (how) => window.felt.push(how); 0")
    bar.simulator.act("walk_in")
    expect(page.locator("g.clock")).to_have_attribute("data-state", "running")
    bar.simulator.act("knock_door")
    expect(page.locator("#notices .knock")).to_be_visible()
    expect(page).to_have_title("(!) Front door")
    assert page.evaluate("window.felt.length") == 0
    assert page.locator("#flash.hit").count() == 0


# --- for everybody ------------------------------------------------------------------------------


def test_language_follows_the_phone_and_can_be_switched(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.serving.pair_url, locale="it-IT")
    expect(page.locator("h1")).to_have_text("Nessuno dentro. Possono entrare in quattro.")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Nobody inside. Four may come in.")
    bar.simulator.act("walk_in")
    expect(page.locator("h1")).to_contain_text("1 of 4 inside.")


def test_page_without_scripting_shows_asks_and_answers(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.serving.pair_url, java_script_enabled=False)
    page.wait_for_url(bar.url)
    expect(page.locator("h1")).to_have_text("Nobody inside. Four may come in.")
    let(page, 1).click()
    expect(page.locator(".flashed")).to_have_text("Done")
    eventually(lambda: bar.state()["door"]["mode"] == "Accessed")
    key(page, "room_empty").click()
    expect(page.locator("h1")).to_have_text("Is the room empty?")
    page.get_by_role("button", name="Yes, I am sure").click()
    expect(page.locator(".flashed")).to_have_text("Done")
    with page.expect_navigation():  # it asks again by itself
        bar.simulator.act("walk_in")


def test_page_can_be_used_from_a_keyboard(bar: Bar, page: Page) -> None:
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.closest('form')?.getAttribute('action')"))
        if seen[-1] == "/command/access_door":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_have_text("Done")
    eventually(lambda: bar.is_on("strike"))


def test_theme_and_sound_are_kept_by_this_phone(bar: Bar, page: Page) -> None:
    night = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Night or light").click()
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert night != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == light
    sound = page.get_by_role("button", name="Sound")
    sound.click()
    expect(sound).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(page.get_by_role("button", name="Sound")).to_have_attribute("aria-pressed", "false")


def test_page_passes_axe(make_bar: BarMaker, open_page: Opener) -> None:
    bar = make_bar(inside=3)
    bar.simulator.act("knock_hatch")
    bar.simulator.act("knock_door")
    for scheme in ("dark", "light"):
        page = open_page(bar.serving.pair_url, color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_url(bar.url)
        page.locator("details.more summary").click()
        for inside in (0, 3, 4):
            page.locator('.more form[action="/command/report_wrong"] button').nth(inside).click()
            expect(page.locator("h1")).to_contain_text(f"{inside or 'Nobody'}")
            found = Axe().run(page)
            assert found.violations_count == 0, f"{scheme} {inside} {found.generate_report()}"
    stranger = open_page(bar.url)
    assert Axe().run(stranger).violations_count == 0


def test_page_with_reduced_motion_moves_nothing(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.serving.pair_url, reduced_motion="reduce")
    page.wait_for_url(bar.url)
    expect(page.locator("body")).to_have_attribute("data-link", "online")
    bar.simulator.act("knock_hatch")
    expect(page.locator("#flash.soft")).to_be_attached()
    assert page.evaluate("document.getAnimations().length") == 0


def test_buttons_are_large_enough_for_a_thumb(page: Page) -> None:
    for box in page.locator(".dock .act button").all():
        if box.is_visible():
            size = box.bounding_box()
            assert size
            assert size["height"] >= 64
            assert size["width"] >= 64


def test_page_sends_no_request_to_others(bar: Bar, open_page: Opener) -> None:
    page = open_page(bar.url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(bar.serving.pair_url)
    page.wait_for_url(bar.url)
    expect(page.locator("body")).to_have_attribute("data-link", "online")
    assert asked
    assert all(url.startswith(bar.serving.url) for url in asked)


def test_simulator_buttons_play_a_guest(bar: Bar, page: Page) -> None:
    page.locator("details.bench summary").click()
    page.get_by_role("button", name="Walk in").click()
    expect(page.locator("h1")).to_contain_text("1 of 4 inside.")
