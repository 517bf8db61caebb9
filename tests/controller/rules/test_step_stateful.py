"""Any evening whatever: after every event the house rules hold."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.events import (
    COMMANDS,
    SWITCHES,
    Answer,
    Command,
    Effect,
    Fault,
    Note,
    Set,
    Started,
    Tick,
)
from controller.rules.state import deadline, door_mode, wanted
from tests.support.rules_driver import Room

#: What may turn the strike on: a release, or in a walk-in house a place that became free.
OPENERS = {"access_granted"}


class Evening(RuleBasedStateMachine):
    """Random sensors, people and restarts against the invariants of the contract."""

    @initialize(
        capacity=st.integers(1, 4) | st.integers(5, 20),
        entry=st.sampled_from(["release", "walk_in"]),
        counting=st.sampled_from(["auto", "manual"]),
        lines=st.sets(st.sampled_from([*SWITCHES, "beam_outer", "beam_inner"])),
    )
    def open_up(self, capacity: int, entry: str, counting: str, lines: set[str]) -> None:
        self.room = Room(capacity=capacity, entry=entry, counting=counting, lines=frozenset(lines))
        self.strike_since_ms: float | None = None
        self.effects: list[Effect] = []

    def after(self, effects: list[Effect]) -> None:
        """Watch what one event did to the strike."""
        self.effects = effects
        switched = [e.level for e in effects if isinstance(e, Set) and e.line == "strike"]
        assert len(switched) <= 1, "one event switches the strike once at most"
        if switched == [True]:
            self.strike_since_ms = self.room.state.t_ms
            opened = {e.name for e in effects if isinstance(e, Note)} & OPENERS
            assert opened or self.room.settings.entry == "walk_in", (
                "only a release opens the strike"
            )
        elif switched == [False]:
            self.strike_since_ms = None

    @rule(least=st.integers(-2, 2), more=st.integers(0, 2))
    def passage(self, least: int, more: int) -> None:
        self.after(self.room.passes(least, least + more))

    @rule(busy=st.booleans(), coming_in=st.integers(0, 2))
    def doorway(self, busy: bool, coming_in: int) -> None:
        self.after(self.room.doorway(coming_in if busy else 0, busy))

    @rule(line=st.sampled_from(SWITCHES), active=st.booleans())
    def switch(self, line: str, active: bool) -> None:
        self.after(self.room.contact(line, active))

    @rule(active=st.booleans())
    def door_opening(self, active: bool) -> None:
        self.after(self.room.door_opening(active))

    @rule(place=st.sampled_from(["hatch", "door"]))
    def knock(self, place: str) -> None:
        self.after(self.room.knock(place))

    @rule(
        name=st.sampled_from([*COMMANDS]),
        number=st.none() | st.integers(-1, 6) | st.integers(7, 21),
    )
    def command(self, name: str, number: int | None) -> None:
        before = self.room.state
        effects = self.room.step(Command(self.room.now_ms, name, number, id="x"))
        self.after(effects)
        now = self.room.state
        if any(getattr(e, "ok", None) is False for e in effects):
            same = (before.occupancy, before.session, before.locked_open, before.grant)
            assert same == (now.occupancy, now.session, now.locked_open, now.grant)
        elif name == "undo":
            assert not any(isinstance(e, Note) and e.name == "access_granted" for e in effects)
            if before.session is not None and now.session is not None:
                assert now.session.started_ms <= before.session.started_ms
        elif name == "release_cancel" and self.room.settings.entry == "release":
            assert not self.room.strike

    @rule(active=st.booleans())
    def fault(self, active: bool) -> None:
        self.after(self.room.step(Fault(self.room.now_ms, "BeamStuck", "beam_outer", active)))

    @rule(doubt=st.booleans())
    def restart(self, doubt: bool) -> None:
        effects = self.room.step(Started(self.room.now_ms, doubt))
        self.after(effects)
        if self.room.settings.entry == "release":
            assert not self.room.strike

    @rule(seconds=st.sampled_from([0.05, 1, 5, 30, 600, 7200]))
    def wait(self, seconds: float) -> None:
        end_ms = self.room.now_ms + seconds * 1000
        while (due := deadline(self.room.state, self.room.settings)) is not None and due <= end_ms:
            self.room.now_ms = max(self.room.now_ms, due)
            self.after(self.room.step(Tick(self.room.now_ms)))
            after = deadline(self.room.state, self.room.settings)
            assert after is None or after > due, "a Tick consumes its deadline"
        self.room.now_ms = end_ms

    @invariant()
    def the_strike_is_on_only_while_everybody_fits(self) -> None:
        state, rules = self.room.state, self.room.settings
        if self.room.strike:
            places = state.grant.places_left if state.grant else 0
            assert state.occupancy.max + places <= rules.capacity
            assert state.occupancy.max + state.coming_in < rules.capacity
            assert door_mode(state, rules) in ("Accessed", "Unlocked")

    @invariant()
    def the_strike_is_never_on_for_too_long(self) -> None:
        if self.strike_since_ms is not None and self.room.settings.entry == "release":
            assert self.room.now_ms - self.strike_since_ms <= self.room.settings.strike_max_on_ms

    @invariant()
    def pins_are_what_the_state_wants(self) -> None:
        levels = {
            line: out.level for line, out in wanted(self.room.state, self.room.settings).items()
        }
        assert self.room.outputs == levels

    @invariant()
    def the_count_is_honest(self) -> None:
        occupancy = self.room.state.occupancy
        assert 0 <= occupancy.min <= occupancy.count <= occupancy.max <= 99
        assert not occupancy.certain or occupancy.min == occupancy.max

    @invariant()
    def every_deadline_lies_ahead(self) -> None:
        due = deadline(self.room.state, self.room.settings)
        assert due is None or due >= self.room.state.t_ms

    @invariant()
    def full_is_blocked(self) -> None:
        state, rules = self.room.state, self.room.settings
        if state.occupancy.max >= rules.capacity:
            assert door_mode(state, rules) in ("Blocked", "LockedDown", "LockedOpen")
            assert self.room.outputs["full_lamp"]

    @invariant()
    def guests_have_a_session(self) -> None:
        assert self.room.state.occupancy.count == 0 or self.room.state.session is not None

    @invariant()
    def count_lies_between_the_answers(self) -> None:
        question, people = self.room.state.question, self.room.state.occupancy
        if question is not None:
            inside = [reading.occupancy for reading in question.readings]
            assert len(inside) >= 2
            assert list(question.answers) == sorted(set(question.answers))
            assert people.min == min(each.min for each in inside)
            assert people.max == max(each.max for each in inside)
            assert not people.certain

    @invariant()
    def release_that_is_over_waits_for_something(self) -> None:
        state = self.room.state
        if state.grant is not None and state.grant.over:
            assert state.busy or state.door_opening or state.door == "Open"

    @precondition(lambda self: self.room.state.locked_open)
    @invariant()
    def evacuation_stands(self) -> None:
        assert door_mode(self.room.state, self.room.settings) == "LockedOpen"
        assert not self.room.strike


class Truth(RuleBasedStateMachine):
    """Evenings in which the beams take people who come side by side for one; nobody slips in."""

    @initialize(capacity=st.integers(1, 6), contact=st.booleans())
    def open_up(self, capacity: int, contact: bool) -> None:
        beams = frozenset({"beam_outer", "beam_inner"})
        lines = beams | ({"door_contact"} if contact else set())
        self.room = Room(capacity=capacity, lines=lines)
        self.room.door(False)
        self.really = 0
        self.taps = 0

    @rule(party=st.integers(1, 6), data=st.data())
    def party_comes(self, party: int, data: st.DataObject) -> None:
        """A release, and all or some of the party in bodies of one to three; some leave between."""
        if self.room.command("access_door", party) is not None:
            return
        if data.draw(st.booleans()):  # at the last moment: its contact settles too late
            self.room.door_opening(True)
            self.room.wait(6)
        self.room.door(True)
        came = 0
        for _ in range(data.draw(st.integers(0, 4))):
            people = data.draw(st.integers(0, min(3, party - came)))
            came += people
            self.really += people
            self.bodies(people, 1, data)
            if data.draw(st.booleans()):
                self.leave(1, data)
        self.room.door(False)
        self.room.wait(10)

    def bodies(self, people: int, way: int, data: st.DataObject) -> None:
        """Be seen as any number of bodies up to that of the people, and perhaps one more."""
        bodies = data.draw(st.integers(min(1, people), people))
        least = data.draw(st.integers(max(bodies - 1, 0), bodies))
        most = bodies if way < 0 else data.draw(st.integers(bodies, bodies + 1))
        self.room.passes(*sorted((way * least, way * most)))

    @rule(people=st.integers(1, 3), data=st.data())
    def leave(self, people: int, data: st.DataObject) -> None:
        people = min(people, self.really)
        self.really -= people
        self.bodies(people, -1, data)

    @rule(doubt=st.booleans())
    def restart(self, doubt: bool) -> None:
        self.room.step(Started(self.room.now_ms, doubt))
        self.room.door(False)

    @rule(
        wrong=st.sampled_from(["set_count", "report_wrong", "room_empty", "answer_question"]),
        number=st.integers(0, 7),
        between=st.integers(0, 3),
        data=st.data(),
    )
    def tap_wrongly_and_take_it_back(
        self, wrong: str, number: int, between: int, data: st.DataObject
    ) -> None:
        """A mistake stands for some seconds, in which only the way out is used."""
        self.taps += 1
        name = str(self.taps)
        self.room.step(Command(self.room.now_ms, wrong, number, id=name))
        if name not in [undo.id for undo in self.room.state.undos]:
            return  # refused, or nothing was changed by it
        for _ in range(between):
            self.leave(1, data)
            self.room.now_ms += 1000
        taken_back = Command(self.room.now_ms, "undo", id="undo", undoes=name)
        assert Answer("undo", ok=True) in self.room.step(taken_back)

    @rule(command=st.sampled_from(["set_count", "report_wrong"]))
    def count(self, command: str) -> None:
        assert self.room.command(command, self.really) is None

    @precondition(lambda self: self.room.state.question is not None)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """Any answer that does not contradict the number who are inside."""
        question = self.room.state.question
        assert question is not None
        inside = [(reading.came, reading.occupancy) for reading in question.readings]
        true = [came for came, each in inside if each.min <= self.really <= each.max]
        if true:
            assert self.room.command("answer_question", data.draw(st.sampled_from(true))) is None

    @invariant()
    def never_more_inside_than_fit_or_than_the_house_reckons_with(self) -> None:
        assert self.really <= self.room.settings.capacity
        assert self.really <= self.room.state.occupancy.max


TestTruth = Truth.TestCase
TestTruth.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)

TestEvening = Evening.TestCase
TestEvening.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
