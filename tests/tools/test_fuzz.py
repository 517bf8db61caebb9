"""Bytes from a stranger, 300 cases at each place that reads some; ``make fuzz`` gives more.

Sixty where each case is a page drawn five times.
"""

from __future__ import annotations

import json

import pytest

from tests.tools import fuzz, fuzz_heard


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_nothing_escapes(name: str) -> None:
    fuzz.run(name, 60 if name == "heard" else 300)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_the_true_examples_are_good(name: str) -> None:
    for seed in fuzz.SEEDS[name]:
        fuzz.TARGETS[name](seed)


NOW = fuzz_heard.NIGHT["since"]
NEVER = 10**12  # people, of whom a page once wanted to draw each: all of the machine's memory
ONCE_BROKE = {
    "more people than there are, in the night": ("night", {"points": [[NOW, NEVER, 0, NEVER]]}),
    "a room for more people than there are": (
        "state",
        fuzz_heard.STATE | {"occupancy": fuzz_heard.STATE["occupancy"] | {"capacity": NEVER}},
    ),
    "a room for nobody": (
        "state",
        fuzz_heard.STATE | {"occupancy": fuzz_heard.STATE["occupancy"] | {"capacity": 0}},
    ),
    "a night that began with the calendar": ("night", {"points": [["0001-01-01T00:00", 1, 1, 1]]}),
    "a state without its session": (
        "state",
        {key: part for key, part in fuzz_heard.STATE.items() if key not in ("session", "full")},
    ),
    "a fault without a name": (
        "state",
        fuzz_heard.STATE | {"faults": [{"name": None, "line": None, "since": None}]},
    ),
    "a heartbeat without the sum of its turns": (
        "heartbeat",
        fuzz_heard.TOLD["heartbeat"] | {"loop": {"bounds_s": [1], "turns": [0, 1], "sum_s": "x"}},
    ),
}


@pytest.mark.parametrize("what", ONCE_BROKE)
def test_what_a_lying_broker_once_broke(what: str) -> None:
    name, body = ONCE_BROKE[what]
    fuzz_heard.heard(f"{name}\n{json.dumps(body)}".encode())
