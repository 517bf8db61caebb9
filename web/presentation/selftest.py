"""The self-test on the page: each wire ticked off live, what to do next, how the last one ended."""

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

#: The controller speaks every second while it tests; silent for longer, the test is over.
SILENT_S = 3.0
#: So long the result stands above the room; later it is told beside the key.
FRESH_S = 600.0
#: More wires than a house can have are nobody's.
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


def told_by(message: Message) -> Json:
    """Return what a message says of a self-test; raises ValueError when it makes no sense."""
    told = json_object(message.payload, running=bool, ok=bool, lines=list)
    shapes = {"line": str, "proven": bool, "edges": int}
    for line in told["lines"]:
        if not isinstance(line, dict) or any(
            not isinstance(line.get(key), kind) for key, kind in shapes.items()
        ):
            raise ValueError("a line without its name, proof or edges")
    if len(told["lines"]) > MOST_LINES:
        raise ValueError(f"{len(told['lines'])} lines are more than {MOST_LINES}")
    inside = told.get("inside", {"min": 0, "max": 0})
    if not isinstance(inside, dict) or not all(_people(inside.get(end)) for end in ("min", "max")):
        raise ValueError("inside are no numbers of people")
    return told


def _people(number: object) -> bool:
    return type(number) is int and number >= 0


class SelfTestView:
    """Hears of self-tests beside the mirror; ``shown`` puts them on the page."""

    def __init__(
        self,
        mirror: Mirror,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mirror, self._monotonic, self._wall = mirror, monotonic, wall
        self._told: Json | None = None
        self._heard_s = 0.0
        self._emptied = False
        mirror.listen(self.hear)

    def hear(self, name: str, message: Message) -> None:
        """Take one message in (link's thread); what makes no sense is ignored."""
        if name not in ("self_test", "state"):
            return
        try:
            if name == "state":
                self._hear_state(json_object(message.payload, occupancy=dict))
                return
            told = told_by(message)
        except (ValueError, TypeError):
            return
        # With MQTT 5 live ones are marked as retained too; what the broker kept is as old as it is.
        old_s = self._age_s(told) if message.retain else 0.0
        self._told, self._heard_s = told, self._monotonic() - old_s
        self._emptied = False
        self._mirror.wake()

    def _hear_state(self, state: Json) -> None:
        """Once the room was empty after a test, whoever is inside later is none of its making."""
        told = self._told
        if told is not None and state["occupancy"].get("max") == 0:
            self._emptied = self._emptied or self._age_s(state) < self._age_s(told)

    def told(self) -> Json | None:
        """Return the running self-test, or the last one; None when none was heard of."""
        told = self._told
        if told is None:
            return None
        silent = self._monotonic() - self._heard_s > SILENT_S
        return {**told, "running": told["running"] and not silent}

    def part(self, mirror_view: MirrorView) -> SelfTestPart:
        """Return what the page shows of the self-test."""
        told = self.told()
        running = told if told is not None and told["running"] else None
        fresh = told if told is not None and not running and self._age_s(told) < FRESH_S else None
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
                "tested": self._last_words(told, mirror_view),
                **(_running_texts(running) if running else {}),
            },
            states=states,
            notices=(_result(fresh),) if fresh else (),
            lines=_lines(running) if running else (),
        )

    def _left_words(self, told: Json | None, mirror_view: MirrorView) -> str:
        """Offer to say that the room is empty, if the test counted somebody in."""
        inside = told.get("inside") if told and told.get("verified") else None
        if not inside or self._emptied or inside["max"] == 0 or _most(mirror_view) == 0:
            return ""
        least, most = inside["min"], inside["max"]
        number = str(most) if least == most else f"{least}–{most}"
        return _("The self-test counted %(n)s in. Nobody there?", n=number)

    def _last_words(self, told: Json | None, mirror_view: MirrorView) -> str:
        if _may_test(mirror_view) == "no":
            return _("only in an empty room")
        if told is None:
            return _("never done yet")
        words = _("every wire proven") if told["ok"] else _("not every wire proven")
        return _("%(what)s, %(age)s ago", what=words, age=span(self._age_s(told)))

    def _age_s(self, told: Json) -> float:
        return max(seconds_since(told.get("at"), self._wall()), 0.0)


def _may_test(mirror_view: MirrorView) -> str:
    """Tell whether the controller would begin one: hands in the beams would be guests."""
    return "yes" if _most(mirror_view) == 0 and not mirror_view.state.get("session") else "no"


def _most(mirror_view: MirrorView) -> object:
    occupancy = mirror_view.state.get("occupancy")
    return occupancy.get("max") if isinstance(occupancy, dict) else None


def _waiting(told: Json) -> list[str]:
    """Return the lines that are not proven yet; the first one is next."""
    return [line["line"] for line in told["lines"] if not line["proven"]]


def _running_texts(told: Json) -> dict[str, str]:
    waiting = _waiting(told)
    done = len(told["lines"]) - len(waiting)
    heading = _("Self-test: %(n)s of %(all)s wires.", n=done, all=len(told["lines"]))
    step = str(STEPS.get(waiting[0], LINES.get(waiting[0], waiting[0]))) if waiting else ""
    left = _("%(time)s left.", time=span(number(told, "remaining_s")))
    return {"trial": f"{heading} {left}", "step": step, "announce": f"{heading} {step}"}


def _lines(told: Json) -> tuple[tuple[str, str], ...]:
    following = next(iter(_waiting(told)), None)
    return tuple((_tick(line, line["line"] == following), _name(line)) for line in told["lines"])


def _tick(line: Mapping[str, Any], is_next: bool) -> str:
    if line["proven"]:
        return "proven"
    return "next" if is_next else "open"


def _name(line: Mapping[str, Any]) -> str:
    return str(LINES.get(line["line"], line["line"]))


def _result(told: Json) -> Notice:
    if told["ok"]:
        words = _("Self-test: every wire is proven.")
        return Notice(Severity.CALM, words, Rank.TEST_RESULT)
    missing = [_name(line) for line in told["lines"] if not line["proven"]]
    words = _("Self-test: nothing that proves: %(lines)s.", lines=", ".join(missing))
    return Notice(Severity.WARN, words, Rank.TEST_RESULT)
