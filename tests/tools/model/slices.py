"""Which parts of the house are walked, and why together they are the whole.

The full product of all fields has more than 10^12 states. But the rules fall into parts that hardly
touch each other, so each part is walked alone with everything that it reads, and what it does not
read is put at rest (``forget``). `tests/tools/test_model.py` holds the claim up: there, for any two
states that differ only in what a slice forgets, each of its moves does the same to what it keeps,
once the few forgotten fields that do speak to it (``SPEAKS`` there) are at rest as well. Those are
locks, faults, staff passes and, for the alarms, a full house: they only refuse, end or take away,
and are walked with all that they do it to in a slice of their own. For the sessions it is the
release too: it brings them guests, and they walk every count. The alarms walk a doorway, because a
release whose time is over stays as long as somebody stands there.

At rest means with what follows from it. A field put at rest by hand leaves behind what hung on it:
a timer runs on for a release that is gone, a count comes from a party that nobody waits for. No
step leaves such a state, and about it the claim is not true. So the test lets the rules have their
say (a tick in which nothing is due) before it looks at what is forgotten.

| slice     | keeps                                                                              |
|-----------|------------------------------------------------------------------------------------|
| guests    | count, doorway, door, release, staff pass, blind beams, restart                    |
| locks     | the four locks, count without doubt, door, release, release button, restart        |
| witness   | count, door, release, question, who is really inside, block, restart               |
| taps      | the same, counted by beams or by hand, with wrong counts, stops and what is undone  |
| sessions  | count, doorway, door, the two hours with its marks, verified empty, restart        |
| alarms    | door, exit button, alarm and its timers, release, doorway, evacuation, restart     |
| bolt      | bolt and its timer, door, release, count, block, restart                           |
| knocks    | hatch, its queue and patience, front door, evacuation, restart                     |

What one part tells another goes one way, and the teller's part of it is in the receiver's walk as
free as it can be: sessions read the count and the doorway (guests), alarms the release and the
evacuation. Only the bolt speaks back, by one refusal (``DoorFault``): it is walked with releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from msgspec import structs

from controller.events import INPUT_LINES
from controller.rules.state import RuleSettings, Session, State, Undo
from controller.rules.step import running
from tests.tools.model import alphabet as may
from tests.tools.model.space import AHEAD_MS, Move, plain, standing, undos_grow_old, unseen
from tests.tools.model.truth import IN_TIME, Peopled, people, remembered, taps
from tests.tools.model.walk import Slice

ALL = frozenset(INPUT_LINES)
WHOLE_BAR = 4
#: The truth beside the count makes millions of states: breadth first, so far as this.
MOST_STEPS = {"witness": 500_000, "taps": 150_000}
AT_REST = State()
#: What each slice puts at rest; the session follows the count where it is not looked at.
FORGOTTEN: dict[str, tuple[str, ...]] = {
    "guests": (
        *("bolt", "hatch", "buttons_up", "evacuate_input", "blocked", "locked_down", "locked_open"),
        *("exit_asked_ms", "hatch_waiting", "hatch_knock_ms", "door_knock", "alarm", "session"),
        *("question", "departure", "undos", "no_undos"),
    ),
    "locks": (
        "door_opening",
        *("bolt", "hatch", "exit_asked_ms", "hatch_waiting", "hatch_knock_ms", "door_knock"),
        *("alarm", "session", "faults", "staff_pass", "question", "departure"),
        *("undos", "no_undos"),
    ),
    "witness": (
        *("bolt", "hatch", "buttons_up", "evacuate_input", "locked_down", "locked_open"),
        *("exit_asked_ms", "hatch_waiting", "hatch_knock_ms", "door_knock", "alarm", "session"),
        *("faults", "departure", "busy", "coming_in", "staff_pass", "undos", "no_undos"),
        "door_opening",
    ),
    "taps": (
        *("bolt", "hatch", "buttons_up", "evacuate_input", "locked_down", "locked_open"),
        *("exit_asked_ms", "hatch_waiting", "hatch_knock_ms", "door_knock", "alarm", "session"),
        *("faults", "departure", "busy", "coming_in", "staff_pass", "blocked", "no_undos"),
    ),
    "sessions": (
        "door_opening",
        *("bolt", "hatch", "buttons_up", "evacuate_input", "blocked", "locked_down", "locked_open"),
        *("exit_asked_ms", "hatch_waiting", "hatch_knock_ms", "door_knock", "alarm", "faults"),
        *("grant", "question", "staff_pass", "undos", "no_undos"),
    ),
    "alarms": (
        *("bolt", "hatch", "blocked", "locked_down", "hatch_waiting", "hatch_knock_ms"),
        *("door_knock", "session", "faults", "staff_pass", "occupancy", "over_capacity"),
        *("question", "departure", "undos", "no_undos"),
    ),
    "bolt": (
        "door_opening",
        *("hatch", "buttons_up", "evacuate_input", "locked_down", "locked_open", "exit_asked_ms"),
        *("hatch_waiting", "hatch_knock_ms", "door_knock", "alarm", "session", "staff_pass"),
        *("question", "departure", "undos", "no_undos"),
    ),
    "knocks": (
        *("busy", "coming_in", "door", "door_opening", "bolt", "buttons_up", "blocked"),
        *("locked_down", "exit_asked_ms", "alarm"),
        *("session", "faults", "staff_pass", "occupancy", "over_capacity", "grant"),
        *("question", "departure", "undos", "no_undos"),
    ),
}
TIMERS: dict[str, frozenset[str]] = {
    "guests": frozenset({"release", "staff_pass"}),
    "locks": frozenset({"release"}),
    "witness": frozenset({"release"}),
    "taps": frozenset({"release"}),
    "sessions": frozenset({"empty", "everybody_left"}),
    "alarms": frozenset({"release", "door_pre_alarm", "door_alarm"}),
    "bolt": frozenset({"release", "bolt"}),
    "knocks": frozenset({"hatch_patience"}),
}


def forget(name: str, settings: RuleSettings, state: State) -> State:
    """Return the state with what slice ``name`` leaves out at rest."""
    dropped = FORGOTTEN[name]
    if isinstance(state, Peopled):
        state = remembered(state)
    state = structs.replace(state, **{field: getattr(AT_REST, field) for field in dropped})
    kept = tuple(replace(undo, before=_alone(name, settings, undo)) for undo in state.undos)
    state = structs.replace(state, undos=kept)
    if "session" in dropped and state.occupancy.count > 0:
        state = structs.replace(state, session=standing(Session(0.0), settings, AHEAD_MS))
    if state.grant is not None and not isinstance(state, Peopled):
        state = structs.replace(state, grant=unseen(state.grant, settings))
    if state.question is not None:
        state = structs.replace(state, question=plain(state.question))
    mine = {timer: at for timer, at in state.timers.items() if timer in TIMERS[name]}
    return structs.replace(state, timers=dict.fromkeys(running(state, settings), AHEAD_MS) | mine)


def _alone(name: str, settings: RuleSettings, undo: Undo) -> State:
    """Return what an undo keeps, without what the slice leaves out; nobody is really in there."""
    nobody = {
        "really": 0,
        "came": -1,
        "since": 0,
        "asked": 0,
        "before": 0,
        "held": 0,
        "wrong": False,
    }
    if not isinstance(undo.before, Peopled):
        return forget(name, settings, undo.before)
    alone = forget(name, settings, structs.replace(undo.before, **nobody))
    return structs.replace(alone, **nobody)


def moves(name: str, settings: RuleSettings) -> dict[str, Move]:
    """Return the part of the alphabet that slice ``name`` listens to."""
    door, release = may.contacts("door_contact"), may.releases(settings)
    asked = release | may.counts(settings)
    in_time = IN_TIME | may.OPENING_ENDS
    if "door_contact" not in settings.lines:
        door = {}
        in_time = {}
    mine = {
        "guests": door | may.OPENING | asked | may.CLEAR | may.AMBIGUOUS | may.DOORWAY
        | may.commands("staff_pass", "self_test") | may.faults("BeamDead") | may.NONSENSE,
        "locks": door | release | may.CLEAR | may.LOCKS | may.DOORWAY
        | may.contacts("evacuate", "release_button") | may.commands("room_empty"),
        "witness": door | release | people(settings) | may.passages((0, 0))
        | may.commands("block_door", "unblock_door"),
        "taps": door | in_time | release | people(settings) | taps(settings)
        | may.commands("release_cancel") | {"undos grow old": undos_grow_old},
        "sessions": door | may.counts(settings) | may.CLEAR | may.AMBIGUOUS | may.DOORWAY
        | may.MARKS,
        "alarms": door | may.OPENING | release | may.contacts("exit_button", "evacuate")
        | may.EXIT_GROWS_OLD | may.DOORWAY
        | may.commands("lock_open", "lock_open_release"),
        "bolt": door | release | may.contacts("bolt_contact") | may.CLEAR | may.DOORWAY
        | may.commands("block_door", "unblock_door"),
        "knocks": may.KNOCKS | may.contacts("hatch_contact", "evacuate") | may.KNOCK_GROWS_OLD
        | may.commands("answer_hatch", "answer_door", "lock_open", "lock_open_release"),
    }  # fmt: skip
    restarts = dict(may.RESTARTS)
    if name in MOST_STEPS:
        del restarts["restart"]  # whoever comes in while nobody looks makes a restart doubtful
    return mine[name] | restarts | may.rings(TIMERS[name])


def part(name: str, settings: RuleSettings) -> Slice:
    """Return slice ``name`` of a house with these numbers."""
    wired = "" if settings.sees_door else ", no contact"
    title = f"{name}: {settings.capacity} places, {settings.entry}, {settings.counting}{wired}"

    def rest(state: State) -> State:
        return forget(name, settings, state)

    if name in MOST_STEPS:
        return Slice(title, settings, moves(name, settings), rest, Peopled(), MOST_STEPS[name])
    return Slice(title, settings, moves(name, settings), rest)


def every(capacities: tuple[int, ...] = (1, 2, 3, 4)) -> Iterator[Slice]:
    """Yield every slice with every combination of numbers that its rules look at, small first.

    Walk-in is walked up to 3 places: it adds no state, and 4 places nothing that 3 have not. What
    the locks do, they do however guests are counted.
    """
    for capacity, entry in product(capacities, ("release", "walk_in")):
        if entry == "walk_in" and capacity == WHOLE_BAR:
            continue
        for name in ("knocks", "alarms", "bolt", "sessions", "locks"):
            yield part(name, RuleSettings(capacity=capacity, entry=entry))
        for counting, sees in product(("manual", "auto"), (False, True)):
            lines = ALL if sees else ALL - {"door_contact"}
            yield part("guests", RuleSettings(capacity, entry, counting, lines=lines))
            if (entry, counting) == ("release", "auto"):
                yield part("witness", RuleSettings(capacity, lines=lines))
            if entry == "release":
                yield part("taps", RuleSettings(capacity, entry, counting, lines=lines))
