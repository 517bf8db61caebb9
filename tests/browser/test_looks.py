"""Every state of the page on three screens: kept as pictures, and nothing hangs over the edge."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import web
from tests.browser.conftest import SCREENSHOTS
from tests.support.fake_controller import FakeController, FakeSimulator, Serving, now_iso, page_of

SCREENS = {
    "320x560": (320, 560),
    "360x740": (360, 740),
    "412x915": (412, 915),
    "740x360": (740, 360),
    "820x1180": (820, 1180),
}


def session(left_s: float, phase: str = "running") -> dict[str, Any]:
    end = datetime.now(UTC) + timedelta(seconds=left_s)
    return {
        "started_at": (end - timedelta(hours=2)).isoformat(),
        "ends_at": end.isoformat(),
        "remaining_s": left_s,
        "phase": phase,
    }


def waiting(count: int, oldest_s: float, *, blinking: bool = False) -> dict[str, Any]:
    return {"light": "ON", "waiting": count, "oldest_s": oldest_s, "blinking": blinking}


def letting_in(entered: int, physical: str) -> Callable[[FakeController], None]:
    def show(controller: FakeController) -> None:
        controller.inside(
            1 + entered,
            session=session(7100),
            door={"mode": "Accessed", "physical": physical, "strike": physical == "Closed"},
            grant={"party": 2, "entered": entered, "remaining_s": 3.2},
        )

    return show


def frozen(controller: FakeController) -> None:
    controller.inside(3, session=session(4350))
    controller.heartbeat()
    controller.freeze()


def overtime(controller: FakeController) -> None:
    knock = {"at": now_iso(), "age_s": 12.0, "raps": 3}
    controller.inside(4, session=session(-730, "overtime"), door_knock=knock)


def asked(least: int, most: int, *, expected: int, seen: int) -> Callable[[FakeController], None]:
    question = {
        "kind": "party",
        "id": "8792",
        "expected": expected,
        "seen": seen,
        "answers": list(range(min(expected, seen), max(expected, seen) + 1)),
        "since": now_iso(),
    }

    def show(controller: FakeController) -> None:
        controller.inside(least, most, session=session(7100), question=question)

    return show


def everybody_left(controller: FakeController) -> None:
    question = {"kind": "everybody_left"}
    controller.inside(1, session=session(-240, "overtime"), question=question)


def doubtful_sensors(controller: FakeController) -> None:
    fault = {"name": "BeamStuck", "line": "beam_outer", "since": now_iso()}
    controller.inside(2, session=session(4000), counting="manual", faults=[fault])


STATES: dict[str, Callable[[FakeController], None]] = {
    "empty": lambda controller: controller.inside(0),
    "three": lambda controller: controller.inside(3, session=session(4350)),
    "knock": lambda controller: controller.inside(3, session=session(4350), hatch=waiting(2, 40)),
    "patience": lambda controller: controller.inside(
        3, session=session(4350), hatch=waiting(1, 75, blinking=True)
    ),
    "hatch-open": lambda controller: controller.inside(
        2, session=session(4350), hatch={"open": True}
    ),
    "doubt": lambda controller: controller.inside(2, 3, session=session(3100)),
    "wide-doubt": lambda controller: controller.inside(0, 4, session=session(3100)),
    "asked": asked(2, 4, expected=4, seen=2),
    "asked-and-free": asked(1, 2, expected=2, seen=1),
    "tailgater": asked(2, 3, expected=2, seen=3),
    "everybody-left": everybody_left,
    "last-call": lambda controller: controller.inside(4, session=session(840, "last_call")),
    "overtime": overtime,
    "over-capacity": lambda controller: controller.inside(5, session=session(5000)),
    "letting-in": letting_in(0, "Closed"),
    "door-open": letting_in(1, "Open"),
    "forced": lambda controller: controller.inside(
        1, session=session(5000), door={"alarm": "DoorForcedOpen", "physical": "Open"}
    ),
    "evacuation": lambda controller: controller.inside(
        3, session=session(4000), door={"mode": "LockedOpen", "physical": "Open"}
    ),
    "lock-fault": lambda controller: controller.inside(
        2, session=session(5000), door={"lock": "Fault"}
    ),
    "door-knock": lambda controller: controller.inside(
        0, door_knock={"at": now_iso(), "age_s": 70.0, "raps": 2}
    ),
    "doubt-of-one": lambda controller: controller.inside(1, session=session(3100), certain=False),
    "undo": lambda controller: controller.inside(
        0, undoable=[{"id": "c0ffee", "type": "room_empty", "until": now_iso(-10)}]
    ),
    "lock-down": lambda controller: controller.inside(3, door={"mode": "LockedDown"}),
    "blocked": lambda controller: controller.inside(1, door={"mode": "Blocked"}),
    "manual": doubtful_sensors,
    "staff": lambda controller: controller.inside(2, session=session(4350), staff_pass=True),
    "frozen": frozen,
}


def evening() -> dict[str, Any]:
    """Return a night of four hours with three sessions."""
    at = datetime.now(UTC) - timedelta(hours=4)
    counts = [1, 2, 2, 3, 4, 4, 3, 3, 2, 1, 0, 0, 1, 2, 4, 4, 4, 3, 2, 0, 0, 2, 3, 3]
    points, sessions, knocks = [], [], []
    for index, count in enumerate(counts):
        at += timedelta(minutes=5 + index * 7 % 9)
        points.append([at.isoformat(), count, count - (index in (7, 8)), count])
        if index % 3 == 1:
            knocks.append([(at + timedelta(minutes=2)).isoformat(), ("hatch", "door")[index % 2]])
        if count and not (points[index - 1][1] if index else 0):
            sessions.append({"started_at": at.isoformat(), "ended_at": None})
        if not count and sessions[-1]["ended_at"] is None:
            sessions[-1]["ended_at"] = at.isoformat()
    happened: list[tuple[str, dict[str, Any]]] = [
        ("knock", {"place": "hatch", "raps": 3}),
        ("entry", {"count": 3}),
        ("access_taken", {"expected": 2, "entered": 2}),
        ("access_granted", {"party": 2, "cause": "page"}),
        ("access_denied", {"reason": "CapacityReached", "cause": "button"}),
        ("session_started", {}),
        ("count_adjusted", {"after": {"count": 0}, "cause": "page"}),
        ("hatch_answered", {"cause": "page"}),
    ]
    return {
        "since": points[0][0],
        "points": points,
        "sessions": sessions,
        "knocks": knocks,
        "totals": {"guests": 17, "sessions": 3, "knocks": 8, "denied": 2, "uncertain": 1},
        "last": [
            {"at": now_iso(60 * number + 20), "name": name, "data": data}
            for number, (name, data) in enumerate(happened)
        ],
    }


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
    mark.write_text(f"{now}\n")
    controller.stop()
