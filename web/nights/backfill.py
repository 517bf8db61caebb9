"""Which events to ask the controllers for, and until when later ones wait for them.

A broker loses what it has not delivered when it dies, or when its queue is full. The controller's
journal has it all. So after each connection every controller is asked for what is newer than the
newest that came, and for each hole in the numbers; what the journal does not have either is gone,
and stays a gap that is shown. An event that makes no sense leaves its hole, which is asked for
again much later, and holds up no other one.

Nothing here sends or reads; time comes in with each call, in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from web.messages import json_object
from web.nights.database import Row
from web.nights.events import LAST_SEQ, Event, event_of
from web.nights.gaps import Hole, holes, newest

#: Who does not answer is asked again after the first, then twice as long each time up to the last.
ASK_AGAIN_S = (5.0, 600.0)
#: The centre of many bars gets events in their order. For all answers together they wait so long,
#: no longer: a controller that is off, or older than this, answers nothing.
HOLD_S = 60.0


class Request(NamedTuple):
    """Ask this venue for events with numbers above ``after``, up to ``until`` or the newest."""

    venue: str
    after: int
    until: int | None


class Answer(NamedTuple):
    """All events that the journal has, above ``after`` up to ``until``; ``newest`` is its last.

    ``refused`` says of each event that made no sense why.
    """

    after: int
    until: int
    newest: int
    events: list[Event]
    refused: Sequence[str] = ()


class Searched(NamedTuple):
    """A journal was asked for what is above ``after`` up to ``until``, and is again at ``again_s``.

    That is never, unless some of it could not be read.
    """

    after: int
    until: int
    again_s: float


def read_answer(venue: str, payload: bytes) -> Answer:
    """Return the answer of a message; raise ValueError for one that no controller of ours sends."""
    fields = json_object(payload, after=int, until=int, newest=int, events=list)
    after, until, last = fields["after"], fields["until"], fields["newest"]
    if not 0 <= after <= until < LAST_SEQ or not 0 <= last < LAST_SEQ:
        raise ValueError("after, until and newest are no numbers of events")
    events, refused = [], []
    for one in fields["events"]:
        try:
            events.append(_event(venue, one))
        except ValueError as error:
            refused.append(str(error))
    return Answer(after, until, last, events, refused)


def _event(venue: str, fields: object) -> Event:
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
        raise ValueError("event is missing")
    return event_of(venue, fields["event"], fields)


@dataclass
class _Asking:
    """A request that is not answered: its ``after``, when it is sent again, and the wait then."""

    again_s: float
    wait_s: float
    after: int = -1


class Backfill:
    """What is missing in one store, of all its venues."""

    def __init__(self) -> None:
        self._holes: dict[str, list[Hole]] = {}
        self._newest: dict[str, int] = {}
        #: Venues that are to be asked for their newest events.
        self._behind: set[str] = set()
        #: What each journal was asked for and has answered: the rest of it is gone for good.
        self._searched: dict[str, list[Searched]] = {}
        self._asking: dict[str, _Asking] = {}
        #: Since when a venue's events wait, until it has no hole to be asked for.
        self._held_since_s: dict[str, float] = {}

    def found(self, seen: Sequence[Row]) -> None:
        """Take the ranges of numbers that are in the store, in the order of `gaps.gaps`."""
        before, self._newest = self._newest, newest(seen)
        self._holes = holes(seen)
        for venue, number in self._newest.items():
            if number < before.get(venue, 0):  # a new journal, with numbers of its own
                self._searched.pop(venue, None)

    def up(self) -> None:
        """Note that the broker is there (again): it may have lost the newest, and our requests."""
        self._behind = set(self._newest)
        self._asking.clear()

    def due(self, now_s: float) -> list[Request]:
        """Return what to ask now, one request a venue at most."""
        requests = []
        for venue in self._newest:
            self._search_again(venue, now_s)
            request = self._next(venue)
            if request is not None and self._is_due(request, now_s):
                requests.append(request)
        return requests

    def _is_due(self, request: Request, now_s: float) -> bool:
        first_s, longest_s = ASK_AGAIN_S
        asking = self._asking.setdefault(request.venue, _Asking(now_s, first_s))
        if now_s < asking.again_s:
            return False
        asking.after = request.after
        asking.again_s = now_s + asking.wait_s
        asking.wait_s = min(2 * asking.wait_s, longest_s)
        return True

    def _search_again(self, venue: str, now_s: float) -> None:
        """Forget what was searched for and not read, when it is time to try once more."""
        searched = self._searched.get(venue, [])
        self._searched[venue] = [part for part in searched if part.again_s > now_s]

    def answered(self, venue: str, answer: Answer, now_s: float) -> None:
        """Note what a journal has been searched for: as it was asked to, and some way on."""
        asking = self._asking.get(venue)
        stands = answer.after == answer.until < answer.newest
        if asking is None or asking.after != answer.after or stands:
            return
        del self._asking[venue]
        again_s = now_s + ASK_AGAIN_S[1] if answer.refused else inf
        part = Searched(answer.after, answer.until, again_s)
        self._searched[venue] = _joined([*self._searched.get(venue, ()), part])
        if answer.until >= answer.newest:
            self._behind.discard(venue)

    def hold(self, venue: str, now_s: float) -> int | None:
        """Return the number above which a venue's events wait for an answer; None for no wait."""
        hole = self._first_hole(venue)
        if hole is None:
            self._held_since_s.pop(venue, None)
            return None
        since_s = self._held_since_s.setdefault(venue, now_s)
        return hole.after if now_s - since_s < HOLD_S else None

    def _next(self, venue: str) -> Request | None:
        hole = self._first_hole(venue)
        if hole is not None:
            return Request(*hole)
        if venue in self._behind:
            return Request(venue, self._unsearched(venue, self._newest[venue]), None)
        return None

    def _first_hole(self, venue: str) -> Hole | None:
        """Return the first hole, or its rest, that the journal was not asked for."""
        for hole in self._holes.get(venue, ()):
            after = self._unsearched(venue, hole.after)
            if after < hole.until:
                return hole._replace(after=after)
        return None

    def _unsearched(self, venue: str, after: int) -> int:
        for part in self._searched.get(venue, ()):
            if part.after <= after < part.until:
                after = part.until
        return after


def _joined(parts: list[Searched]) -> list[Searched]:
    """Return ranges in their order, those that touch as one if they are searched again together."""
    joined: list[Searched] = []
    for part in sorted(parts):
        last = joined[-1] if joined else None
        if last is not None and part.after <= last.until and part.again_s == last.again_s:
            joined[-1] = last._replace(until=max(last.until, part.until))
        else:
            joined.append(part)
    return joined
