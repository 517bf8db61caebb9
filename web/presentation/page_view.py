"""What the page shows, as one frozen value, joined from the parts that three modules make.

The template draws it the first time (all that a browser without scripting needs); the script only
puts newer texts and states into the same places. A *text* stands in a place of the page, a *state*
says how something is drawn; both are found by the name of their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from operator import attrgetter

from web.messages import Json


class Severity(StrEnum):
    """How serious a notice is: its class in the style sheet."""

    ALARM = "alarm"
    KNOCK = "knock"
    WARN = "warn"
    CALM = "calm"


class Rank(IntEnum):
    """Which notice stands above which: the lowest first, equal ones as they were made."""

    REFUSAL = 0  # whoever pressed the button looks for it now, for six seconds
    ALARM = 1
    TEST_RESULT = 2  # whoever tested the wires stands there and waits for it
    EXPECTED_PARTY = 3
    KNOCK = 4
    NOTE = 5


@dataclass(frozen=True, slots=True)
class Notice:
    """A line that somebody should read."""

    severity: Severity
    text: str
    rank: Rank = Rank.NOTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one module adds to the page."""

    texts: Mapping[str, str]
    states: Mapping[str, str]
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomPart(Part):
    """The room: ``ring`` is the part of the session that is left, as an SVG dash array.

    ``knock`` has the number of knocks so far (`n`), the `place` of the last one, and whether it
    must make no noise (`quiet`). ``alerts`` has for each kind of alarm how many there were, whether
    its reason still stands, and whether it makes no noise (1 or 0).
    """

    ring: str
    knock: Json
    alerts: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestPart(Part):
    """A self-test: each of its ``lines`` is `proven`, `next` or `open`, with its name."""

    lines: tuple[tuple[str, str], ...]


def _in_order(notices: list[Notice]) -> tuple[Notice, ...]:
    """Return the notices sorted; a knock that may be the expected party is said once."""
    named = any(notice.rank is Rank.EXPECTED_PARTY for notice in notices)
    kept = [notice for notice in notices if not (named and notice.rank is Rank.KNOCK)]
    return tuple(sorted(kept, key=attrgetter("rank")))


@dataclass(frozen=True, slots=True)
class PageView:
    """Everything that the page shows of the room, the bookings and the self-test."""

    texts: Mapping[str, str]
    states: Mapping[str, str]
    notices: tuple[Notice, ...]
    ring: str
    knock: Json
    alerts: Json
    lines: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        room: RoomPart,
        bookings: Part | None,
        self_test: SelfTestPart,
        centre: Part | None = None,
    ) -> PageView:
        """Join the parts; the place of a part that is None stays away.

        ``bookings`` is None without a calendar, ``centre`` for a bar without a centre.
        A running self-test replaces the room's `announce`. What it left inside is asked for unless
        the room asks something itself.
        """
        parts = [part for part in (room, bookings, self_test, centre) if part]
        texts: dict[str, str] = {}
        states: dict[str, str] = {}
        notices: list[Notice] = []
        for part in parts:
            texts.update(part.texts)
            states.update(part.states)
            notices.extend(part.notices)
        if room.states["asked"] == "none" and states.get("left") == "yes":
            texts["asked"], states["asked"], states["settle"] = texts["left"], "left", "calm"
        due = states.get("due", "none")
        if states.get(due) in ("yes", "ask"):
            states[due] = "due" if states[due] == "yes" else "ask"
        return cls(
            texts, states, _in_order(notices), room.ring, room.knock, room.alerts, self_test.lines
        )

    def as_dict(self) -> Json:
        """Return it as the page's script reads it.

        `t` are texts and `s` states, as openapi.yaml says: an open page of the version before an
        upgrade must understand it, or it would never find that it has to load anew.
        """
        return {
            "t": self.texts,
            "s": self.states,
            "ring": self.ring,
            "notices": [(notice.severity, notice.text) for notice in self.notices],
            "knock": self.knock,
            "alerts": self.alerts,
            "trial": self.lines,
        }
