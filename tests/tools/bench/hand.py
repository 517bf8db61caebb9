"""A hand on mock pins inside a contestant's process, moved by its bench over stdin and stdout.

One JSON array a line each way. All contestants have the same hand, so its cost is in all figures
alike. Times are seconds of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

#: Nobody waits longer than this for a pin.
LIMIT_S = 2.0

#: Time in ms, line, level.
Move = tuple[float, str, int]
#: BCM number, and whether high is active.
Pin = tuple[int, bool]


class Hand:
    """Moves input pins and watches one output pin."""

    def __init__(self, factory: Any, inputs: Mapping[str, Pin], output: Any) -> None:
        self._factory = factory
        self._inputs = inputs
        self._output = output
        self._changed = threading.Condition()
        self._seen: list[tuple[float, bool]] = []
        self._chatter: threading.Thread | None = None
        self._quiet = threading.Event()
        self.chattered = 0
        change = output._change_state

        def watched(value: bool) -> Any:
            moved = change(value)
            if moved:
                with self._changed:
                    self._seen.append((time.monotonic(), bool(value)))
                    self._changed.notify()
            return moved

        output._change_state = watched

    def drive(self, line: str, level: int) -> None:
        """Bring one input to a level."""
        number, active_high = self._inputs[line]
        pin = self._factory.pin(number)
        _ = pin.drive_high() if bool(level) == active_high else pin.drive_low()

    def play(self, moves: list[Move], deciding: int, level: int | None) -> list[float | None]:
        """Play moves; return when the deciding one began and when the output got to ``level``."""
        self.forget()
        began_s = at_s = time.monotonic()
        for number, (at_ms, line, moved) in enumerate(moves):
            time.sleep(max(began_s + at_ms / 1000 - time.monotonic(), 0))
            if number == deciding:
                at_s = time.monotonic()
            self.drive(line, moved)
        return [at_s, None if level is None else self.seen(level)]

    def forget(self) -> None:
        """Begin to watch anew."""
        with self._changed:
            self._seen.clear()

    def seen(self, level: int) -> float | None:
        """Return when the output got to ``level`` since `forget`; None when it did not."""

        def found() -> float | None:
            return next((at_s for at_s, value in self._seen if value == bool(level)), None)

        with self._changed:
            self._changed.wait_for(found, LIMIT_S)
            return found()

    def level(self) -> int:
        """Return how the output is now."""
        return int(self._output.state)

    def chatter(self, line: str, edges_s: float) -> None:
        """Let a line chatter from now on; 0 edges a second ends it."""
        self._quiet.set()
        if self._chatter is not None:
            self._chatter.join()
        if edges_s:
            self._quiet = threading.Event()
            self._chatter = threading.Thread(
                target=self._chattering, args=(line, edges_s, self._quiet), daemon=True
            )
            self._chatter.start()

    def _chattering(self, line: str, edges_s: float, quiet: threading.Event) -> None:
        began_s, given = time.monotonic(), 0
        while not quiet.is_set():
            due = min(int((time.monotonic() - began_s) * edges_s), given + 200)
            while given < due:
                given += 1
                self.drive(line, given % 2)
            self.chattered = given
            time.sleep(0.001)


def serve(hand: Hand, more: Mapping[str, Callable[..., Any]]) -> None:
    """Say ``ready`` and do what stdin says until it ends."""
    words: dict[str, Callable[..., Any]] = {
        "play": hand.play,
        "drive": hand.drive,
        "forget": hand.forget,
        "seen": hand.seen,
        "level": hand.level,
        "chatter": hand.chatter,
        "chattered": lambda: hand.chattered,
        **more,
    }
    _say("ready")
    for line in sys.stdin:
        word, *args = json.loads(line)
        _say(words[word](*args))


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
