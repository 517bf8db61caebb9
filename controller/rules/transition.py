"""One step under way: its own copy of the state, its effects so far, and what rules share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from controller.events import Chime, Effect, Note, Reason
from controller.rules import occupancy as people
from controller.rules.occupancy import Occupancy
from controller.rules.question import Question, changed, hull, passed
from controller.rules.state import ActiveFault, NoUndo, RuleSettings, State, Undo

#: What can be taken back, and which part of the state it changes.
UNDOABLE = {
    "room_empty": "count",
    "set_count": "count",
    "report_wrong": "count",
    "answer_question": "count",
    "access_door": "count",
    "staff_pass": "staff",
    "answer_hatch": "hatch",
    "answer_door": "front_door",
}
#: So many commands the house remembers that can't be taken back any more, to say why.
NO_UNDOS = 4
BEAM_FAULTS = frozenset({"BeamStuck", "BeamDead", "BeamChatter"})


class Transition:
    """The copy of the state that one step changes, and the effects that it has so far.

    Rules assign to ``state`` plainly; the state before the step stays as it was.
    """

    __slots__ = "effects", "settings", "state"

    def __init__(self, state: State, t_ms: float, settings: RuleSettings) -> None:
        self.state = structs.replace(state, t_ms=t_ms)
        self.settings = settings
        self.effects: list[Effect] = []

    def end_release(self) -> None:
        """End the strike's part of the open release, if there is one: it is to be reconciled."""
        if self.state.grant is not None:
            self.state.grant = replace(self.state.grant, live=False, over=True)

    def cancel_release(self, cause: str) -> Reason | None:
        """Stop the open release: the strike goes off, and what was taken of it is reconciled."""
        grant = self.state.grant
        if grant is None or grant.cancelled:
            return Reason.NO_OPEN_RELEASE
        self.state.grant = replace(grant, live=False, over=True, cancelled=True)
        self.note("release_cancelled", party=grant.party, cause=cause)
        return None

    def note(self, event: str, /, **data: object) -> None:
        """Emit a note that something happened, for journal, MQTT and replay."""
        self.effects.append(Note(event, data))

    def sign_notes(self, first: int, by: str) -> None:
        """Write whose phone asked into each note with a cause since effect number ``first``."""
        for number, effect in enumerate(self.effects[first:], first):
            if isinstance(effect, Note) and "cause" in effect.data:
                self.effects[number] = Note(effect.name, {**effect.data, "by": by})

    def chime(self, tone: str) -> None:
        """Emit one chime."""
        self.effects.append(Chime(tone))

    def settle(self, count: int, how: str, cause: str) -> None:
        """Set the count by the word of somebody who sees the room; no question survives it."""
        self.end_question(how, cause=cause)
        if self.state.departure == "Asked":
            self.note("question_ended", kind="everybody_left", how=how, cause=cause)
        self.state.departure = "None"
        self.recount(people.settled(count), cause)

    def recount(self, after: Occupancy, cause: str) -> None:
        """Change the count other than by a passage; the note says who or what did it."""
        before = self.state.occupancy
        self.state.occupancy = after
        self.note_count(before, cause)

    def note_count(self, before: Occupancy, cause: str) -> None:
        """Note that the count is not ``before`` any more, and who or what did it."""
        after = count_data(self.state.occupancy)
        self.note("count_adjusted", before=count_data(before), after=after, cause=cause)

    def widen_count(self, wider: Callable[[Occupancy], Occupancy], cause: str) -> None:
        """Widen the count, in every reading of an open question; emit nothing if it was as wide."""
        question = self.state.question
        if question is not None:
            readings = changed(question.readings, wider)
            self.state.question = replace(question, readings=readings)
        after = wider(self.state.occupancy)
        if after != self.state.occupancy:
            self.recount(after, cause)

    def move_count(self, least: int, most: int) -> None:
        """Let ``least`` to ``most`` people have gone in, in every reading of an open question."""
        self.state.occupancy = people.moved(self.state.occupancy, least, most)
        question = self.state.question
        if question is not None:
            self.hold(replace(question, readings=passed(question.readings, least, most)))

    def hold(self, question: Question) -> None:
        """Let the count lie between the readings of the open question; one alone is the answer."""
        readings = question.readings
        self.state.question = question
        if len(readings) > 1:
            self.state.occupancy = hull(readings, self.state.occupancy.count)
            return
        for reading in readings:
            self.state.occupancy = reading.occupancy
        self.end_question("arithmetic", came=readings[0].came if readings else None)

    def end_question(self, how: str, **data: object) -> None:
        """End the question how many came in, if it is open, and note how it ended."""
        question = self.state.question
        if question is not None:
            self.state.question = None
            asked = {"expected": question.expected, "seen": question.seen, "how": how}
            self.note("question_ended", kind="party", id=question.id, **asked, **data)

    def ask(self, question: Question) -> None:
        """Let a question stand, and tell it."""
        self.state.question = question
        self.note("question_asked", kind="party", **question.asked)

    def anybody(self, occupancy: Occupancy) -> Occupancy:
        """Return the occupancy when anything up to a full house is possible."""
        return people.unseen(occupancy, least=0, most=self.settings.capacity)

    def before(self) -> State:
        """Return a copy of the state as it is, for `remember`."""
        return structs.replace(self.state, undos=(), no_undos=())

    def remember(self, before: State, command: str, id_: str, party: int = 0) -> None:
        """Let a command be taken back that was given in the state ``before``.

        An older one that changed the same part of the state can't be taken back any more.
        """
        for other in self.state.undos:
            if UNDOABLE[other.command] == UNDOABLE[command]:
                self.close_undo(other, Reason.CHANGED_SINCE)
        until_ms = self.state.t_ms + self.settings.undo_ms
        self.state.undos = (Undo(id_, command, until_ms, before, party), *self.state.undos)

    def close_undo(self, undo: Undo, reason: Reason) -> None:
        """Let a command not be taken back any more, for this reason."""
        self.state.undos = tuple(other for other in self.state.undos if other is not undo)
        closed = NoUndo(undo.id, reason.value)
        self.state.no_undos = (closed, *self.state.no_undos)[:NO_UNDOS]

    def fault(self, name: str, line: str, *, active: bool, ahead_s: float | None = None) -> None:
        """Raise or clear a named fault; one that is raised or cleared already changes nothing.

        But a clock that has moved on differs by another ``ahead_s`` (seconds).
        """
        others = tuple(f for f in self.state.faults if (f.name, f.line) != (name, line))
        before = [f.ahead_s for f in self.state.faults if f not in others]
        if before == ([ahead_s] if active else []):
            return
        new = (ActiveFault(name, line, self.state.t_ms, ahead_s),) if active else ()
        self.state.faults = others + new
        by = {} if ahead_s is None else {"ahead_s": ahead_s}
        self.note("fault" if active else "fault_cleared", name=name, line=line, **by)

    def beam_faulty(self) -> bool:
        """Return whether a beam that should count is out of order."""
        return self.settings.beams and any(f.name in BEAM_FAULTS for f in self.state.faults)

    def may_have_missed(self) -> bool:
        """Tell whether somebody may have passed unseen: one stuck beam leaves the other to see."""
        faults = [f for f in self.state.faults if f.name in BEAM_FAULTS]
        alone = len({f.line for f in faults}) == 1 and all(f.name == "BeamStuck" for f in faults)
        return self.beam_faulty() and not alone

    def end_session(self, **why: str) -> None:
        """End the party's session: the room was verified empty."""
        session = self.state.session
        if session is not None:
            self.state.session = None
            if self.state.departure == "Asked":
                self.note("question_ended", kind="everybody_left", how="session_ended")
            self.state.departure = "None"
            lasted_s = round((self.state.t_ms - session.started_ms) / 1e3)
            self.note("session_ended", lasted_s=lasted_s, **why)


def count_data(occupancy: Occupancy) -> dict[str, object]:
    """Return the count as events carry it."""
    return {
        "count": occupancy.count,
        "min": occupancy.min,
        "max": occupancy.max,
        "certain": occupancy.certain,
    }
