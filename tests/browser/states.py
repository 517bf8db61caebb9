"""Every state of the house that the page can show, and an evening to look back on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.fake_controller import FakeController, now_iso


def session(left_s: float, phase: str = "running") -> dict[str, Any]:
    end = datetime.now(UTC) + timedelta(seconds=left_s)
    return {
        "started_at": (end - timedelta(hours=2)).isoformat(),
        "ends_at": end.isoformat(),
        "remaining_s": left_s,
        "phase": phase,
    }


def waiting(count: int, oldest_s: float, *, blinking: bool = False) -> dict[str, Any]:
    return {"light": "ON", "waiting": count, "oldest_s": oldest_s, "blinking": blinking}


def letting_in(entered: int, physical: str) -> Callable[[FakeController], None]:
    def show(controller: FakeController) -> None:
        controller.inside(
            1 + entered,
            session=session(7100),
            door={"mode": "Accessed", "physical": physical, "strike": physical == "Closed"},
            grant={"party": 2, "entered": entered, "remaining_s": 3.2},
        )

    return show


def frozen(controller: FakeController) -> None:
    controller.inside(3, session=session(4350))
    controller.heartbeat()
    controller.freeze()


def overtime(controller: FakeController) -> None:
    knock = {"at": now_iso(), "age_s": 12.0, "raps": 3}
    controller.inside(4, session=session(-730, "overtime"), door_knock=knock)


def asked(least: int, most: int, *, expected: int, seen: int) -> Callable[[FakeController], None]:
    question = {
        "kind": "party",
        "id": "8792",
        "expected": expected,
        "seen": seen,
        "answers": list(range(min(expected, seen), max(expected, seen) + 1)),
        "since": now_iso(),
    }

    def show(controller: FakeController) -> None:
        controller.inside(least, most, session=session(7100), question=question)

    return show


def everybody_left(controller: FakeController) -> None:
    question = {"kind": "everybody_left"}
    controller.inside(1, session=session(-240, "overtime"), question=question)


def doubtful_sensors(controller: FakeController) -> None:
    fault = {"name": "BeamStuck", "line": "beam_outer", "since": now_iso()}
    controller.inside(2, session=session(4000), counting="manual", faults=[fault])


STATES: dict[str, Callable[[FakeController], None]] = {
    "empty": lambda controller: controller.inside(0),
    "three": lambda controller: controller.inside(3, session=session(4350)),
    "knock": lambda controller: controller.inside(3, session=session(4350), hatch=waiting(2, 40)),
    "patience": lambda controller: controller.inside(
        3, session=session(4350), hatch=waiting(1, 75, blinking=True)
    ),
    "hatch-open": lambda controller: controller.inside(
        2, session=session(4350), hatch={"open": True}
    ),
    "doubt": lambda controller: controller.inside(2, 3, session=session(3100)),
    "wide-doubt": lambda controller: controller.inside(0, 4, session=session(3100)),
    "asked": asked(2, 4, expected=4, seen=2),
    "asked-and-free": asked(1, 2, expected=2, seen=1),
    "tailgater": asked(2, 3, expected=2, seen=3),
    "everybody-left": everybody_left,
    "last-call": lambda controller: controller.inside(4, session=session(840, "last_call")),
    "overtime": overtime,
    "over-capacity": lambda controller: controller.inside(5, session=session(5000)),
    "letting-in": letting_in(0, "Closed"),
    "door-open": letting_in(1, "Open"),
    "forced": lambda controller: controller.inside(
        1, session=session(5000), door={"alarm": "DoorForcedOpen", "physical": "Open"}
    ),
    "evacuation": lambda controller: controller.inside(
        3, session=session(4000), door={"mode": "LockedOpen", "physical": "Open"}
    ),
    "lock-fault": lambda controller: controller.inside(
        2, session=session(5000), door={"lock": "Fault"}
    ),
    "door-knock": lambda controller: controller.inside(
        0, door_knock={"at": now_iso(), "age_s": 70.0, "raps": 2}
    ),
    "doubt-of-one": lambda controller: controller.inside(1, session=session(3100), certain=False),
    "undo": lambda controller: controller.inside(
        0, undoable=[{"id": "c0ffee", "type": "room_empty", "until": now_iso(-10)}]
    ),
    "lock-down": lambda controller: controller.inside(3, door={"mode": "LockedDown"}),
    "blocked": lambda controller: controller.inside(1, door={"mode": "Blocked"}),
    "manual": doubtful_sensors,
    "staff": lambda controller: controller.inside(2, session=session(4350), staff_pass=True),
    "frozen": frozen,
}


def evening() -> dict[str, Any]:
    """Return a night of four hours with three sessions."""
    at = datetime.now(UTC) - timedelta(hours=4)
    counts = [1, 2, 2, 3, 4, 4, 3, 3, 2, 1, 0, 0, 1, 2, 4, 4, 4, 3, 2, 0, 0, 2, 3, 3]
    points, sessions, knocks = [], [], []
    for index, count in enumerate(counts):
        at += timedelta(minutes=5 + index * 7 % 9)
        points.append([at.isoformat(), count, count - (index in (7, 8)), count])
        if index % 3 == 1:
            knocks.append([(at + timedelta(minutes=2)).isoformat(), ("hatch", "door")[index % 2]])
        if count and not (points[index - 1][1] if index else 0):
            sessions.append({"started_at": at.isoformat(), "ended_at": None})
        if not count and sessions[-1]["ended_at"] is None:
            sessions[-1]["ended_at"] = at.isoformat()
    happened: list[tuple[str, dict[str, Any]]] = [
        ("knock", {"place": "hatch", "raps": 3}),
        ("entry", {"count": 3}),
        ("access_taken", {"expected": 2, "entered": 2}),
        ("access_granted", {"party": 2, "cause": "page"}),
        ("access_denied", {"reason": "CapacityReached", "cause": "button"}),
        ("session_started", {}),
        ("count_adjusted", {"after": {"count": 0}, "cause": "page"}),
        ("hatch_answered", {"cause": "page"}),
    ]
    return {
        "since": points[0][0],
        "points": points,
        "sessions": sessions,
        "knocks": knocks,
        "totals": {"guests": 17, "sessions": 3, "knocks": 8, "denied": 2, "uncertain": 1},
        "last": [
            {"at": now_iso(60 * number + 20), "name": name, "data": data}
            for number, (name, data) in enumerate(happened)
        ],
    }
