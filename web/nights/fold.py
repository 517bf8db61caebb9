"""One night's events as numbers: pure, so a night can be folded again whenever one more arrives.

Lengths of time are house time (``t_ms``), which no clock step or summer time changes; hours of the
day are by the local clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from web.nights.events import Event

#: Knocks closer together are the same people, as the hatch light takes them (`[hatch] merge`).
SAME_PEOPLE_MS = 30_000.0
#: Whoever is not answered within ten minutes has gone: they knocked in vain.
IN_VAIN_MS = 600_000.0
#: Waiting is kept in steps of so many seconds.
WAIT_STEP_S = 5
#: What a person changes; a release that is counted by hand is no correction.
BY_PERSON = frozenset(("page", "mqtt", "homeassistant", "telegram", "notify", "terminal", "other"))


class Tally(NamedTuple):
    """How often: ``kind`` and ``word`` say what, ``value`` is minutes or seconds where it has one.

    Kinds: ``stay`` and ``over`` (word: most at once; value: minutes), ``knock`` (word: place),
    ``waited`` (word: place; value: seconds), ``vain`` (word: place), ``refused`` (word: reason),
    ``asked`` (word: kind of question), ``fault`` (word: name).
    """

    kind: str
    word: str
    value: int = 0


class Incident(NamedTuple):
    """Something to list: when, what (``overtime``, ``closed``...), a word and a number."""

    at_s: float
    seq: int
    kind: str
    word: str
    value: int


@dataclass(slots=True)
class Hour:
    """One hour of the clock: who came, and for how long how many were inside."""

    guests: int = 0
    parties: int = 0
    guest_s: float = 0.0
    full_s: float = 0.0


#: The night's totals, in the order of the table.
TOTALS = (
    "guests", "parties", "knocks", "vain", "refused", "asked", "doubted", "corrected", "wrong",
    "tailgated", "over_time", "over_full", "alarms", "restarts", "blind_restarts", "missing",
    "most",
)  # fmt: skip


@dataclass(slots=True)
class Folded:
    """One night: totals, hours of the clock, tallies, and what is listed."""

    totals: Counter[str] = field(default_factory=Counter)
    hours: dict[int, Hour] = field(default_factory=dict)
    tallies: Counter[Tally] = field(default_factory=Counter)
    incidents: list[Incident] = field(default_factory=list)
    #: Somebody has knocked and may yet be answered: fold it again later.
    waiting: bool = False

    @property
    def exact(self) -> bool:
        """Whether nobody had to put the count right, and the controller was sure of it."""
        wrong = ("corrected", "wrong", "blind_restarts", "missing")
        return self.totals["parties"] > 0 and not any(self.totals[name] for name in wrong)


class _Waiting(NamedTuple):
    """Somebody at a place who has not been answered: since when, and when they knocked last."""

    since_ms: float
    since_s: float
    last_ms: float


class _Tap(NamedTuple):
    """What the newest change of the count by a person or a release added; it may be taken back."""

    guests: int
    hour: int
    corrected: int


class _Stay(NamedTuple):
    """The session that ended last, and what was counted of it; its end may be taken back."""

    session: Event | None
    party: int
    time_up_ms: float | None
    tallies: tuple[Tally, ...]


class _Fold:
    """The state while the events of a night go by.

    A tap that was taken back counts as never given: what it added is taken out again.
    """

    def __init__(self, capacity: int) -> None:
        self.out = Folded()
        self._capacity = capacity
        self._count = 0
        self._most = 0
        self._before: tuple[float, float] | None = None  # t_ms, at_s
        self._session: Event | None = None
        self._party = 0
        self._time_up_ms: float | None = None
        self._waiting: dict[str, list[_Waiting]] = {"hatch": [], "door": []}
        self._hatch_open = False
        self._tap: _Tap | None = None
        self._ended: _Stay | None = None
        self._last_answer: dict[str, list[tuple[_Waiting, Tally]]] = {"hatch": [], "door": []}
        self._taken_back_ms = -1.0

    def add(self, event: Event) -> None:
        self._pass_time(event)
        if event.name in FOLDS:
            FOLDS[event.name](self, event)

    # --- people ---------------------------------------------------------------------------------

    def _pass_time(self, event: Event) -> None:
        """Share the time since the last event among the hours of the clock."""
        if self._before is not None and self._count > 0:
            t_ms, at_s = self._before
            for hour, seconds in by_hour(at_s, max(event.t_ms - t_ms, 0.0) / 1000):
                row = self._hour(hour)
                row.guest_s += seconds * self._count
                row.full_s += seconds * (self._most >= self._capacity)
        self._before = (event.t_ms, event.at_s)

    def _hour(self, hour: int) -> Hour:
        return self.out.hours.setdefault(hour, Hour())

    def _now(self, event: Event) -> Hour:
        return self._hour(local_time(event.at_s).hour)

    def _people(self, event: Event, count: object) -> None:
        """Take the count as it is now; each rise is guests who came."""
        if not isinstance(count, dict) or not isinstance(count.get("count"), int):
            return
        now, most = count["count"], count.get("max")
        came = max(now - self._count, 0)
        if came:
            self.out.totals["guests"] += came
            self._now(event).guests += came
        self._count, self._most = now, most if isinstance(most, int) else now
        self._party = max(self._party, now)
        self.out.totals["most"] = max(self.out.totals["most"], now)

    def passed(self, event: Event) -> None:
        self._people(event, event.data)

    def uncertain(self, event: Event) -> None:
        self.out.totals["doubted"] += 1
        self._people(event, event.data.get("occupancy"))

    def adjusted(self, event: Event) -> None:
        before, after = event.data.get("before"), event.data.get("after")
        if not isinstance(before, dict) or not isinstance(after, dict):
            return
        if event.t_ms == self._taken_back_ms:
            self._put_back(after)
            return
        self._count = before["count"] if isinstance(before.get("count"), int) else self._count
        guests = self.out.totals["guests"]
        corrected = int(
            event.data.get("cause") in BY_PERSON and before.get("count") != after.get("count")
        )
        self.out.totals["corrected"] += corrected
        self._people(event, after)
        came = self.out.totals["guests"] - guests
        self._tap = _Tap(came, local_time(event.at_s).hour, corrected)

    def _put_back(self, after: dict[str, int]) -> None:
        """Take the count as it was before a tap that was taken back."""
        if self._tap is not None:
            self.out.totals["guests"] -= self._tap.guests
            self._hour(self._tap.hour).guests -= self._tap.guests
            self.out.totals["corrected"] -= self._tap.corrected
        self._tap = None
        self._count = after["count"] if isinstance(after.get("count"), int) else self._count
        most = after.get("max")
        self._most = most if isinstance(most, int) else self._count

    def undone(self, event: Event) -> None:
        command = event.data.get("command")
        if command == "report_wrong":
            self.out.totals["wrong"] -= 1
        place = {"answer_hatch": "hatch", "answer_door": "door"}.get(str(command))
        if place is None:
            self._taken_back_ms = event.t_ms
            return
        for waiting, tally in self._last_answer[place]:
            self.out.totals["vain"] -= tally.kind == "vain"
            self.out.tallies[tally] -= 1
            self._waiting[place].append(waiting)
        self._last_answer[place] = []

    # --- sessions -------------------------------------------------------------------------------

    def session_started(self, event: Event) -> None:
        self.out.totals["parties"] += 1
        self._now(event).parties += 1
        self._session, self._party, self._time_up_ms = event, self._count, None

    def time_up(self, event: Event) -> None:
        self._time_up_ms = event.t_ms

    def session_ended(self, event: Event) -> None:
        session, self._session = self._session, None
        if event.data.get("reason") == "undo":  # it began by a tap that was taken back
            if session is not None:
                self.out.totals["parties"] -= 1
                self._hour(local_time(session.at_s).hour).parties -= 1
            return
        lasted_ms = 1000 * float(event.data.get("lasted_s") or 0.0)
        if session is not None:
            lasted_ms = event.t_ms - session.t_ms
        size = str(max(self._party, 1))
        tallies = [Tally("stay", size, minutes(lasted_ms))]
        if self._time_up_ms is not None and event.t_ms > self._time_up_ms:
            over = minutes(event.t_ms - self._time_up_ms)
            tallies.append(Tally("over", size, over))
            since_s = event.at_s - lasted_ms / 1000
            self.out.totals["over_time"] += 1
            self.out.incidents.append(Incident(since_s, event.seq, "overtime", size, over))
        self.out.tallies.update(tallies)
        self._ended = _Stay(session, self._party, self._time_up_ms, tuple(tallies))
        self._party, self._time_up_ms = 0, None

    def session_resumed(self, _event: Event) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        self._session, self._party, self._time_up_ms = ended[:3]
        self.out.tallies.subtract(ended.tallies)
        if len(ended.tallies) > 1:
            self.out.totals["over_time"] -= 1
            self.out.incidents.remove(
                next(i for i in reversed(self.out.incidents) if i.kind == "overtime")
            )

    # --- knocks ---------------------------------------------------------------------------------

    def knock(self, event: Event) -> None:
        place = str(event.data.get("place"))
        queue = self._waiting.get(place)
        if queue is None:
            return
        if queue and event.t_ms - queue[-1].last_ms <= SAME_PEOPLE_MS:
            queue[-1] = queue[-1]._replace(last_ms=event.t_ms)
            return
        self.out.totals["knocks"] += 1
        self.out.tallies[Tally("knock", place)] += 1
        queue.append(_Waiting(event.t_ms, event.at_s, event.t_ms))
        if place == "hatch" and self._hatch_open:
            self._answered("hatch", event.t_ms)

    def _answered(self, place: str, t_ms: float) -> None:
        self._last_answer[place] = [
            (waiting, self._close(place, t_ms - waiting.since_ms))
            for waiting in self._waiting[place]
        ]
        self._waiting[place].clear()

    def _close(self, place: str, waited_ms: float) -> Tally:
        """Count how long somebody waited, or that it was in vain; return as what."""
        in_vain = waited_ms > IN_VAIN_MS
        step = WAIT_STEP_S * round(max(waited_ms, 0.0) / 1000 / WAIT_STEP_S)
        tally = Tally("vain", place) if in_vain else Tally("waited", place, step)
        self.out.totals["vain"] += in_vain
        self.out.tallies[tally] += 1
        return tally

    def hatch(self, event: Event) -> None:
        self._hatch_open = event.name == "hatch_opened" or (
            self._hatch_open and event.name != "hatch_closed"
        )
        if event.name != "hatch_closed":
            self._answered("hatch", event.t_ms)

    def door(self, event: Event) -> None:
        self._answered("door", event.t_ms)

    # --- what is counted and listed -------------------------------------------------------------

    def refused(self, event: Event) -> None:
        self.out.totals["refused"] += 1
        self.out.tallies[Tally("refused", str(event.data.get("reason")))] += 1

    def asked(self, event: Event) -> None:
        self.out.totals["asked"] += 1
        self.out.tallies[Tally("asked", str(event.data.get("kind")))] += 1

    def fault(self, event: Event) -> None:
        name = str(event.data.get("name"))
        self.out.tallies[Tally("fault", name)] += 1
        self.out.totals["wrong"] += name == "CountUnderflow"
        self.out.incidents.append(Incident(event.at_s, event.seq, "fault", name, 0))

    def started(self, event: Event) -> None:
        doubt = int(bool(event.data.get("doubt")))
        self.out.totals["restarts"] += 1
        self.out.totals["blind_restarts"] += doubt
        self.out.incidents.append(Incident(event.at_s, event.seq, "restart", "", doubt))

    def total(self, event: Event) -> None:
        alarm = event.name == "door_alarm"
        if not alarm or event.data.get("alarm") != "Normal":
            self.out.totals[COUNTED[event.name]] += 1

    def shut(self, event: Event) -> None:
        kind = "closed" if event.name in CLOSING else "opened"
        self.out.incidents.append(Incident(event.at_s, event.seq, kind, CLOSURES[event.name], 0))

    def finish(self, now_s: float) -> Folded:
        """Return the night as it stands at ``now_s``; who still waits may yet be answered."""
        for place, queue in self._waiting.items():
            for waiting in queue:
                waited_ms = 1000 * (now_s - waiting.since_s)
                if waited_ms > IN_VAIN_MS:
                    self._close(place, waited_ms)
                else:
                    self.out.waiting = True
        return self.out


COUNTED = {
    "reported_wrong": "wrong",
    "tailgating": "tailgated",
    "over_capacity": "over_full",
    "door_alarm": "alarms",
}
#: Events that close the door to guests, and those that end it: what kind of closing it is.
CLOSING = {"door_blocked": "blocked", "locked_down": "lock_down", "locked_open": "evacuation"}
OPENING = {
    "door_unblocked": "blocked",
    "lock_down_released": "lock_down",
    "lock_open_released": "evacuation",
}
CLOSURES = CLOSING | OPENING

FOLDS: dict[str, Callable[[_Fold, Event], None]] = {
    "entry": _Fold.passed,
    "exit": _Fold.passed,
    "passage_uncertain": _Fold.uncertain,
    "count_adjusted": _Fold.adjusted,
    "session_started": _Fold.session_started,
    "session_time_up": _Fold.time_up,
    "session_ended": _Fold.session_ended,
    "session_resumed": _Fold.session_resumed,
    "undone": _Fold.undone,
    "knock": _Fold.knock,
    "hatch_opened": _Fold.hatch,
    "hatch_closed": _Fold.hatch,
    "hatch_answered": _Fold.hatch,
    "door_answered": _Fold.door,
    "door_opened": _Fold.door,
    "access_granted": _Fold.door,
    "access_denied": _Fold.refused,
    "question_asked": _Fold.asked,
    "fault": _Fold.fault,
    "started": _Fold.started,
    **dict.fromkeys(COUNTED, _Fold.total),
    **dict.fromkeys(CLOSURES, _Fold.shut),
}


def fold(events: Iterable[Event], capacity: int, now_s: float) -> Folded:
    """Return one night's numbers as they stand at ``now_s`` (seconds since 1970).

    ``events`` are in their order; with ``capacity`` guests inside the house is full.
    """
    night = _Fold(capacity)
    for event in events:
        night.add(event)
    return night.finish(now_s)


def minutes(ms: float) -> int:
    """Return whole minutes, rounded."""
    return round(ms / 60_000)


def local_time(at_s: float) -> datetime:
    """Return a moment by the local clock."""
    return datetime.fromtimestamp(at_s, UTC).astimezone()


def by_hour(at_s: float, seconds: float) -> Sequence[tuple[int, float]]:
    """Share so many seconds from a moment on among the local hours that they fall into."""
    parts = []
    while seconds > 0:
        local = local_time(at_s)
        part_s = min(seconds, 3600 - local.minute * 60 - local.second - local.microsecond / 1e6)
        parts.append((local.hour, part_s))
        at_s, seconds = at_s + part_s, seconds - part_s
    return parts
