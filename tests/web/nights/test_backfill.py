"""What to ask the controllers for, and how long later events wait for the answer."""

from __future__ import annotations

import json

import pytest

from web.nights.backfill import ASK_AGAIN_S, HOLD_S, Answer, Backfill, Request, read_answer
from web.nights.database import Row
from web.nights.gaps import MOST_HOLES


def seen(*parts: tuple[int, int], venue: str = "bar", boot: str = "b1") -> list[Row]:
    return [(venue, boot, first, last, 0.0, 0.0) for first, last in parts]


def missing(*parts: tuple[int, int]) -> Backfill:
    backfill = Backfill()
    backfill.found(seen(*parts))
    return backfill


def answer(after: int, until: int, newest: int) -> Answer:
    return Answer(after, until, newest, [])


def test_nothing_missing_asks_nothing_and_holds_nothing() -> None:
    backfill = missing((5, 9))
    assert backfill.due(0.0) == []
    assert backfill.hold("bar", 0.0) is None


def test_after_a_connection_the_newest_is_asked_for_until_all_of_it_came() -> None:
    backfill = missing((5, 9))
    backfill.up()
    assert backfill.due(0.0) == [Request("bar", 9, None)]
    assert backfill.hold("bar", 0.0) is None
    backfill.answered("bar", answer(9, 109, 150), 0.0)
    assert backfill.due(0.0) == [Request("bar", 109, None)]
    backfill.answered("bar", answer(109, 150, 150), 0.0)
    assert backfill.due(0.0) == []


def test_holes_are_asked_for_one_after_the_other_and_then_what_is_gone_is_gone() -> None:
    backfill = missing((1, 2), (5, 6), (300, 301))
    assert backfill.due(0.0) == [Request("bar", 2, 4)]
    assert backfill.hold("bar", 0.0) == 2
    backfill.answered("bar", answer(2, 4, 301), 0.0)
    assert backfill.hold("bar", 0.0) == 6
    assert backfill.due(0.0) == [Request("bar", 6, 299)]
    backfill.answered("bar", answer(6, 106, 301), 0.0)
    assert backfill.due(0.0) == [Request("bar", 106, 299)]
    backfill.answered("bar", answer(106, 299, 301), 0.0)
    assert backfill.due(0.0) == []
    assert backfill.hold("bar", 0.0) is None


def test_who_does_not_answer_is_asked_again_ever_more_rarely() -> None:
    backfill = missing((1, 2), (5, 6))
    asked = [now_s for now_s in range(7200) if backfill.due(float(now_s))]
    assert asked[:3] == [0, ASK_AGAIN_S[0], 3 * ASK_AGAIN_S[0]]
    assert asked[-1] - asked[-2] == ASK_AGAIN_S[1]


def test_events_wait_so_long_and_no_longer() -> None:
    backfill = missing((1, 2), (5, 6))
    assert backfill.hold("bar", 100.0) == 2
    assert backfill.hold("bar", 100.0 + HOLD_S - 1) == 2
    assert backfill.hold("bar", 100.0 + HOLD_S) is None


def test_connection_asks_at_once_again() -> None:
    backfill = missing((1, 2), (5, 6))
    assert backfill.due(0.0)
    assert not backfill.due(1.0)
    backfill.up()
    assert backfill.due(1.0) == [Request("bar", 2, 4)]


def test_each_bar_is_asked_for_its_own() -> None:
    backfill = Backfill()
    backfill.found([*seen((1, 2), (5, 6)), *seen((1, 4), venue="nook")])
    assert backfill.due(0.0) == [Request("bar", 2, 4)]
    assert backfill.hold("nook", 0.0) is None
    backfill.up()
    assert backfill.due(0.0) == [Request("bar", 2, 4), Request("nook", 4, None)]


def test_numbers_that_begin_anew_are_asked_for_and_those_of_the_journal_before_are_not() -> None:
    backfill = missing((1, 2), (9, 9))
    assert backfill.due(0.0) == [Request("bar", 2, 8)]
    backfill.answered("bar", answer(2, 8, 9), 0.0)
    assert not backfill.due(0.0)
    backfill.found([*seen((1, 2), (9, 9)), *seen((1, 3), (6, 6), boot="b2")])
    assert backfill.due(0.0) == [Request("bar", 3, 5)]
    backfill.answered("bar", answer(3, 5, 6), 0.0)
    assert backfill.due(0.0) == []


@pytest.mark.parametrize(
    "odd", [answer(3, 8, 9), answer(0, 2**40, 9), answer(2, 2, 9)], ids=["later", "all", "stands"]
)
def test_answer_that_was_not_asked_for_or_leads_nowhere_changes_nothing(odd: Answer) -> None:
    """Else somebody fills our memory with them, or has us ask without a pause."""
    backfill = missing((1, 2), (9, 9))
    backfill.answered("bar", answer(2, 8, 9), 0.0)
    assert backfill.due(0.0) == [Request("bar", 2, 8)]
    backfill.answered("bar", odd, 0.0)
    backfill.answered("elsewhere", odd, 0.0)
    assert backfill.due(1.0) == []
    assert backfill.due(ASK_AGAIN_S[0]) == [Request("bar", 2, 8)]


def test_events_wait_for_all_holes_together_also_over_connections() -> None:
    backfill = missing((1, 1), (3, 3), (5, 5), (7, 7))
    for number in range(1, 3):
        now_s = number * HOLD_S / 3
        backfill.up()
        assert backfill.hold("bar", now_s) is not None
        (request,) = backfill.due(now_s)
        backfill.answered("bar", answer(request.after, request.until or 0, 7), 0.0)
    assert backfill.hold("bar", HOLD_S * 4 / 3) is None
    (request,) = backfill.due(HOLD_S * 4 / 3)
    backfill.answered("bar", answer(5, 6, 7), 0.0)
    assert backfill.hold("bar", HOLD_S * 2) is None
    backfill.found(seen((1, 7), (9, 9)))
    assert backfill.hold("bar", HOLD_S * 2) == 7


def test_only_the_newest_holes_are_asked_for() -> None:
    """Each power cut leaves one, and who switches off at the wall has thousands."""
    parts = [(2 * number, 2 * number) for number in range(1, 1001)]
    backfill = missing(*parts)
    asked = []
    while requests := backfill.due(0.0):
        asked += requests
        backfill.answered("bar", answer(requests[0].after, requests[0].after + 1, 2000), 0.0)
    assert len(asked) == MOST_HOLES
    assert asked[-1] == Request("bar", 1998, 1999)


def test_answer_is_read() -> None:
    event = {"seq": 3, "boot": "b1", "t_ms": 1.0, "at": None, "event": "entry", "count": 1}
    found = read_answer("bar", json.dumps(SOUND | {"events": [event]}).encode())
    assert (found.after, found.until, found.newest) == (2, 4, 9)
    assert [(one.venue, one.seq, one.name) for one in found.events] == [("bar", 3, "entry")]


@pytest.mark.parametrize(
    "odd",
    [
        3,
        {},
        {"event": "entry"},
        {"event": "entry", "seq": "3", "boot": "b1", "t_ms": 1.0},
        {"event": "entry", "seq": 3, "boot": 1, "t_ms": 1.0},
    ],
)
def test_event_that_makes_no_sense_is_refused_and_the_others_are_taken(odd: object) -> None:
    event = {"seq": 4, "boot": "b1", "t_ms": 1.0, "at": None, "event": "entry", "count": 1}
    found = read_answer("bar", json.dumps(SOUND | {"events": [odd, event]}).encode())
    assert [one.seq for one in found.events] == [4]
    assert len(found.refused) == 1


def test_hole_of_an_event_that_was_refused_is_asked_for_again_every_ten_minutes() -> None:
    backfill = missing((1, 2), (205, 206))
    assert backfill.due(0.0) == [Request("bar", 2, 204)]
    backfill.answered("bar", Answer(2, 102, 206, [], ["seq is missing"]), 0.0)
    backfill.found(seen((1, 49), (51, 102), (205, 206)))  # all the others are taken
    assert backfill.due(1.0) == [Request("bar", 102, 204)]  # and it goes on
    backfill.answered("bar", answer(102, 204, 206), 1.0)
    backfill.found(seen((1, 49), (51, 206)))
    assert backfill.hold("bar", 2.0) is None
    asked = []
    for now_s in range(2, 3602):
        requests = backfill.due(float(now_s))
        asked += [now_s] * len(requests)
        for request in requests:
            assert request == Request("bar", 49, 50)
            still = Answer(49, 50, 206, [], ["seq is missing"])
            backfill.answered("bar", still, float(now_s))
    assert asked == [600, 1200, 1800, 2400, 3000, 3600]
    backfill.found(seen((1, 206)))
    assert not backfill.due(4300.0)


def test_newest_event_that_is_refused_is_passed_over() -> None:
    backfill = missing((5, 9))
    backfill.up()
    assert backfill.due(0.0) == [Request("bar", 9, None)]
    backfill.answered("bar", Answer(9, 10, 30, [], ["seq is missing"]), 0.0)
    assert backfill.due(0.0) == [Request("bar", 10, None)]
    backfill.answered("bar", answer(10, 30, 30), 0.0)
    assert backfill.due(0.0) == []


SOUND = {"after": 2, "until": 4, "newest": 9, "events": []}


@pytest.mark.parametrize(
    "change",
    [
        {"after": None},
        {"after": -1},
        {"until": 1},
        {"until": 2**60},
        {"newest": -1},
        {"events": {}},
    ],
)
def test_answer_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        read_answer("bar", json.dumps(SOUND | change).encode())
