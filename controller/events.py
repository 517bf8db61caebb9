"""The vocabulary: what comes in (edges, events, commands) and what goes out (effects).

Everything is frozen and carries its own time. ``t_ms`` is *house time*: milliseconds that only ever
run forward, also across restarts (see ``clock``). Nothing here knows a clock, a pin or a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Why a command was refused. The first six are our own, the rest ONVIF's or plain English."""

    CAPACITY_REACHED = "CapacityReached"
    COUNT_UNCERTAIN = "CountUncertain"
    STALE_COMMAND = "StaleCommand"
    REPLAYED = "Replayed"
    RETAINED = "Retained"
    DOOR_FAULT = "DoorFault"
    FROM_THE_FUTURE = "FromTheFuture"
    MALFORMED = "Malformed"
    UNKNOWN_COMMAND = "UnknownCommand"
    CLOCK_NOT_SET = "ClockNotSet"
    RELEASE_OPEN = "ReleaseOpen"
    DOOR_OPEN = "DoorOpen"
    BLOCKED = "Blocked"
    LOCKED_DOWN = "LockedDown"
    LOCKED_OPEN = "LockedOpen"
    NOT_PERMITTED_AT_THIS_TIME = "NotPermittedAtThisTime"
    NO_OPEN_RELEASE = "NoOpenRelease"
    NOTHING_TO_UNDO = "NothingToUndo"
    TOO_LATE = "TooLate"
    CHANGED_SINCE = "ChangedSince"


#: Inputs that stand at one level or the other: once settled, each is reported as a `Contact`.
SWITCHES = (
    "door_contact",
    "bolt_contact",
    "hatch_contact",
    "release_button",
    "exit_button",
    "evacuate",
)
INPUT_LINES = ("hatch_knock", "door_knock", "beam_outer", "beam_inner", *SWITCHES)
OUTPUT_LINES = ("strike", "hatch_light", "full_lamp", "chime")

#: Every command, and the name of its one parameter on MQTT and HTTP; None if it has none.
COMMANDS: Mapping[str, str | None] = {
    "access_door": "party",
    "release_cancel": None,
    "block_door": None,
    "unblock_door": None,
    "lock_down": None,
    "lock_down_release": None,
    "lock_open": None,
    "lock_open_release": None,
    "set_count": "count",
    "report_wrong": "count",
    "answer_question": "came",
    "staff_pass": None,
    "answer_hatch": None,
    "answer_door": None,
    "room_empty": None,
    "undo": None,
    "self_test": None,
    "watch_wiring": None,
    "ring_chime": "tone",
}
#: Commands that name what they are about, and the key of that name: an id in the snapshot.
REFERENCES: Mapping[str, str] = {"answer_question": "question", "undo": "undoes"}
#: What has no button on the page: the chime is heard only where it rings, and the drawing of the
#: wires asks by itself while somebody looks at it.
WITHOUT_BUTTON = frozenset({"ring_chime", "watch_wiring"})
#: What the page's buttons may ask for.
PAGE_COMMANDS = tuple(name for name in COMMANDS if name not in WITHOUT_BUTTON)
#: A release that names no party is for so many guests.
USUAL_PARTY = 1
#: What `ring_chime` may ring; ``evacuate`` rings for an evacuation and for nothing else.
TONES = ("warning", "time_up", "overtime", "over_capacity")

#: How long each tone sounds, in ms: so long our own chime is no knock.
CHIME_MS = {
    "warning": 800.0,
    "time_up": 3600.0,
    "overtime": 1600.0,
    "over_capacity": 1250.0,
    "evacuate": 15_000.0,
}

#: Every name under which something happens, on MQTT (``event/<name>``), in journal and replay.
EVENTS = (
    "entry",
    "exit",
    "passage_uncertain",
    "passage_aborted",
    "passage_seen",
    "staff_passed",
    "knock",
    "knock_ended",
    "door_opened",
    "door_closed",
    "hatch_opened",
    "hatch_closed",
    "access_granted",
    "access_taken",
    "access_not_taken",
    "release_cancelled",
    "access_denied",
    "command_refused",
    "count_adjusted",
    "reported_wrong",
    "tailgating",
    "question_asked",
    "question_ended",
    "session_started",
    "session_warning",
    "session_time_up",
    "session_overtime",
    "session_ended",
    "session_resumed",
    "undone",
    "over_capacity",
    "over_capacity_ended",
    "door_alarm",
    "door_pre_alarm",
    "door_blocked",
    "door_unblocked",
    "locked_down",
    "lock_down_released",
    "locked_open",
    "lock_open_released",
    "staff_pass",
    "staff_pass_expired",
    "hatch_answered",
    "door_answered",
    "started",
    "self_test_started",
    "self_tested",
    "fault",
    "fault_cleared",
    "output",
    "chime",
)


class Edge(msgspec.Struct, frozen=True, gc=False):
    """One level change on an input line; ``level`` is True when active (beam broken, door open)."""

    t_ms: float
    line: str
    level: bool
    #: Its time is not exact: it was found by re-reading the pin, as the kernel lost an edge, or it
    #: came too late to be taken as it happened.
    resync: bool = False


# --- events of sensing --------------------------------------------------------------------------


class Doorway(msgspec.Struct, frozen=True):
    """The doorway changed: is a beam broken, and how many on their way in are at the inner beam.

    ``coming_in`` counts people whose passage is not decided yet; the verdict (`Passage`) follows.
    """

    t_ms: float
    busy: bool
    coming_in: int = 0


class Passage(msgspec.Struct, frozen=True):
    """One verdict: between ``least`` and ``most`` people went in (negative: out).

    (1, 1) is an entry, (-1, -1) an exit, (0, 0) an aborted passage; anything else is uncertain.
    ``why`` says what made it uncertain or aborted (``turned_back``, ``arm``, ``phantom``, ...).
    ``outer_ms`` and ``inner_ms`` are how long each beam was broken.
    """

    t_ms: float
    least: int
    most: int
    why: str = ""
    outer_ms: float = 0.0
    inner_ms: float = 0.0


class Knock(msgspec.Struct, frozen=True):
    """Somebody knocks at ``place`` ("hatch" or "door"): reported with the rap that decides it."""

    t_ms: float
    place: str
    raps: int


class KnockEnded(msgspec.Struct, frozen=True):
    """The knock at ``place`` is over; ``raps`` is final, ``regular`` the name of a known rhythm."""

    t_ms: float
    place: str
    raps: int
    regular: str = ""


class Contact(msgspec.Struct, frozen=True):
    """A switch settled: door, hatch or bolt contact, a button, the evacuation input."""

    t_ms: float
    line: str
    active: bool


class Opening(msgspec.Struct, frozen=True):
    """The contact of a shut door moves, and has not settled: the door may be opening.

    It is over with the `Contact` that says it is open or, not ``active``, once the contact has
    settled where it was.
    """

    t_ms: float
    active: bool


class Fault(msgspec.Struct, frozen=True):
    """A named fault began or ended; ``line`` is the input or part that it is about.

    ``ahead_s`` is how far another clock is ahead of ours, seconds; negative: behind.
    """

    t_ms: float
    name: str
    line: str
    active: bool
    ahead_s: float | None = None


# --- other events -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """A person asks for something. ``refusal`` is set when the inbox has refused it already."""

    t_ms: float
    name: str
    number: int | None = None
    id: str = ""
    #: Who asked: ``page``, ``mqtt``, ``button``, ``trace``.
    cause: str = "mqtt"
    refusal: Reason | None = None
    #: Which question `answer_question` answers; without it the one that is open.
    question: str = ""
    #: Whose phone it came from, as the page says; "" if nobody said.
    by: str = ""
    #: How old it is, seconds, if that is why it is refused; negative: its clock is ahead of ours.
    age_s: float | None = None
    #: What `undo` takes back: the id of that command; without it ``number`` counts from the newest.
    undoes: str = ""
    #: What of it is `Malformed`: the key, and what it must be.
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """The controller has started; ``doubt`` if people may have passed while it was away."""

    t_ms: float
    doubt: bool


class Tick(msgspec.Struct, frozen=True):
    """Time has reached ``t_ms``: whatever is due by then happens."""

    t_ms: float


Sensed = Doorway | Passage | Knock | KnockEnded | Contact | Opening | Fault
Event = Sensed | Command | Started | Tick


# --- effects ------------------------------------------------------------------------------------


class Set(msgspec.Struct, frozen=True):
    """Bring output ``line`` to this level; ``blink`` is a lit lamp that asks for attention."""

    line: str
    level: bool
    blink: bool = False


@dataclass(frozen=True, slots=True)
class Chime:
    """Ring once: ``warning``, ``time_up``, ``overtime``, ``over_capacity`` or ``evacuate``."""

    tone: str


class Note(msgspec.Struct, frozen=True):
    """One thing that happened, by its name in the contract (`EVENTS`): for journal and MQTT."""

    name: str
    data: Mapping[str, object] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one command."""

    id: str
    ok: bool
    reason: Reason | None = None
    #: What of it is `Malformed`: the key, and what it must be.
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StartSelfTest:
    """Start the self-test: the raw edges of each line are checked."""


@dataclass(frozen=True, slots=True)
class WatchWiring:
    """Publish for a while how each wire stands: somebody looks at the drawing of the header."""


Effect = Set | Chime | Note | Answer | StartSelfTest | WatchWiring
