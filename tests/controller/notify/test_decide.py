"""What is told when, in virtual time."""

from __future__ import annotations

import itertools
from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.notify.decide import SEEN, Decider, Memory
from controller.notify.notices import Notice, Now, Outgoing, Withdrawal
from tests.support.controller_says import EVENING_S, ControllerSays


class Evening:
    """A decider, a controller that it hears, and a clock that this test turns."""

    def __init__(self, **more: Any) -> None:
        self.controller = ControllerSays()
        options: dict[str, Any] = {"merge_ms": 30_000.0, "most_an_hour": 30}
        self.options = options | more
        self.decider = Decider(now(0.0), **self.options)

    def hear(self, message: tuple[str, bytes], at_s: float) -> list[Outgoing]:
        return self.decider.handle(*message, now(at_s))

    def knock(self, at_s: float, place: str = "hatch", late_s: float = 0.0) -> list[Outgoing]:
        return self.hear(self.controller.knock(at_s, place), at_s + late_s)

    def event(self, name: str, at_s: float, /, **data: Any) -> list[Outgoing]:
        return self.hear(self.controller.event(name, at_s, **data), at_s)

    def snapshot(self, at_s: float) -> list[Outgoing]:
        return self.hear(self.controller.snapshot(at_s), at_s)

    def tick(self, at_s: float) -> list[Outgoing]:
        return self.decider.tick(now(at_s))

    def restart(self, at_s: float) -> None:
        kept = msgspec.json.decode(msgspec.json.encode(self.decider.memory()), type=Memory)
        self.decider = Decider(now(at_s), **self.options, memory=kept)


def now(at_s: float) -> Now:
    return Now(1000.0 + at_s, EVENING_S + at_s)


def only(told: list[Outgoing]) -> Notice:
    (notice,) = told
    assert isinstance(notice, Notice)
    return notice


# --- knocks ---------------------------------------------------------------------------------------


def test_a_knock_is_told_once_with_what_an_answer_answers() -> None:
    notice = only(Evening().knock(1.0))
    assert (notice.key, notice.kind, notice.word) == ("hatch", "knock", "hatch_waits")
    assert notice.data == {"n": 1}
    assert notice.answers == "hatch"
    assert notice.until_s == now(31.0).t_s


def test_a_knock_at_the_door_is_of_its_own_kind() -> None:
    notice = only(Evening().knock(1.0, "door"))
    assert (notice.key, notice.kind, notice.answers) == ("door", "door_knock", "door")


def test_more_raps_of_the_same_people_are_not_told() -> None:
    evening = Evening()
    assert evening.knock(0.0)
    assert evening.knock(29.0) == evening.knock(58.0) == []  # each within 30 s of the one before


def test_a_second_party_is_told_with_the_age_of_the_first() -> None:
    evening = Evening()
    evening.knock(0.0)
    notice = only(evening.knock(40.0))
    assert notice.data == {"n": 2}
    assert now(40.0).t_s - notice.since_s == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("hatch", "hatch_answered"),
        ("hatch", "hatch_opened"),
        ("door", "door_answered"),
        ("door", "door_opened"),
        ("door", "access_granted"),
    ],
)
def test_who_is_answered_is_withdrawn_and_may_knock_again(place: str, name: str) -> None:
    evening = Evening()
    evening.knock(0.0, place)
    assert Withdrawal(place) in evening.event(name, 5.0)
    assert evening.event(name, 6.0) == []
    evening.event("hatch_closed", 7.0)
    assert only(evening.knock(8.0, place)).data == {"n": 1}


def test_a_snapshot_in_which_nobody_waits_withdraws_too() -> None:
    evening = Evening()
    evening.knock(0.0)
    evening.knock(1.0, "door")
    assert set(evening.snapshot(9.0)) == {Withdrawal("hatch"), Withdrawal("door")}


def test_a_snapshot_made_before_the_knock_withdraws_nothing() -> None:
    evening = Evening()
    before = evening.controller.snapshot(0.0)
    evening.knock(0.1)
    assert evening.hear(before, 0.2) == []
    assert evening.decider.waits("hatch")


def test_the_snapshot_may_come_before_its_event_and_nobody_is_counted_twice() -> None:
    evening = Evening()
    knock = evening.controller.knock(1.0)
    evening.controller.waiting, evening.controller.since_s = 1, 1.0
    assert evening.snapshot(1.1) == []
    assert only(evening.hear(knock, 1.2)).data == {"n": 1}


def test_an_open_hatch_needs_no_message() -> None:
    evening = Evening()
    evening.event("hatch_opened", 0.0)
    assert evening.knock(1.0) == []
    evening.event("hatch_closed", 2.0)
    assert evening.knock(3.0)


@pytest.mark.parametrize(("late_s", "told"), [(29.9, 1), (30.0, 0), (86_400.0, 0)])
def test_a_knock_that_is_heard_late_is_told_only_while_fresh(late_s: float, told: int) -> None:
    """The broker kept it while this service was away."""
    assert len(Evening().knock(0.0, late_s=late_s)) == told


def test_a_party_whose_first_knock_was_stale_is_told_with_its_next() -> None:
    evening = Evening()
    assert evening.knock(0.0, late_s=35.0) == []
    notice = only(evening.knock(28.0, late_s=8.0))
    assert notice.data == {"n": 1}
    assert now(36.0).t_s - notice.since_s == pytest.approx(36.0)


def test_an_event_that_comes_again_is_not_told_again_nor_after_a_restart() -> None:
    evening = Evening()
    knock = evening.controller.knock(0.0)
    assert evening.hear(knock, 0.1)
    assert evening.hear(knock, 0.2) == []
    evening.restart(0.3)
    assert evening.hear(knock, 0.4) == []
    assert evening.knock(5.0) == []  # the same people
    assert only(evening.knock(50.0)).data == {"n": 2}


def test_after_the_journal_began_anew_its_low_numbers_are_new() -> None:
    evening = Evening()
    evening.controller.seq = 900
    evening.knock(0.0)
    evening.controller.seq, evening.controller.boot = 0, "b0070002"
    assert evening.knock(100.0)
    evening.controller.waiting = 0
    assert evening.snapshot(101.0) == [Withdrawal("hatch")]


def test_a_clock_that_was_set_back_makes_no_knock_stale() -> None:
    evening = Evening()
    knock = evening.controller.knock(3600.0)
    assert only(evening.hear(knock, 1.0)).until_s == now(31.0).t_s


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40))
def test_there_is_one_message_for_each_party(moments: list[int]) -> None:
    evening = Evening(most_an_hour=1000)
    moments.sort()
    gaps = itertools.pairwise(moments)
    parties = 1 + sum(later - before > 30 for before, later in gaps)
    told = [outgoing for at_s in moments for outgoing in evening.knock(at_s)]
    assert len(told) == parties


# --- what stands ----------------------------------------------------------------------------------


def test_an_alarm_is_told_once_and_its_end_once() -> None:
    evening = Evening()
    evening.controller.alarm = "DoorForcedOpen"
    begins = only(evening.event("door_alarm", 0.0, alarm="DoorForcedOpen"))
    assert (begins.kind, begins.severity, begins.standing) == ("alarm", "critical", True)
    assert begins.until_s == inf
    assert evening.snapshot(1.0) == []
    ends = only(evening.event("door_alarm", 2.0, alarm="Normal"))
    assert (ends.key, ends.word, ends.ends) == (begins.key, "DoorForcedOpen_over", True)


@pytest.mark.parametrize(
    ("begins", "ends", "data", "key"),
    [
        ("over_capacity", "over_capacity_ended", {"count": 5}, "over_capacity"),
        ("locked_open", "lock_open_released", {"cause": "evacuate"}, "evacuation"),
        ("fault", "fault_cleared", {"name": "BeamDead", "line": "x"}, "fault/BeamDead/x"),
    ],
)
def test_what_stands_is_told_by_its_events(
    begins: str, ends: str, data: dict[str, Any], key: str
) -> None:
    evening = Evening()
    assert only(evening.event(begins, 0.0, **data)).key == key
    assert evening.event(begins, 1.0, **data) == []
    assert only(evening.event(ends, 2.0, **data)).ends
    assert evening.event(ends, 3.0, **data) == []


def test_what_is_of_no_interest_is_neither_told_nor_kept() -> None:
    evening = Evening()
    assert evening.event("entry", 0.0, count=1) == []
    assert evening.decider.memory() == Memory()


def test_its_memory_does_not_grow_with_the_evening() -> None:
    evening = Evening()
    for n in range(1000):
        evening.event("hatch_closed", float(n))
    assert len(evening.decider.memory().seen) == SEEN


def test_an_event_of_an_older_life_makes_no_snapshot_old() -> None:
    evening = Evening()
    evening.event("hatch_closed", 0.0)
    evening.controller.boot, evening.controller.seq = "b0070002", 0
    evening.controller.faults = [("BeamDead", "x")]
    assert only(evening.snapshot(1.0)).key == "fault/BeamDead/x"


def test_events_may_come_out_of_order() -> None:
    evening = Evening()
    first, second = evening.controller.knock(0.0), evening.controller.knock(0.0, "door")
    assert only(evening.hear(second, 0.1)).key == "door"
    assert only(evening.hear(first, 0.2)).key == "hatch"


def test_what_stands_and_is_too_much_is_counted_and_its_end_still_told() -> None:
    evening = Evening(most_an_hour=1)
    evening.event("fault", 0.0, name="BeamDead", line="x")
    assert evening.event("fault", 1.0, name="BeamDead", line="y") == [
        Withdrawal("fault/BeamDead/y")
    ]
    assert only(evening.event("fault_cleared", 2.0, name="BeamDead", line="x")).ends


def test_what_stands_is_found_in_a_snapshot_when_its_event_was_lost() -> None:
    evening = Evening()
    evening.controller.faults = [("BeamDead", "beam_outer")]
    evening.controller.over_capacity, evening.controller.mode = True, "LockedOpen"
    told = evening.snapshot(0.0)
    keys = {"fault/BeamDead/beam_outer", "over_capacity", "evacuation"}
    assert {outgoing.key for outgoing in told} == keys
    assert evening.snapshot(1.0) == []
    evening.restart(2.0)
    assert evening.snapshot(3.0) == []
    evening.controller.faults = []
    evening.controller.over_capacity, evening.controller.mode = False, "Locked"
    assert {outgoing.key for outgoing in evening.snapshot(4.0) if outgoing.ends} == keys


def test_what_an_outage_kept_back_is_history_once_the_snapshot_is_there() -> None:
    """After an outage the snapshot comes first, then all events of the time without a broker."""
    evening = Evening()
    alarm = evening.controller.event("door_alarm", 0.0, alarm="DoorForcedOpen")
    fault = evening.controller.event("fault", 1.0, name="BeamDead", line="beam_outer")
    normal = evening.controller.event("door_alarm", 2.0, alarm="Normal")
    evening.controller.faults = [("BeamDead", "beam_outer")]
    assert [outgoing.key for outgoing in evening.snapshot(90.0)] == ["fault/BeamDead/beam_outer"]
    assert [evening.hear(one, 91.0) for one in (alarm, fault, normal)] == [[], [], []]


def test_the_partys_time() -> None:
    evening = Evening()
    warning = only(evening.event("session_warning", 0.0, remaining_s=900))
    assert (warning.severity, warning.data["left_s"]) == ("info", 900)
    assert only(evening.event("session_time_up", 900.0)).severity == "warning"
    assert only(evening.event("session_overtime", 1200.0, over_s=300)).data["over_s"] == 300
    assert evening.event("session_ended", 1300.0) == [Withdrawal("session")]
    late = evening.controller.event("session_time_up", 1400.0)
    assert evening.hear(late, 1520.0) == []


def test_a_door_that_will_soon_be_open_too_long_is_told_while_fresh() -> None:
    evening = Evening()
    assert only(evening.event("door_pre_alarm", 0.0, alarm="DoorOpenTooLong")).kind == "alarm"
    late = evening.controller.event("door_pre_alarm", 10.0)
    assert evening.hear(late, 40.0) == []


# --- darkness -------------------------------------------------------------------------------------


def test_a_minute_without_a_heartbeat_is_dark_and_the_next_one_is_light() -> None:
    evening = Evening()
    evening.hear(evening.controller.heartbeat(), 10.0)
    assert evening.decider.due_s() == now(70.0).t_s
    assert evening.tick(69.9) == []
    dark = only(evening.tick(70.0))
    assert (dark.kind, dark.word, dark.data) == ("dark", "dark", {"who": "controller"})
    assert evening.tick(500.0) == []
    assert evening.decider.due_s() == inf
    assert only(evening.hear(evening.controller.heartbeat(), 501.0)).word == "dark_over"


def test_without_a_broker_the_darkness_is_the_brokers() -> None:
    evening = Evening()
    evening.decider.broker(False, now(0.0))
    assert only(evening.tick(60.0)).data == {"who": "broker"}


def test_darkness_that_was_told_is_not_told_again_after_a_restart() -> None:
    evening = Evening()
    evening.tick(60.0)
    evening.restart(61.0)
    assert evening.tick(200.0) == []
    assert only(evening.hear(evening.controller.heartbeat(), 201.0)).word == "dark_over"


# --- how many -------------------------------------------------------------------------------------


def test_what_is_more_than_so_many_an_hour_is_told_as_one_summary() -> None:
    evening = Evening(most_an_hour=3)
    for at_s in range(0, 2400, 60):
        evening.hear(evening.controller.heartbeat(), at_s)
        told = evening.knock(at_s)
        assert len(told) == (1 if at_s < 180 else 0)
    assert evening.knock(2400.0, "door")  # another kind has its own number
    for at_s in range(2400, 3600, 30):
        evening.hear(evening.controller.heartbeat(), at_s)
    assert evening.decider.due_s() == now(3600.0).t_s
    summary = only(evening.tick(3600.0))
    assert (summary.word, summary.data) == ("more_knock", {"n": 37})
    assert evening.tick(3600.0) == []
    assert evening.knock(3610.0) == []  # the summary took the place of the first
    assert evening.knock(3670.0)


# --- nonsense -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["event/knock", "event/", "state", "heartbeat", "status", ""])
@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 5000, b'{"seq":"x"}', b'{"seq":1e999}'],
)
def test_nonsense_is_ignored(name: str, payload: bytes) -> None:
    assert Evening().hear((name, payload), 1.0) == []


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(payload: bytes) -> None:
    evening = Evening()
    for name in ("event/knock", "event/fault", "state", "heartbeat"):
        evening.hear((name, payload), 1.0)
