"""Every alarm is noticed, each by a sound and a shake of its own; none that was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.fake_controller import FakeController, Serving, now_iso, page_of
from tests.support.wait import eventually
from web.mirror import ALERTS

#: What a phone feels and plays, instead of a motor and a loudspeaker: shakes, and tones in Hz.
SENSES = """
window.felt = []; window.heard = [];
const feel = (how) => window.felt.push(how.join());
Object.defineProperty(Navigator.prototype, "vibrate", {value: feel});
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) {
  window.heard.push(this.frequency.value);
  start.call(this, at);
};
"""


def session(left_s: float, phase: str) -> dict[str, Any]:
    end = datetime.now(UTC) + timedelta(seconds=left_s)
    return {"ends_at": end.isoformat(), "remaining_s": left_s, "phase": phase}


#: For each kind: the event that raises it, and the state in which it stands.
ALARMS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "hatch": ("knock", {"place": "hatch"}, {"hatch": {"waiting": 1, "oldest_s": 0.5}}),
    "door": ("knock", {"place": "door"}, {"door_knock": {"age_s": 0.5, "raps": 2}}),
    "last_call": (
        "session_warning",
        {"remaining_s": 900},
        {"session": session(900, "last_call")},
    ),
    "time_up": ("session_time_up", {}, {"session": session(-1, "overtime")}),
    "over": ("over_capacity", {"count": 5}, {"over_capacity": True}),
    "door_alarm": (
        "door_alarm",
        {"alarm": "DoorForcedOpen"},
        {"door": {"alarm": "DoorForcedOpen"}},
    ),
    "evacuation": ("locked_open", {"cause": "button"}, {"door": {"mode": "LockedOpen"}}),
    "fault": ("fault", {"name": "BeamStuck"}, {"faults": [{"name": "BeamStuck", "line": "x"}]}),
}


@pytest.fixture
def opened(
    controller: FakeController, tmp_path: Path, open_page: Any
) -> Iterator[Callable[..., Page]]:
    with Serving(page_of(controller, tmp_path)) as serving:

        def opened(*, touch: bool = True, **phone: Any) -> Page:
            page: Page = open_page("about:blank", **phone)
            page.context.add_init_script(SENSES)
            page.goto(serving.pair_url)
            page.wait_for_url(f"{serving.url}/")
            expect(page.locator("body")).to_have_attribute("data-link", "online")
            if touch:
                page.locator("h1").click()  # browsers let nothing sound before
            return page

        yield opened


def raise_alarm(controller: FakeController, kind: str) -> None:
    name, data, state = ALARMS[kind]
    controller.publish(f"event/{name}", {"seq": 9, "at": now_iso(), **data})
    controller.show(**state)


def test_alarms_tried_here_are_all_that_there_are() -> None:
    assert set(ALARMS) == set(ALERTS.values())


def test_each_alarm_shakes_and_sounds_in_a_way_of_its_own(
    controller: FakeController, opened: Callable[..., Page]
) -> None:
    page = opened()
    ways = {}
    for kind in ALARMS:
        page.evaluate("() => { window.felt = []; window.heard = []; }")
        controller.show(session=None)
        raise_alarm(controller, kind)
        eventually(lambda: page.evaluate("window.felt.length && window.heard.length > 1"))
        ways[kind] = (*page.evaluate("window.felt"), *page.evaluate("window.heard"))
    assert len(set(ways.values())) == len(ALARMS)


@pytest.mark.parametrize("kind", list(ALARMS))
def test_alarm_that_is_muted_on_this_phone_makes_no_noise(
    controller: FakeController, opened: Callable[..., Page], kind: str
) -> None:
    page = opened()
    page.locator("details.more summary").first.click()
    switch = page.locator(f'.mutes [data-kind="{kind}"]')
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-link", "online")
    page.locator("h1").click()
    raise_alarm(controller, kind)
    other = "fault" if kind != "fault" else "over"
    raise_alarm(controller, other)
    eventually(lambda: page.evaluate("window.felt.length"))
    assert page.evaluate("window.felt.length") == 1  # the other one


def test_knock_at_the_door_is_quiet_while_a_party_is_inside(
    controller: FakeController, opened: Callable[..., Page]
) -> None:
    page = opened()
    controller.show(session=session(3000, "running"))
    raise_alarm(controller, "door")
    expect(page.locator(".rapping")).to_have_attribute("data-state", "yes")
    raise_alarm(controller, "fault")
    eventually(lambda: page.evaluate("window.felt.length"))
    assert page.evaluate("window.felt.length") == 1


def test_knock_that_was_answered_while_the_phone_slept_is_not_raised(
    controller: FakeController, opened: Callable[..., Page]
) -> None:
    page = opened()
    page.route("**/events", lambda route: route.abort())
    page.route("**/api/**", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('pagehide'))")  # it closes its stream
    raise_alarm(controller, "hatch")
    controller.show(hatch={"waiting": 0, "oldest_s": None})
    page.unroute_all()
    page.evaluate("dispatchEvent(new Event('online'))")
    raise_alarm(controller, "fault")
    eventually(lambda: page.evaluate("window.felt.length"))
    assert page.evaluate("window.felt") == ["150,100,150"]


def test_page_says_that_it_cannot_be_heard_until_it_is_touched(
    opened: Callable[..., Page],
) -> None:
    page = opened(touch=False)
    hint = page.locator(".hint")
    expect(hint).to_have_text("Touch the page once, or no alarm can be heard")
    expect(page.locator("#sound")).to_have_class("tool deaf")
    page.locator("h1").click()
    expect(hint).to_have_text("")


def test_sound_comes_back_when_the_phone_wakes(
    controller: FakeController, opened: Callable[..., Page]
) -> None:
    page = opened(touch=False)
    page.evaluate(
        "() => { const old = AudioContext; window.AudioContext = class extends old {"
        " constructor() { super(); window.made = this; } }; }"
    )
    page.locator("h1").click()
    page.evaluate("() => window.made.suspend()")  # as a phone does at its lock screen
    expect(page.locator(".hint")).to_have_text("Touch the page once, or no alarm can be heard")
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    eventually(lambda: page.evaluate("window.made.state") == "running")
    page.evaluate("() => window.made.suspend()")
    raise_alarm(controller, "fault")
    eventually(lambda: page.evaluate("window.made.state") == "running")


def test_phone_that_cannot_stay_on_is_told_once_what_to_do(opened: Callable[..., Page]) -> None:
    page = opened(touch=False)
    page.evaluate("() => { delete Navigator.prototype.wakeLock; }")
    assert not page.evaluate("'wakeLock' in navigator")
    page.locator("h1").click()
    expect(page.locator(".hint")).to_contain_text("let the screen stay on for 10 minutes")
    page.evaluate(
        "() => { const now = Date.now; Date.now = () => now() + 31000;"
        " Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange'));"
        " delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }"
    )
    expect(page.locator(".hint")).to_contain_text("This phone went dark after 31 s")
    page.reload()
    page.evaluate("() => { delete Navigator.prototype.wakeLock; }")
    page.locator("h1").click()
    expect(page.locator(".hint")).to_have_text("")


@pytest.mark.parametrize(("age_s", "wide"), [(5.0, 62), (70.0, 74), (130.0, 88)])
def test_old_knock_grows_without_any_motion(
    controller: FakeController, opened: Callable[..., Page], age_s: float, wide: int
) -> None:
    page = opened(reduced_motion="reduce")
    controller.show(hatch={"waiting": 1, "oldest_s": age_s, "blinking": age_s > 60})
    halo = page.locator(".hatch .halo")
    eventually(lambda: halo.evaluate("(el) => getComputedStyle(el).r") == f"{wide}px")
