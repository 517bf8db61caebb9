"""One night's events as numbers: taps that were taken back, clocks that step, an odd hour."""

from __future__ import annotations

from controller.codec import encode, iso, named_events
from tests.support.rules_driver import Room
from web.nights.events import Event, night_of, parse
from web.nights.fold import Folded, Tally, by_hour, fold

#: 25 November 2026, 21:00 in Milan.
EVENING_S = 1_795_636_800.0


class House:
    """The real rules; what they say is folded."""

    def __init__(self) -> None:
        self.room = Room()
        self._events: list[Event] = []
        self._told = 0
        self.room.door(False)

    def hear(self) -> None:
        """Take what the rules have said since the last time."""
        effects = self.room.all[self._told :]
        self._told = len(self.room.all)
        t_ms = self.room.now_ms
        for _, name, data in named_events((t_ms, effect) for effect in effects):
            body = {"seq": len(self._events) + 1, "boot": "b1", "t_ms": t_ms, **data}
            at = iso(EVENING_S + t_ms / 1000)
            self._events.append(parse("bar", name, encode({**body, "at": at})))

    def party(self, size: int) -> None:
        self.room.command("access_door", size)
        self.room.door(True)
        self.room.inside(size)
        self.room.door(False)
        self.hear()

    def tap(self, name: str, number: int | None = None) -> None:
        assert self.room.command(name, number) is None
        self.hear()

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.room.wait(1)
            self.hear()

    def folded(self) -> Folded:
        now_s = EVENING_S + self.room.now_ms / 1000
        return fold(self._events, 4, now_s)


def test_night_without_undo_is_counted() -> None:
    house = House()
    house.party(2)
    house.wait(600)
    house.tap("room_empty")
    night = house.folded()
    assert (night.totals["guests"], night.totals["parties"]) == (2, 1)
    assert night.tallies[Tally("stay", "2", 10)] == 1
    assert night.totals["corrected"] == 1, "two who were never seen leave"
    assert not night.exact


def test_room_empty_by_mistake_and_taken_back_never_was() -> None:
    house = House()
    house.party(2)
    house.wait(600)
    house.tap("room_empty")
    house.wait(4)
    house.tap("undo", 0)
    assert house.folded().totals["guests"] == 2, "nobody has come in since"
    house.wait(596)
    house.room.door(True)
    house.room.passes(-1)
    house.room.passes(-1)
    house.room.door(False)
    house.wait(30)
    night = house.folded()
    assert (night.totals["guests"], night.totals["parties"]) == (2, 1)
    assert [tally for tally, n in night.tallies.items() if n and tally.kind == "stay"] == [
        Tally("stay", "2", 20)
    ]
    assert night.exact


def test_count_set_by_mistake_and_taken_back_brought_no_guest() -> None:
    house = House()
    house.tap("set_count", 3)
    assert house.folded().totals["guests"] == 3
    house.wait(3)
    house.tap("undo", 0)
    night = house.folded()
    assert (night.totals["guests"], night.totals["parties"], night.totals["corrected"]) == (0, 0, 0)
    assert sum(hour.guests + hour.parties for hour in night.hours.values()) == 0
    assert not any(n for tally, n in night.tallies.items() if tally.kind == "stay")


def test_answer_taken_back_lets_the_caller_wait_on() -> None:
    house = House()
    house.room.knock("hatch")
    house.wait(20)
    house.tap("answer_hatch")
    assert house.folded().tallies[Tally("waited", "hatch", 20)] == 1
    house.wait(5)
    house.tap("undo", 0)
    assert house.folded().waiting
    house.wait(15)
    house.tap("answer_hatch")
    night = house.folded()
    waited = {tally.value: n for tally, n in night.tallies.items() if tally.kind == "waited" and n}
    assert waited == {40: 1}
    assert night.totals["knocks"] == 1


def test_caller_whom_nobody_answers_has_knocked_in_vain_after_ten_minutes() -> None:
    house = House()
    house.room.knock("hatch")
    house.hear()
    house.wait(590)
    assert house.folded().totals["vain"] == 0
    house.wait(20)
    assert house.folded().totals["vain"] == 1


def test_clock_that_steps_changes_no_length() -> None:
    def heard(seq: int, name: str, t_s: float, wall_s: float, **data: object) -> Event:
        body = {"seq": seq, "boot": "b1", "t_ms": 1000 * t_s, "at": iso(wall_s), **data}
        return parse("bar", name, encode(body))

    inside = {"count": 2, "min": 2, "max": 2}
    events = [
        heard(1, "entry", 0, EVENING_S, **inside),
        heard(2, "session_started", 0, EVENING_S),
        heard(3, "knock", 60, EVENING_S + 7260, place="hatch"),  # an hour or two ahead
        heard(4, "hatch_answered", 90, EVENING_S - 3510),  # and back again
        heard(5, "session_ended", 1800, EVENING_S + 1800, lasted_s=1800),
    ]
    night = fold(events, 4, EVENING_S + 2000)
    assert night.tallies[Tally("stay", "2", 30)] == 1
    assert night.tallies[Tally("waited", "hatch", 30)] == 1
    assert sum(hour.guest_s for hour in night.hours.values()) == 2 * 1800


def test_hours_of_the_nights_on_which_the_clock_changes() -> None:
    # 25 October 2026 02:30 summer time: an hour later it is 02:30 again.
    october_s, march_s = 1_792_888_200.0, 1_774_744_200.0
    assert [hour for hour, _ in by_hour(october_s, 7200)] == [2, 2, 3]
    assert [hour for hour, _ in by_hour(march_s, 3600)] == [1, 3]
    assert night_of(october_s) == "2026-10-24"
    assert night_of(march_s) == "2026-03-28"
