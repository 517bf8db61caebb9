"""The page's view: three parts joined, notices sorted once, a value for each place of the page."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import web
from tests.support.fake_controller import FakeController, page_of, paired
from web.presentation.page_view import (
    Notice,
    PageView,
    Part,
    Rank,
    RoomPart,
    SelfTestPart,
    Severity,
)

KNOCK = {"n": 0, "place": None, "quiet": False}
ROOM = RoomPart(
    texts={"sentence": "Full.", "announce": "Full."},
    states={"link": "online", "asked": "none", "let2": "yes"},
    notices=(
        Notice(Severity.ALARM, "alarm", Rank.ALARM),
        Notice(Severity.KNOCK, "knock", Rank.KNOCK),
        Notice(Severity.CALM, "staff"),
        Notice(Severity.WARN, "fault"),
    ),
    ring="50.0 100",
    knock=KNOCK,
    alerts={"hatch": [1, 1, 0]},
)
BOOKINGS = Part(
    texts={"book": "Next: Rossi."},
    states={"book": "n2", "due": "let2"},
    notices=(Notice(Severity.KNOCK, "Rossi?", Rank.EXPECTED_PARTY),),
)
SELF_TEST = SelfTestPart(
    texts={"trial": "1 of 2", "announce": "Press."},
    states={"test": "testing"},
    notices=(Notice(Severity.WARN, "result", Rank.TEST_RESULT),),
    lines=(("proven", "outer beam"),),
)


def test_page_view_joins_parts_and_a_running_self_test_announces() -> None:
    view = PageView.of(ROOM, BOOKINGS, SELF_TEST)
    assert view.texts == {
        "sentence": "Full.",
        "announce": "Press.",
        "book": "Next: Rossi.",
        "trial": "1 of 2",
    }
    assert view.states == {
        "link": "online",
        "asked": "none",
        "let2": "due",
        "book": "n2",
        "due": "let2",
        "test": "testing",
    }
    assert (view.ring, view.knock, view.lines) == ("50.0 100", KNOCK, SELF_TEST.lines)


def test_page_view_sorts_notices_by_rank_and_keeps_equal_ones_in_order() -> None:
    view = PageView.of(ROOM, BOOKINGS, SELF_TEST)
    texts = [notice.text for notice in view.notices]
    assert texts == ["alarm", "result", "Rossi?", "staff", "fault"]  # the knock is Rossi's


def test_page_view_is_frozen_and_changes_no_part() -> None:
    view = PageView.of(ROOM, None, SELF_TEST)
    assert "book" not in view.texts
    assert ROOM.texts["announce"] == "Full."
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.ring = ""  # type: ignore[misc]


def test_page_view_as_dict_has_the_keys_of_openapi() -> None:
    found = PageView.of(ROOM, None, SELF_TEST).as_dict()
    assert list(found) == ["t", "s", "ring", "notices", "knock", "alerts", "trial"]
    assert found["notices"][:2] == [("alarm", "alarm"), ("warn", "result")]


@pytest.mark.parametrize(
    ("asked", "shown"), [("none", ("left", "Nobody there?")), ("party", ("party", "How many?"))]
)
def test_page_view_asks_what_the_self_test_left_unless_the_room_asks(
    asked: str, shown: tuple[str, str]
) -> None:
    states = {**ROOM.states, "asked": asked}
    room = dataclasses.replace(ROOM, states=states, texts={**ROOM.texts, "asked": "How many?"})
    left = Part(texts={"left": "Nobody there?"}, states={"left": "yes"})
    test = SelfTestPart(texts=left.texts, states=left.states, lines=())
    view = PageView.of(room, None, test)
    assert (view.states["asked"], view.texts["asked"]) == shown


@pytest.mark.parametrize("kind", ["t", "s", "v"])
def test_page_view_has_a_value_for_each_place_of_the_page(tmp_path: Path, kind: str) -> None:
    """A template shows nothing for a name that it does not find."""
    controller = FakeController()
    controller.show()
    client = paired(page_of(controller, tmp_path))
    places = set(re.findall(rf'data-{kind}="([^"]+)"', client.get("/").text))
    part = {"t": "t", "s": "s", "v": "t"}[kind]
    shown = client.get("/api/state?page=1").get_json()["page"][part]
    assert places
    assert places <= set(shown)
    read = {"t": "texts", "s": "states"}[part]
    names = {
        name
        for path in (Path(web.__file__).parent / "templates").glob("*.html")
        for name in re.findall(rf"view\.{read}\.(\w+)", path.read_text())
    }
    assert names - {"get", "book", "slot", "centre"} <= set(shown)
