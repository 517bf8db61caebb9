"""The self-test on the page: each line as it is proven, what to do next, and the last result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from controller.mqtt.message import Message
from web.language import _, lazy
from web.messages import Json, json_object, number, seconds_since
from web.mirror import Mirror, MirrorView
from web.presentation.labels import LINES, span
from web.presentation.page_view import Notice, Rank, SelfTestPart, Severity

#: The controller publishes every second during a test; after a longer silence it is over.
SILENT_S = 3.0
#: For so long the result is a notice above the room; later it stands beside the button.
FRESH_S = 600.0
#: More lines than a controller can have.
MOST_LINES = 40

STEPS: Mapping[str, Any] = {
    "beam_outer": lazy("Break the outer beam with your hand, and let go."),
    "beam_inner": lazy("Break the inner beam with your hand, and let go."),
    "release_button": lazy("Press the release behind the counter. Do you hear the strike?"),
    "door_contact": lazy("Open the front door, and shut it."),
    "bolt_contact": lazy("Press the release, so that the bolt goes back and comes out again."),
    "exit_button": lazy("Press the exit button."),
    "hatch_contact": lazy("Open the hatch, and shut it."),
    "hatch_knock": lazy("Knock twice at the hatch."),
    "door_knock": lazy("Knock twice at the front door, from outside."),
}


def parse_self_test(message: Message) -> Json:
    """Return the self-test in a message; raise ValueError when it makes no sense."""
    status = json_object(message.payload, running=bool, ok=bool, lines=list)
    shapes = {"line": str, "proven": bool, "edges": int}
    for line in status["lines"]:
        if not isinstance(line, dict) or any(
            not isinstance(line.get(key), kind) for key, kind in shapes.items()
        ):
            raise ValueError("a line without its name, proof or edges")
    if len(status["lines"]) > MOST_LINES:
        raise ValueError(f"{len(status['lines'])} lines are more than {MOST_LINES}")
    inside = status.get("inside", {"min": 0, "max": 0})
    if not isinstance(inside, dict) or not all(_people(inside.get(end)) for end in ("min", "max")):
        raise ValueError("inside are no numbers of people")
    return status


def _people(number: object) -> bool:
    return type(number) is int and number >= 0


class SelfTestView:
    """Follows self-tests through the mirror; `part` is what the page shows of them."""

    def __init__(
        self,
        mirror: Mirror,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mirror, self._monotonic, self._wall = mirror, monotonic, wall
        self._status: Json | None = None
        self._received_s = 0.0
        self._was_empty = False
        mirror.listen(self.receive)

    def receive(self, name: str, message: Message) -> None:
        """Take one message, in the link's thread; one that makes no sense is ignored."""
        if name not in ("self_test", "state"):
            return
        try:
            if name == "state":
                self._receive_state(json_object(message.payload, occupancy=dict))
                return
            status = parse_self_test(message)
        except (ValueError, TypeError):
            return
        # With MQTT 5 live messages have the retain flag as well; a stored one is as old as it says.
        old_s = self._age_s(status) if message.retain else 0.0
        self._status, self._received_s = status, self._monotonic() - old_s
        self._was_empty = False
        self._mirror.wake()

    def _receive_state(self, state: Json) -> None:
        """Once the room was empty after a test, the test counted nobody who is inside later."""
        status = self._status
        if status is not None and state["occupancy"].get("max") == 0:
            self._was_empty = self._was_empty or self._age_s(state) < self._age_s(status)

    def status(self) -> Json | None:
        """Return the running self-test, or the last one; None when there was none yet."""
        status = self._status
        if status is None:
            return None
        silent = self._monotonic() - self._received_s > SILENT_S
        return {**status, "running": status["running"] and not silent}

    def part(self, mirror_view: MirrorView) -> SelfTestPart:
        """Return what the page shows of the self-test."""
        status = self.status()
        running = status if status is not None and status["running"] else None
        fresh = (
            status if status is not None and not running and self._age_s(status) < FRESH_S else None
        )
        left = self._left_words(fresh, mirror_view)
        texts = {"trial": "", "step": "", "left": left}
        states = {
            "test": "testing" if running else "idle",
            "maytest": _may_test(mirror_view),
            "left": "yes" if left else "no",
        }
        return SelfTestPart(
            texts={
                **texts,
                "tested": self._last_words(status, mirror_view),
                **(_running_texts(running) if running else {}),
            },
            states=states,
            notices=(_result(fresh),) if fresh else (),
            lines=_lines(running) if running else (),
        )

    def _left_words(self, status: Json | None, mirror_view: MirrorView) -> str:
        """Return the offer to say that the room is empty; "" if the test counted nobody in."""
        inside = status.get("inside") if status and status.get("verified") else None
        if not inside or self._was_empty or inside["max"] == 0 or _most(mirror_view) == 0:
            return ""
        least, most = inside["min"], inside["max"]
        number = str(most) if least == most else f"{least}–{most}"
        return _("The self-test counted %(n)s in. Nobody there?", n=number)

    def _last_words(self, status: Json | None, mirror_view: MirrorView) -> str:
        if _may_test(mirror_view) == "no":
            return _("only in an empty room")
        if status is None:
            return _("never done yet")
        words = _("every wire proven") if status["ok"] else _("not every wire proven")
        return _("%(what)s, %(age)s ago", what=words, age=span(self._age_s(status)))

    def _age_s(self, status: Json) -> float:
        return max(seconds_since(status.get("at"), self._wall()), 0.0)


def _may_test(mirror_view: MirrorView) -> str:
    """Return `yes` if a test may begin: with guests inside, hands in the beams are guests too."""
    return "yes" if _most(mirror_view) == 0 and not mirror_view.state.get("session") else "no"


def _most(mirror_view: MirrorView) -> object:
    occupancy = mirror_view.state.get("occupancy")
    return occupancy.get("max") if isinstance(occupancy, dict) else None


def _waiting(status: Json) -> list[str]:
    """Return the lines that are not proven yet; the first one is next."""
    return [line["line"] for line in status["lines"] if not line["proven"]]


def _running_texts(status: Json) -> dict[str, str]:
    waiting = _waiting(status)
    done = len(status["lines"]) - len(waiting)
    wires = len(status["lines"])
    heading = _("Self-test: %(n)s of %(all)s wires.", n=done, all=wires)
    step = str(STEPS.get(waiting[0], LINES.get(waiting[0], waiting[0]))) if waiting else ""
    left = _("%(time)s left.", time=span(number(status, "remaining_s")))
    return {"trial": f"{heading} {left}", "step": step, "announce": f"{heading} {step}"}


def _lines(status: Json) -> tuple[tuple[str, str], ...]:
    following = next(iter(_waiting(status)), None)
    return tuple((_tick(line, line["line"] == following), _name(line)) for line in status["lines"])


def _tick(line: Mapping[str, Any], is_next: bool) -> str:
    if line["proven"]:
        return "proven"
    return "next" if is_next else "open"


def _name(line: Mapping[str, Any]) -> str:
    return str(LINES.get(line["line"], line["line"]))


def _result(status: Json) -> Notice:
    if status["ok"]:
        words = _("Self-test: every wire is proven.")
        return Notice(Severity.CALM, words, Rank.TEST_RESULT)
    missing = [_name(line) for line in status["lines"] if not line["proven"]]
    words = _("Self-test: nothing that proves: %(lines)s.", lines=", ".join(missing))
    return Notice(Severity.WARN, words, Rank.TEST_RESULT)
