"""What the rules remember, and what follows from it without any time passing.

`RuleSettings` holds the numbers that the owner may set, `State` everything that must survive a
restart. Levels are never switched, they are *derived*: `wanted` returns what strike, lamp and hatch
light should be in a state, so no forgotten branch can leave one on, and after a restart they are
``wanted(restored)``.

| DoorMode     | when (the first that holds)                          | strike                  |
|--------------|------------------------------------------------------|-------------------------|
| `LockedOpen` | evacuation; a human must release it                  | off: the handle opens   |
| `LockedDown` | lock-down; a human must release it                   | off                     |
| `Blocked`    | blocked by a person, or ``max >= capacity``          | off                     |
| `Accessed`   | a release is under way                               | until opened or timed   |
| `Unlocked`   | ``entry = "walk_in"``                                | on                      |
| `Locked`     | otherwise                                            | off                     |
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from controller.events import INPUT_LINES, Set
from controller.rules.occupancy import Occupancy
from controller.rules.question import Question, Seen

MINUTE_MS = 60_000.0
#: How long a tap can be taken back.
UNDO_MS = 10_000.0


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The owner's numbers, in ms unless the name says otherwise; which inputs are wired."""

    capacity: int = 4
    entry: str = "release"
    counting: str = "auto"
    release_ms: float = 5_000.0
    strike_max_on_ms: float = 10_000.0
    open_ms: float = 30_000.0
    pre_alarm_ms: float = 10_000.0
    exit_grace_ms: float = 5_000.0
    bolt_grace_ms: float = 2_000.0
    session_ms: float = 120 * MINUTE_MS
    warnings_ms: tuple[float, ...] = (15 * MINUTE_MS, 5 * MINUTE_MS)
    overtime_ms: float = 5 * MINUTE_MS
    empty_after_ms: float = 20_000.0
    hatch_patience_ms: float = 60_000.0
    knock_merge_ms: float = 30_000.0
    staff_pass_ms: float = 15_000.0
    left_after_ms: float = 2 * MINUTE_MS
    undo_ms: float = UNDO_MS
    lines: frozenset[str] = frozenset(INPUT_LINES)

    @property
    def beams(self) -> bool:
        """Whether guests are counted by beams; otherwise the bartender says how many."""
        return self.counting == "auto" and {"beam_outer", "beam_inner"} <= self.lines

    @property
    def sees_door(self) -> bool:
        """Whether a contact shows when the door opens."""
        return "door_contact" in self.lines


@dataclass(frozen=True, slots=True)
class Grant:
    """A release for ``party`` guests that is not reconciled yet.

    ``live`` is the strike's part of it: once off (opened, timed out, full) it never comes back.
    ``unsure``: the count was set meanwhile, or the strike had to go off. Where nobody counts at the
    door, the party may then be inside or not. ``cancelled``: a person stopped it; then the house
    asks. ``id`` is that of the command that let the party in.

    What the beams saw come in: surely ``entered``, and since a person last counted, when there were
    ``counted`` of them, at most ``most``.
    """

    party: int
    entered: int = 0
    live: bool = True
    opened: bool = False
    over: bool = False
    unsure: bool = False
    counted: int = 0
    most: int = 0
    cancelled: bool = False
    id: str = ""

    @property
    def places_left(self) -> int:
        """Return how many of the party are still expected."""
        return max(self.party - self.entered, 0)

    @property
    def seen(self) -> Seen:
        """Return what the beams saw come in since a person last counted."""
        return Seen(self.entered - self.counted, self.most)


@dataclass(frozen=True, slots=True)
class Session:
    """The two hours of one party; ``next_mark`` counts the warnings, time's up and overtimes."""

    started_ms: float
    next_mark: int = 0


@dataclass(frozen=True, slots=True)
class DoorKnock:
    """Somebody has been at the front door since ``t_ms``, and knocked so many raps."""

    t_ms: float
    raps: int


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault that has not ended."""

    name: str
    line: str
    since_ms: float
    #: How far another clock is ahead of ours, seconds, if that is the fault.
    ahead_s: float | None = None


@dataclass(frozen=True, slots=True)
class Undo:
    """A command that can be taken back until ``until_ms``; ``id`` is what `undo` calls it.

    ``before`` is the state before the command, and all that has happened since has happened in it,
    too: it says how things would stand without the command. ``party`` were let in, if it did that.
    """

    id: str
    command: str
    until_ms: float
    before: State
    party: int = 0


@dataclass(frozen=True, slots=True)
class NoUndo:
    """A command that can't be taken back any more, and the `Reason` why not."""

    id: str
    reason: str


class State(msgspec.Struct):
    """Everything the rules remember; ``timers`` hold absolute deadlines, None once rung.

    Only a `Transition` assigns to its fields, in a copy of its own. What the fields hold is never
    changed in place, so two states may share it.
    """

    t_ms: float = 0.0
    occupancy: Occupancy = Occupancy()
    busy: bool = False
    coming_in: int = 0
    door: str = "Unknown"
    #: The shut door's contact moves, and it is not known yet whether the door opens.
    door_opening: bool = False
    bolt: str = "Unknown"
    hatch: str = "Unknown"
    buttons_up: frozenset[str] = frozenset()
    evacuate_input: bool = False
    blocked: bool = False
    locked_down: bool = False
    locked_open: bool = False
    grant: Grant | None = None
    question: Question | None = None
    #: "Seen" when the last passage was an exit, "Asked" while the page asks if that was everybody.
    departure: str = "None"
    staff_pass: bool = False
    exit_asked_ms: float | None = None
    session: Session | None = None
    hatch_waiting: tuple[float, ...] = ()
    hatch_knock_ms: float = 0.0
    door_knock: DoorKnock | None = None
    alarm: str = "Normal"
    over_capacity: bool = False
    faults: tuple[ActiveFault, ...] = ()
    #: What can be taken back, newest first, and what no longer can.
    undos: tuple[Undo, ...] = ()
    no_undos: tuple[NoUndo, ...] = ()
    timers: dict[str, float | None] = {}


def promised_max(state: State) -> int:
    """Return the most people who may be inside already, those at the inner beam included."""
    return state.occupancy.max + state.coming_in


def full(state: State, settings: RuleSettings) -> bool:
    """Return whether the house counts as full: nobody may be let in."""
    return state.occupancy.max >= settings.capacity


def promises_fit(state: State, settings: RuleSettings) -> bool:
    """Return whether the door's mode lets anybody in, and all promised and coming guests fit."""
    if state.locked_open or state.locked_down or state.blocked:
        return False
    promised = state.grant.places_left if state.grant else 0
    free = settings.capacity - state.occupancy.max
    return state.coming_in < free and promised <= free


def verified_empty(state: State) -> bool:
    """Return whether surely nobody is inside, and no session runs."""
    return state.occupancy == Occupancy() and state.session is None


def release_fits(state: State, settings: RuleSettings) -> bool:
    """Return whether the open release still has somebody to let in, and place for them."""
    grant = state.grant
    return grant is not None and grant.places_left > 0 and promises_fit(state, settings)


def strike_on(state: State, settings: RuleSettings) -> bool:
    """Return whether the strike is to be energised."""
    if settings.entry == "walk_in":
        return promises_fit(state, settings)
    return state.grant is not None and state.grant.live and release_fits(state, settings)


def door_mode(state: State, settings: RuleSettings) -> str:
    """Return ONVIF's DoorMode for this state (see the module's table)."""
    modes = (
        ("LockedOpen", state.locked_open),
        ("LockedDown", state.locked_down),
        ("Blocked", state.blocked or full(state, settings)),
        ("Accessed", state.grant is not None),
        ("Unlocked", settings.entry == "walk_in"),
    )
    return next((mode for mode, holds in modes if holds), "Locked")


def lock_fault(state: State) -> bool:
    """Return whether the bolt has been open too long with nobody having asked for it."""
    return "LockNotLocked" in [fault.name for fault in state.faults]


def lock_state(state: State, settings: RuleSettings) -> str:
    """Return ONVIF's LockPhysicalState: by the bolt where it is wired, else by the strike."""
    if lock_fault(state):
        return "Fault"
    if "bolt_contact" in settings.lines:
        return state.bolt
    return "Unlocked" if strike_on(state, settings) else "Locked"


def hatch_late(state: State) -> bool:
    """Return whether the oldest at the hatch has waited longer than the hatch's patience."""
    return bool(state.hatch_waiting) and state.timers.get("hatch_patience", 0.0) is None


#: Each output at both levels; made once, since every step looks for what has changed.
_STRIKE, _FULL_LAMP, _HATCH_LIGHT = (
    (Set(name, level=False), Set(name, level=True))
    for name in ("strike", "full_lamp", "hatch_light")
)
_BLINKING = Set("hatch_light", level=True, blink=True)


def wanted(state: State, settings: RuleSettings) -> dict[str, Set]:
    """Return the level that every output should have in this state."""
    light = _HATCH_LIGHT[bool(state.hatch_waiting) or state.locked_open]
    if state.hatch_waiting and hatch_late(state) and not state.locked_open:
        light = _BLINKING
    return {
        "strike": _STRIKE[strike_on(state, settings)],
        "full_lamp": _FULL_LAMP[full(state, settings)],
        "hatch_light": light,
    }


def mark_ms(session: Session, settings: RuleSettings, mark: int) -> float:
    """Return when ``mark`` is due: the warnings, then time's up, then every overtime."""
    end_ms = session.started_ms + settings.session_ms
    if mark < len(settings.warnings_ms):
        return end_ms - settings.warnings_ms[mark]
    return end_ms + (mark - len(settings.warnings_ms)) * settings.overtime_ms


def session_phase(session: Session, settings: RuleSettings) -> str:
    """Return ``running``, ``last_call`` from the first warning on, or ``overtime``."""
    if session.next_mark > len(settings.warnings_ms):
        return "overtime"
    return "last_call" if session.next_mark else "running"


def deadline(state: State, settings: RuleSettings) -> float | None:
    """Return when the rules next need a Tick, or None when nothing is pending."""
    due = [at for at in state.timers.values() if at is not None] if state.timers else []
    if state.session is not None:
        due.append(mark_ms(state.session, settings, state.session.next_mark))
    if state.undos:
        due += [undo.until_ms for undo in state.undos]
    return min(due) if due else None
