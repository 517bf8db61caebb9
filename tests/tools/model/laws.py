"""The laws of the house, written anew over raw fields: none calls the functions that it checks.

A law of a state looks at one state, a law of a step at what one event did to it. Each returns a
sentence when it is broken, nothing when it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec import structs

from controller.events import (
    Answer,
    Chime,
    Command,
    Contact,
    Effect,
    Event,
    Note,
    Passage,
    Set,
    Started,
    StartSelfTest,
    Tick,
)
from controller.rules.state import RuleSettings, State, door_mode, wanted
from tests.tools.model.truth import Peopled


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was, what happened, what came of it."""

    before: State
    event: Event
    after: State
    effects: tuple[Effect, ...]

    def notes(self, name: str) -> list[Note]:
        """Return the notes of that name."""
        return [e for e in self.effects if isinstance(e, Note) and e.name == name]

    @property
    def answer(self) -> Answer | None:
        """Return the answer, if a command was given."""
        return next((e for e in self.effects if isinstance(e, Answer)), None)

    def done(self, command: str) -> bool:
        """Return whether this step is that command, and it was done."""
        event, answer = self.event, self.answer
        done = answer is not None and answer.ok
        return done and isinstance(event, Command) and event.name == command


Broken = str | None
OfState = Callable[[State, RuleSettings], Broken]
OfStep = Callable[[Step, RuleSettings], Broken]


# --- of every state ------------------------------------------------------------------------------


def four(state: State, settings: RuleSettings) -> Broken:
    """House rules 1 and 2: the strike is on only while all who may be coming fit."""
    if not wanted(state, settings)["strike"].level:
        return None
    grant, people = state.grant, state.occupancy
    places = 0 if grant is None else max(grant.party - grant.entered, 0)
    if people.max + max(places, state.coming_in) > settings.capacity:
        return "the strike is on and they do not all fit"
    if people.max + state.coming_in >= settings.capacity:
        return "the strike is on in a full house"
    if state.locked_open or state.locked_down or state.blocked:
        return "the strike is on though the door is locked or blocked"
    if grant is None and settings.entry != "walk_in":
        return "the strike is on without a release"
    return None


def not_for_long(state: State, settings: RuleSettings) -> Broken:
    """A release's strike is on only while its timer runs and the door has not opened."""
    grant, walk_in = state.grant, settings.entry == "walk_in"
    if grant is None or walk_in or not wanted(state, settings)["strike"].level:
        return None
    if state.timers.get("release") is None:
        return "the strike is on and no timer will end it"
    if grant.opened or grant.over or not grant.live:
        return "the strike is on for a release that is spent"
    return None


def full_is_blocked(state: State, settings: RuleSettings) -> Broken:
    """House rule 2: a full house is Blocked, with the lamp on; no other house has the lamp on."""
    is_full = state.occupancy.max >= settings.capacity
    if wanted(state, settings)["full_lamp"].level != is_full:
        return "the FULL lamp does not show whether the house is full"
    if is_full and door_mode(state, settings) not in ("Blocked", "LockedDown", "LockedOpen"):
        return "the house is full and not Blocked"
    return None


def locks_stand(state: State, settings: RuleSettings) -> Broken:
    """House rule 18: an evacuation goes before a lock-down, and that before all else."""
    mode = door_mode(state, settings)
    if state.evacuate_input and not state.locked_open:
        return "the evacuation input is on and the door is not LockedOpen"
    if state.locked_open != (mode == "LockedOpen"):
        return f"locked_open is {state.locked_open} and the mode is {mode}"
    if state.locked_down and mode not in ("LockedOpen", "LockedDown"):
        return f"locked down and the mode is {mode}"
    return None


def honest(state: State, settings: RuleSettings) -> Broken:
    """House rule 6: ``0 <= min <= count <= max``, and certain is one number without doubt."""
    people = state.occupancy
    if not 0 <= people.min <= people.count <= people.max <= 99:
        return f"the count makes no sense: {people}"
    if people.certain != (people.min == people.max and not people.doubted):
        return "certain is not what the range says"
    return None


def over_capacity(state: State, settings: RuleSettings) -> Broken:
    """House rule 14: a guest too many is an alarm exactly as long as he is there."""
    if state.over_capacity != (state.occupancy.count > settings.capacity):
        return "the over-capacity alarm does not carry the count"
    return None


def guests_have_a_session(state: State, settings: RuleSettings) -> Broken:
    """House rule 7: nobody sits outside of a session."""
    if state.occupancy.count > 0 and state.session is None:
        return "guests without a session"
    return None


def grants_go_on(state: State, settings: RuleSettings) -> Broken:
    """House rule 3: an open release always has something coming that will close it."""
    grant = state.grant
    if grant is None:
        return None
    if grant.over:
        waits = state.busy or state.door_opening or (grant.opened and state.door == "Open")
        return None if waits else "a release that is over was not reconciled"
    if grant.opened and state.door != "Open":
        return "a release waits for a door that is not open"
    if not grant.opened and state.timers.get("release") is None:
        return "a release waits for a timer that does not run"
    return None


def timers_run(state: State, settings: RuleSettings) -> Broken:
    """Every deadline lies ahead, and every situation that needs a timer has one."""
    if any(at is not None and at <= state.t_ms for at in state.timers.values()):
        return "a deadline has passed and was not consumed"
    nobody = state.occupancy.min == state.occupancy.max == 0 and not state.occupancy.doubted
    empty = state.session is not None and nobody and not state.busy and state.door != "Open"
    held = state.door == "Open" and not state.locked_open and settings.entry != "walk_in"
    situations = {
        "release": state.grant is not None and not state.grant.opened,
        "staff_pass": state.staff_pass,
        "empty": empty,
        "everybody_left": _seems_deserted(state, settings),
        "hatch_patience": bool(state.hatch_waiting),
        "door_pre_alarm": held,
        "door_alarm": held,
    }
    for name, holds in situations.items():
        if holds != (name in state.timers):
            return f"timer {name} {'is missing' if holds else 'runs for nothing'}"
    return None


def _seems_deserted(state: State, settings: RuleSettings) -> bool:
    session, shut = state.session, state.door != "Open" and not state.busy
    if session is None or session.next_mark <= len(settings.warnings_ms):
        return False
    return shut and state.departure == "Seen" and state.occupancy.max > 0


def truth(state: State, settings: RuleSettings) -> Broken:
    """House rules 1 and 21: never more inside than fit, and never more than the house reckons with.

    While a release is open, who came in side by side is seen as fewer; but nobody else is let in.
    """
    if not isinstance(state, Peopled) or state.wrong:
        return None
    if state.really > settings.capacity:
        return f"{state.really} people are inside"
    if state.grant is None and state.really > state.occupancy.max:
        return f"{state.really} people are inside, and the house reckons with {state.occupancy}"
    return None


def questions(state: State, settings: RuleSettings) -> Broken:
    """House rule 21: a question has two answers at least, and the count lies between them."""
    question, people = state.question, state.occupancy
    if question is None:
        return None
    came = [reading.came for reading in question.readings]
    if len(came) < 2 or came != sorted(set(came)):
        return f"a question with the answers {came}"
    least = min(reading.occupancy.min for reading in question.readings)
    most = max(reading.occupancy.max for reading in question.readings)
    if (people.min, people.max) != (least, most) or people.certain:
        return f"the count does not lie between the answers: {people}, {question.readings}"
    return None


def hatch_light(state: State, settings: RuleSettings) -> Broken:
    """House rules 9 and 18: lit while somebody waits or all must leave, blinking when long."""
    light, waiting = wanted(state, settings)["hatch_light"], bool(state.hatch_waiting)
    if light.level != (waiting or state.locked_open):
        return "the hatch light does not show whether somebody waits"
    late = waiting and state.timers["hatch_patience"] is None
    if light.blink != (late and not state.locked_open):
        return "the hatch light does not show how long somebody waits"
    return None


def alarms_end(state: State, settings: RuleSettings) -> Broken:
    """House rule 13: a shut door has no door alarm."""
    if state.door == "Closed" and state.alarm != "Normal":
        return f"the door is shut and its alarm is {state.alarm}"
    return None


OF_STATES: tuple[OfState, ...] = (
    four,
    not_for_long,
    full_is_blocked,
    locks_stand,
    honest,
    over_capacity,
    guests_have_a_session,
    grants_go_on,
    timers_run,
    truth,
    questions,
    hatch_light,
    alarms_end,
)


# --- of every step -------------------------------------------------------------------------------


def outputs_are_the_difference(step: Step, settings: RuleSettings) -> Broken:
    """An output is set once, and exactly when it changed."""
    before, after = wanted(step.before, settings), wanted(step.after, settings)
    emitted = [effect for effect in step.effects if isinstance(effect, Set)]
    if emitted != [after[line] for line in after if after[line] != before[line]]:
        return "the outputs set are not those that changed"
    return None


def only_a_release_opens(step: Step, settings: RuleSettings) -> Broken:
    """Nothing turns the strike on but a release that was granted, or walk-in."""
    opened = any(isinstance(e, Set) and e.line == "strike" and e.level for e in step.effects)
    if opened and settings.entry != "walk_in" and not step.notes("access_granted"):
        return "the strike went on without a release"
    return None


def strike_is_not_prolonged(step: Step, settings: RuleSettings) -> Broken:
    """No event lengthens the time that a release's strike is on; none is longer than allowed."""
    before, after = step.before.timers.get("release"), step.after.timers.get("release")
    same = step.before.grant is not None and step.after.grant is not None
    if same and None not in (before, after) and before != after:
        return "the release's time was changed under way"
    if not same and after is not None and after - step.after.t_ms > settings.strike_max_on_ms:
        return "the release is longer than strike_max_on"
    return None


def releases_are_closed(step: Step, settings: RuleSettings) -> Broken:
    """House rule 3: one grant at a time; it ends with one word: taken or not taken."""
    ended = [*step.notes("access_taken"), *step.notes("access_not_taken")]
    began = step.notes("access_granted")
    before, after = step.before.grant is not None, step.after.grant is not None
    if len(began) > 1 or len(ended) > 1 or before + len(began) - len(ended) != after:
        return "a release began or ended without its word"
    if began and (before or step.before.door == "Open"):
        return "a release was granted beside another one, or into an open door"
    return None


def locks_end_by_a_person(step: Step, settings: RuleSettings) -> Broken:
    """House rule 18: only their own release ends evacuation, lock-down and block."""
    before, after = step.before, step.after
    ends = (
        (before.locked_open and not after.locked_open, "lock_open_release"),
        (before.locked_down and not after.locked_down, "lock_down_release"),
        (before.blocked and not after.blocked, "unblock_door"),
    )
    for ended, by in ends:
        if ended and not step.done(by):
            return f"a lock ended without {by}"
    return None


def refused_means_nothing_happened(step: Step, settings: RuleSettings) -> Broken:
    """House rule 16: a refusal has its reason, and leaves all as it was."""
    if not isinstance(step.event, Command):
        return None
    answer = step.answer
    if answer is None or answer.ok != (answer.reason is None):
        return "a command was not answered, or not with a reason"
    if answer.ok:
        return None
    word = "access_denied" if step.event.name == "access_door" else "command_refused"
    emitted = [e for e in step.effects if not isinstance(e, Answer)]
    if [e.name if isinstance(e, Note) else "" for e in emitted] != [word]:
        return "a refusal did more than say so"
    if step.after != structs.replace(step.before, t_ms=step.after.t_ms):
        return "a refused command changed the state"
    return None


def sessions_begin_with_guests(step: Step, settings: RuleSettings) -> Broken:
    """House rules 7 and 23: a session begins once; nothing prolongs it, taking back neither."""
    before, after = step.before.session, step.after.session
    back = step.done("undo") and _said(step, "resumed")
    if before is None:
        return "it began in silence" if bool(after) != (back or _said(step, "started")) else None
    if after is None or after.started_ms == before.started_ms:
        return None
    earlier = back and after.started_ms < before.started_ms
    return None if earlier else "its beginning was changed"


def sessions_end_verified_empty(step: Step, settings: RuleSettings) -> Broken:
    """House rule 8: only a room verified empty ends a session, or who began it by mistake."""
    if step.before.session is None or step.after.session is not None:
        return None
    if not _said(step, "ended"):
        return "it ended without saying so"
    people = step.after.occupancy
    if not people.certain or people.max:
        return "it ended and the room is not empty"
    rung = isinstance(step.event, Tick) and step.before.timers.get("empty") == step.after.t_ms
    if rung and step.before.door != "Open" and not step.before.busy:
        return None
    by = step.done("room_empty") or step.done("undo")
    return None if by else "it ended and nobody had verified the room"


def _said(step: Step, word: str) -> bool:
    return bool(step.notes(f"session_{word}"))


def exits_are_free(step: Step, settings: RuleSettings) -> Broken:
    """House rule 5: a passage is never refused, and an exit makes the most inside one less."""
    event = step.event
    if not isinstance(event, Passage) or event.least >= 0:
        return None
    if any(isinstance(e, Note) and e.name in REFUSALS for e in step.effects):
        return "an exit was refused"
    if step.before.staff_pass or not settings.beams:
        return None
    before, after = step.before.occupancy, step.after.occupancy
    if event.most < 0 <= before.max + event.most and after.max >= before.max:
        return "an exit did not make room"
    return None


REFUSALS = ("access_denied", "command_refused")


def only_requests_are_refused(step: Step, settings: RuleSettings) -> Broken:
    """House rules 5 and 16: nobody is refused who has not asked."""
    button = isinstance(step.event, Contact) and step.event.line == "release_button"
    if isinstance(step.event, Command) or button:
        return None
    if any(isinstance(e, Note) and e.name in REFUSALS for e in step.effects):
        return "something was refused that nobody had asked for"
    return None


def changes_of_the_count_are_noted(step: Step, settings: RuleSettings) -> Broken:
    """House rule 6: no change of the count goes by in silence; the last word is the truth."""
    people = step.after.occupancy
    if people == step.before.occupancy:
        return None
    words_of = [_count_change(e) for e in step.effects if isinstance(e, Note)]
    words = [word for word in words_of if word is not None]
    truth = {"count": people.count, "min": people.min, "max": people.max}
    if not words or words[-1] != truth | {"certain": people.certain}:
        return "the count changed and no note says so"
    return None


def _count_change(note: Note) -> object:
    data: dict[str, object] = dict(note.data)
    if note.name in ("entry", "exit"):
        return {name: data[name] for name in ("count", "min", "max", "certain")}
    return data.get(TOLD_IN.get(note.name, ""))


TOLD_IN = {"passage_uncertain": "occupancy", "count_adjusted": "after"}


def staff_are_no_guests(step: Step, settings: RuleSettings) -> Broken:
    """House rule 12: an armed pass covers one passage, and nothing but that."""
    if not (step.before.staff_pass and isinstance(step.event, Passage)):
        return None
    aborted = step.event.least == step.event.most == 0
    if step.after.staff_pass != aborted:
        return "the staff pass was not spent by one passage"
    covered = not settings.beams or step.after.occupancy == step.before.occupancy
    return None if covered else "a passage under the staff pass was counted"


def restarts_are_safe(step: Step, settings: RuleSettings) -> Broken:
    """House rule 19: back with the strike off, no release open, and the doubt admitted."""
    if not isinstance(step.event, Started):
        return None
    before, after = step.before, step.after
    if after.grant is not None or after.staff_pass or after.coming_in:
        return "something of the old process lives on"
    if settings.entry != "walk_in" and wanted(after, settings)["strike"].level:
        return "the strike is on after a restart"
    doubt = step.event.doubt
    if doubt and (after.occupancy.certain or after.occupancy.max < settings.capacity):
        return "a restart in doubt believes its count"
    compared = before.grant is not None and before.grant.most > 0
    changed = after.occupancy != before.occupancy
    if changed and settings.beams and not doubt and not compared:
        return "a restart without doubt changed the count"
    return None


def questions_are_told(step: Step, settings: RuleSettings) -> Broken:
    """House rule 21: a question begins and ends with its word, and no time ends it."""
    before, after = step.before.question, step.after.question
    other = (before and before.id) != (after and after.id)
    asked = [note for note in step.notes("question_asked") if note.data["kind"] == "party"]
    ended = [note for note in step.notes("question_ended") if note.data["kind"] == "party"]
    if step.done("undo"):  # what is put back may become one with what is asked now
        told = (
            len(asked) - len(ended) == bool(after) - bool(before) and bool(ended or asked) >= other
        )
        return None if told else "taking back changed a question without its word"
    if len(asked) != (other and after is not None) or len(ended) != (other and before is not None):
        return "a question began or ended without its word"
    closed = step.notes("access_taken") or step.notes("access_not_taken")
    if ended and not closed and not isinstance(step.event, Command | Passage):
        return "a question ended by itself"
    return None


def true_answers_are_possible(step: Step, settings: RuleSettings) -> Broken:
    """House rule 21: who answers with the truth is not refused."""
    event, answer = step.event, step.answer
    asked = isinstance(event, Command) and event.name == "answer_question"
    if isinstance(step.before, Peopled) and asked and answer is not None and not answer.ok:
        return "the true answer was refused"
    return None


def answers_settle(step: Step, settings: RuleSettings) -> Broken:
    """House rule 21: an answer leaves no question, and makes the count no wider than it was."""
    if not step.done("answer_question"):
        return None
    before, after = step.before.occupancy, step.after.occupancy
    if step.after.question is not None or step.before.question is None:
        return "a question was answered and still stands, or there was none"
    if not before.min <= after.min <= after.max <= before.max:
        return "an answer made the count wider"
    return None


def stopped_is_off(step: Step, settings: RuleSettings) -> Broken:
    """A release that is stopped has its strike off at once, and ends when nobody is in it."""
    if not step.done("release_cancel"):
        return None
    if settings.entry != "walk_in" and wanted(step.after, settings)["strike"].level:
        return "the release was stopped and the strike is on"
    waits = step.after.busy or step.after.door_opening or step.after.door == "Open"
    if step.after.grant is not None and not waits:
        return "the release was stopped and is still open"
    return None


def taking_back_opens_nothing(step: Step, settings: RuleSettings) -> Broken:
    """House rule 23: what is taken back lets nobody in, and is taken back once."""
    if not step.done("undo"):
        return None
    opened = any(isinstance(e, Set) and e.line == "strike" and e.level for e in step.effects)
    if opened and settings.entry != "walk_in":
        return "taking back turned the strike on"
    if len(step.notes("undone")) != 1:
        return "it was taken back without its word"
    if len(step.after.undos) >= max(len(step.before.undos), 1):
        return "it can be taken back once more"
    return None


def bells_have_reasons(step: Step, settings: RuleSettings) -> Broken:
    """House rules 9 and 10: the room rings for marks, a guest too many and evacuation alone."""
    for effect in step.effects:
        if isinstance(effect, Chime) and not step.notes(BELLS[effect.tone]):
            return f"it rang {effect.tone} for nothing"
    return None


BELLS = {
    "warning": "session_warning",
    "time_up": "session_time_up",
    "overtime": "session_overtime",
    "over_capacity": "over_capacity",
    "evacuate": "locked_open",
}


def tested_alone(step: Step, settings: RuleSettings) -> Broken:
    """A self-test begins in an empty room only, and moves nothing by itself."""
    if not any(isinstance(effect, StartSelfTest) for effect in step.effects):
        return None
    if step.before.occupancy.max > 0 or step.before.session is not None:
        return "a self-test begins with guests inside"
    if any(isinstance(effect, Set) for effect in step.effects):
        return "a self-test moves an output"
    return None


OF_STEPS: tuple[OfStep, ...] = (
    outputs_are_the_difference,
    only_a_release_opens,
    strike_is_not_prolonged,
    releases_are_closed,
    locks_end_by_a_person,
    refused_means_nothing_happened,
    sessions_begin_with_guests,
    sessions_end_verified_empty,
    exits_are_free,
    only_requests_are_refused,
    changes_of_the_count_are_noted,
    staff_are_no_guests,
    restarts_are_safe,
    questions_are_told,
    true_answers_are_possible,
    answers_settle,
    stopped_is_off,
    taking_back_opens_nothing,
    bells_have_reasons,
    tested_alone,
)


def broken(laws: Iterable[Callable[..., Broken]], *facts: object) -> list[str]:
    """Return a line for every law that does not hold."""
    found = ((law.__name__, law(*facts)) for law in laws)
    return [f"{name}: {what}" for name, what in found if what is not None]
