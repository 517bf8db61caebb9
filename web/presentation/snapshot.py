"""One snapshot of the room, read with care: what is missing or makes no sense has its default."""

from __future__ import annotations

from web.language import _
from web.messages import Json, number
from web.presentation.labels import reason_words

USUAL_CAPACITY = 4
MOST_CAPACITY = 20


class Room:
    """One snapshot, read with care."""

    def __init__(self, state: Json) -> None:
        self.state = state
        self.link: str = state["link"]
        self.known = "occupancy" in state
        self.occupancy: Json = self._part("occupancy")
        self.door: Json = self._part("door")
        self.hatch: Json = self._part("hatch")
        self.session: Json = self._part("session")
        self.grant: Json = self._part("grant")
        self.question: Json = self._part("question")
        self.capacity = capacity(state)
        self.least = int(number(self.occupancy, "min"))
        self.most = int(number(self.occupancy, "max"))
        self.count = int(number(self.occupancy, "count"))
        self.certain = bool(self.occupancy.get("certain", False))
        self.mode = str(self.door.get("mode", "Unknown"))
        self.party = int(number(self.grant, "party"))
        self.entered = int(number(self.grant, "entered"))
        self.expected = max(0, self.party - self.entered)
        self.free = int(number(self.occupancy, "free_places", self.capacity - self.most))
        self.over = bool(state.get("over_capacity"))
        self.left_s = number(self.session, "remaining_s")

    def _part(self, name: str) -> Json:
        value = self.state.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def faults(self) -> list[object]:
        """The faults that stand."""
        faults = self.state.get("faults")
        return faults if isinstance(faults, list) else []

    @property
    def lock_fault(self) -> bool:
        """Whether the lock does not do what it should: nobody can be let in."""
        return self.door.get("lock") == "Fault"

    @property
    def releasing(self) -> bool:
        """Whether a release is open, so that it can be stopped."""
        shut = self.mode in ("LockedOpen", "LockedDown", "Blocked")
        return bool(self.grant) and not self.grant.get("cancelled") and not shut

    @property
    def phase(self) -> str:
        """The session's phase: `none`, `running`, `last_call` or `overtime`."""
        if not self.session:
            return "none"
        return "overtime" if self.left_s <= 0 else str(self.session.get("phase", "running"))

    @property
    def asked(self) -> str:
        """What the house asks: `party` (how many came in), `left` (has everybody), or `none`."""
        kinds = {"party": "party" if self.answers else "none", "everybody_left": "left"}
        return kinds.get(str(self.question.get("kind")), "none")

    @property
    def answers(self) -> list[object]:
        """The numbers of guests that can have come in."""
        answers = self.question.get("answers")
        return answers if isinstance(answers, list) else []

    @property
    def shut(self) -> str:
        """Why nobody may be let in at all, in words; "" when somebody may."""
        if reason := self._shut_reason():
            if reason == "CountUncertain" and self.asked == "party":
                return _("say first how many came in")
            return reason_words(reason)
        return ""

    def _shut_reason(self) -> str:
        """Return the first reason against letting anybody in, in the controller's order."""
        full = "CapacityReached" if self.least >= self.capacity else "CountUncertain"
        against = (
            (self.mode == "LockedOpen", "LockedOpen"),
            (self.mode == "LockedDown", "LockedDown"),
            (self.lock_fault, "DoorFault"),
            (self.free <= 0, full),
            (self.mode == "Blocked", "Blocked"),
            (bool(self.grant), "ReleaseOpen"),
            (self.door.get("physical") == "Open", "DoorOpen"),
        )
        return next((reason for stands, reason in against if stands), "")


def capacity(state: Json) -> int:
    """Return how many the house takes, 1 to 20; 4 while nothing is known."""
    occupancy = state.get("occupancy")
    known = number(occupancy, "capacity", USUAL_CAPACITY) if isinstance(occupancy, dict) else 4
    return min(max(int(known), 1), MOST_CAPACITY)
