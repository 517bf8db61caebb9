"""What is sent of many bars, where a centre has them all: by their live state alone. Pure.

A bar's `state` comes with each change and at least every ten seconds, its `status` when its
controller comes and goes. From these follows what stands at each bar; what begins is sent once, and
once that it is over. While a bar is not heard, what stood there last stands on.

When nothing at all is heard because the centre itself is away, no bar is judged, and that is one
message.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

import msgspec

from controller.notify.decide import (
    OVER_FRESH_S,
    Allowance,
    Memory,
    Snapshot,
    summaries,
)
from controller.notify.notices import Notice, Now, Outgoing, Withdrawal

log = logging.getLogger(__name__)

TOPICS = ("status", "state")
#: A crashed controller is back within two seconds: one that is offline for longer is reported.
OFFLINE_S = 3.0
#: A controller publishes its state every ten seconds; after three misses it hangs, or is cut off.
SILENT_S = 35.0
#: Somebody who has knocked for so long should have been answered.
UNANSWERED_S = 300.0
#: How often all bars are looked at; with the sender's own way a message is out within 5 s.
LOOK_EVERY_S = 1.0
#: Nobody has more bars; nonsense topics at the broker must not cost memory.
MOST_VENUES = 5000
#: What may stand: its kind, how severe it is, and whether its end is a message too.
STANDING: Mapping[str, tuple[str, str, bool]] = {
    "DoorForcedOpen": ("alarm", "critical", True),
    "over_capacity": ("alarm", "critical", True),
    "evacuation": ("alarm", "critical", True),
    "hatch_unanswered": ("knock", "warning", False),
    "door_unanswered": ("door_knock", "warning", False),
    "bar_offline": ("dark", "warning", True),
    "bar_silent": ("dark", "warning", True),
    "old_release": ("fault", "info", False),
    "centre_away": ("dark", "critical", True),
}
#: No release of ours has longer numbers, and Python reads none of thousands of digits.
RELEASE = re.compile(r"\d{1,9}(\.\d{1,9}){0,9}", re.ASCII)
#: Of a release that is none, in a message.
SHOWN = 40
DARK = ("bar_offline", "bar_silent")


class State(Snapshot):
    """The same parts of a snapshot as one bar's messages need, and its release."""

    release: str = ""


_STATE = msgspec.json.Decoder(State)


@dataclass(slots=True)
class Bar:
    """What was heard last of one bar, and when: seconds of `Now.t_s`."""

    heard_s: float
    state: State | None = None
    state_s: float = 0.0
    offline_s: float | None = None

    def dark(self, now: Now) -> str:
        """Return why the bar is not to be heard; "" if it is."""
        if self.offline_s is not None:
            return "bar_offline" if now.t_s - self.offline_s >= OFFLINE_S else ""
        return "bar_silent" if now.t_s - self.heard_s >= SILENT_S else ""


@dataclass(slots=True)
class _Found:
    """What stands at one moment, by its key, with its word and the data of its words."""

    standing: dict[str, tuple[str, Mapping[str, object]]] = field(default_factory=dict)
    #: Keys of bars that are not heard: what stood there stands on.
    unknown: set[str] = field(default_factory=set)


class VenuesDecider:
    """Hears the live state of all bars; ``release`` is this program's own version."""

    #: No life of one controller is named: nothing is ever asked of a bar.
    boot = ""

    def __init__(
        self, now: Now, *, most_an_hour: int, release: str, memory: Memory | None = None
    ) -> None:
        self._most, self._release = most_an_hour, release
        self._bars: dict[str, Bar] = {}
        #: Topics whose last message made no sense: the log has it once.
        self._bad: set[str] = set()
        self._standing = set(memory.standing) if memory else set()
        self._allowances: dict[str, Allowance] = {}
        self._away_s: float | None = now.t_s
        self._looked_s = now.t_s

    def handle(self, name: str, payload: bytes, now: Now) -> list[Outgoing]:
        """Take one message by ``venue/topic``; what makes no sense is ignored."""
        venue, _, what = name.partition("/")
        if what not in TOPICS or not (venue in self._bars or len(self._bars) < MOST_VENUES):
            return []
        try:
            self._take(venue, what, payload, now)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if name not in self._bad and len(self._bad) < MOST_VENUES:
                self._bad.add(name)
                log.warning("%s: ignored until it makes sense, %s", name, error)
            return []
        self._bad.discard(name)
        return self._look(now)

    def _take(self, venue: str, what: str, payload: bytes, now: Now) -> None:
        state = _STATE.decode(payload) if what == "state" else None
        bar = self._bars.setdefault(venue, Bar(now.t_s))
        if state is not None:
            bar.heard_s, bar.state, bar.state_s = now.t_s, state, now.t_s
        elif payload == b"offline":
            bar.offline_s = now.t_s if bar.offline_s is None else bar.offline_s
        else:
            bar.heard_s, bar.offline_s = now.t_s, None

    def broker(self, reached: bool, now: Now) -> None:
        """Take note whether the centre is there; after its return each bar gets its time again."""
        if not reached:
            self._away_s = now.t_s if self._away_s is None else self._away_s
            return
        self._away_s = None
        for bar in self._bars.values():
            bar.heard_s = now.t_s

    def tick(self, now: Now) -> list[Outgoing]:
        """Return what is due by now."""
        return [*self._look(now), *summaries(self._allowances, now)]

    def due_s(self) -> float:
        """Return the `Now.t_s` at which `tick` has something to do."""
        return self._looked_s + LOOK_EVERY_S

    def memory(self) -> Memory:
        """Return what a restart must not forget."""
        return Memory(standing=sorted(self._standing))

    # --- what stands ------------------------------------------------------------------------------

    def _look(self, now: Now) -> list[Outgoing]:
        self._looked_s = now.t_s
        found = self._found(now)
        out: list[Outgoing] = []
        for key in sorted(self._standing - set(found.standing)):
            if key.partition("/")[0] not in found.unknown or key.partition("/")[2] in DARK:
                out += self._ends(key, now)
        for key in sorted(set(found.standing) - self._standing):
            out += self._begins(key, *found.standing[key], now)
        return out

    def _found(self, now: Now) -> _Found:
        found = _Found()
        if self._away_s is not None:
            for key in self._standing - {"/centre_away"}:  # nobody is heard: all stands on
                found.standing[key] = (key.partition("/")[2], {})
            if now.t_s - self._away_s >= SILENT_S:
                found.standing["/centre_away"] = ("centre_away", {})
            return found
        current = self._current()
        found.unknown = {key.partition("/")[0] for key in self._standing} - {"", *self._bars}
        for venue, bar in self._bars.items():
            dark = bar.dark(now)
            if dark:
                found.unknown.add(venue)
                found.standing[f"{venue}/{dark}"] = (dark, {"venue": venue})
            elif bar.offline_s is not None or bar.state is None:
                found.unknown.add(venue)
            else:
                for word, data in _conditions(bar.state, now.t_s - bar.state_s, current):
                    found.standing[f"{venue}/{word}"] = (word, {"venue": venue, **data})
        return found

    def _current(self) -> str:
        """Return the release that each bar should have: this program's, or that of most bars.

        What a single bar says of itself makes no other one old.
        """
        releases = Counter(bar.state.release for bar in self._bars.values() if bar.state)
        ((most, count),) = releases.most_common(1) or [("", 0)]
        return max(self._release, most if 2 * count > releases.total() else "", key=_number)

    def _begins(self, key: str, word: str, data: Mapping[str, object], now: Now) -> list[Outgoing]:
        self._standing.add(key)
        kind, severity, _ = STANDING[word]
        since_s = now.t_s - float(str(data.get("age_s", 0.0)))
        notice = Notice(key, kind, severity, word, since_s, inf, data, standing=True)
        allowance = self._allowances.setdefault(kind, Allowance(self._most))
        return [notice] if allowance.take(now.t_s) else [Withdrawal(key)]

    def _ends(self, key: str, now: Now) -> list[Outgoing]:
        self._standing.discard(key)
        venue, _, word = key.partition("/")
        kind, severity, said = STANDING.get(word, ("", "", False))
        if not said:
            return [Withdrawal(key)]
        until_s, data = now.t_s + OVER_FRESH_S, {"venue": venue}
        return [Notice(key, kind, severity, f"{word}_over", now.t_s, until_s, data, ends=True)]


def _conditions(
    state: State, age_s: float, current: str
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield what stands at a bar that is heard; ``age_s`` is the age of its state."""
    if state.door.alarm == "DoorForcedOpen":
        yield "DoorForcedOpen", {}
    if state.over_capacity:
        yield "over_capacity", {"n": state.occupancy.count}
    if state.door.mode == "LockedOpen":
        yield "evacuation", {}
    hatch_s = (state.hatch.oldest_s or 0.0) + age_s if state.hatch.waiting else 0.0
    if hatch_s >= UNANSWERED_S:
        yield "hatch_unanswered", {"n": state.hatch.waiting, "age_s": hatch_s}
    door_s = state.door_knock.age_s + age_s if state.door_knock else 0.0
    if door_s >= UNANSWERED_S:
        yield "door_unanswered", {"age_s": door_s}
    if _number(state.release) < _number(current):
        yield "old_release", {"release": state.release[:SHOWN] or "?", "newest": current}


def _number(release: str) -> tuple[int, ...]:
    """Return a release as numbers that can be compared; what is none is older than all."""
    return tuple(map(int, release.split("."))) if RELEASE.fullmatch(release) else ()
