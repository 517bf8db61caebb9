"""Switches (contacts, buttons, the evacuation input): a level counts once it stood still.

A switch whose wire hums never stands still; one with a loose magnet leaves its level for a moment
again and again. Both are faults (`LineChatter`). The second still has a level, the one it comes
back to. The first has none: until it is calm it reads as `READS_AS` says, and no move is reported.
"""

from __future__ import annotations

from collections import deque
from math import inf

from controller.events import Contact, Fault, Sensed

#: A level that stood for less is no level, whatever is set: it may turn out to be a spike that
#: came on other lines, too (`SPIKE_MS` in ``sensing``).
LEAST_SETTLE_MS = 0.2
#: A switch that found no rest for so long has no level.
RESTLESS_MS = 2000.0
#: Nor has one that moved so often within `MOVES_MS`: no hand opens a door twice a second for long.
MOVES_MS = 5000.0
MOST_MOVES = {
    "door_contact": 10,
    "bolt_contact": 10,
    "hatch_contact": 10,
    "release_button": 30,
    "exit_button": 30,
    "evacuate": 10,
}
#: What a switch without a level reads as (True: active). The door is open and the bolt drawn, so
#: nobody is let in; the hatch is shut, so whoever knocks there gets the light; a button is not
#: pressed; the evacuation loop is cut, which is an alarm.
READS_AS = {
    "door_contact": True,
    "bolt_contact": True,
    "hatch_contact": False,
    "release_button": False,
    "exit_button": False,
    "evacuate": True,
}
#: A switch flickers when it left its level for nothing so often, each time so soon after the last,
#: and for so long: a slam may rattle it, but only for a moment.
FLICKERS, FLICKER_APART_MS, FLICKERING_MS = 3, 2500.0, 2000.0
#: A switch that chattered is believed again after so much quiet.
CALM_MS = 5000.0
#: A door that moves bounces for less than this; what goes on for longer is no move.
BOUNCE_MS = 100.0


class Switch:
    """One switch: its raw and its settled level, and what it did lately."""

    __slots__ = (
        "calm_due", "chatters", "due", "flickers", "flickers_ms", "last_flicker_ms",
        "level", "line", "moves", "raw", "restless_ms", "unsettled",
    )  # fmt: skip

    def __init__(self, line: str, level: bool) -> None:
        self.line = line
        self.raw = self.level = level
        #: When the level will have settled, and since when it has not.
        self.due = self.restless_ms = inf
        #: Flickers in a row: how many, when the first and the last.
        self.flickers = 0
        self.flickers_ms = self.last_flicker_ms = -inf
        self.moves: deque[float] = deque(maxlen=MOST_MOVES[line])
        #: Whether the fault stands, whether there is no level, and when it may be over.
        self.chatters = self.unsettled = False
        self.calm_due = inf


class Contacts:
    """Settle each switch by itself: a level counts after ``settle_ms`` (0: after 0.2 ms)."""

    def __init__(self, settle_ms: float) -> None:
        self.due = inf
        self.settle_ms = max(settle_ms, LEAST_SETTLE_MS)
        self._switches: dict[str, Switch] = {}

    def edge(self, line: str, t_ms: float, level: bool) -> list[Sensed]:
        """Take one raw edge; each bounce starts the settling time again."""
        switch = self._switches.get(line)
        if switch is None:
            self._switches[line] = Switch(line, level)
            return [Contact(t_ms, line, level)]
        switch.raw = level
        if switch.unsettled:
            switch.calm_due = t_ms + CALM_MS
            return []
        if switch.due == inf:
            switch.restless_ms = t_ms
        elif level is switch.level and t_ms - switch.restless_ms <= LEAST_SETTLE_MS:
            switch.due = inf  # a spike, no flicker
            return []
        if t_ms - switch.restless_ms >= RESTLESS_MS:
            return self.unsettle(line, t_ms)
        switch.due = due = t_ms + self.settle_ms
        if due < self.due:
            self.due = due
        return []

    def chatters(self, line: str) -> bool:
        """Return whether the switch is known to flicker, or to have no level at all."""
        return self._switches[line].chatters

    def moving(self, line: str, t_ms: float) -> bool:
        """Return whether what this switch does may be a move: it is not chatter for certain."""
        switch = self._switches[line]
        return not switch.unsettled and t_ms - switch.restless_ms <= BOUNCE_MS

    def opens(self, line: str) -> bool:
        """Return whether this switch was off, and moves: it may be going on."""
        switch = self._switches.get(line)
        return switch is not None and not switch.level and switch.due != inf

    def unsettle(self, line: str, t_ms: float) -> list[Sensed]:
        """Take the switch as one without a level, until it is calm."""
        switch = self._switches[line]
        switch.due, switch.unsettled = inf, True
        events = self._chatter(switch, t_ms)
        return events + self._report(switch, t_ms, READS_AS[line])

    def tick(self, t_ms: float) -> list[Sensed]:
        """Return a `Contact` for each switch that settled at another level, and faults."""
        events: list[Sensed] = []
        for switch in self._switches.values():
            if switch.due <= t_ms:
                events += self._settle(switch, switch.due)
            if switch.calm_due <= t_ms:
                events += self._calm(switch, t_ms)
        self._plan()
        return events

    def _plan(self) -> None:
        self.due = min(min(s.due, s.calm_due) for s in self._switches.values())

    def _settle(self, switch: Switch, t_ms: float) -> list[Sensed]:
        """Report a move, or count a flicker: the level is where it was."""
        switch.due = inf
        if switch.raw is switch.level:
            return self._flicker(switch, t_ms)
        events = self._report(switch, t_ms, switch.raw)
        moves = switch.moves
        moves.append(t_ms)
        if len(moves) == moves.maxlen and t_ms - moves[0] <= MOVES_MS:
            events += self.unsettle(switch.line, t_ms)
        return events

    def _flicker(self, switch: Switch, t_ms: float) -> list[Sensed]:
        if t_ms - switch.last_flicker_ms > FLICKER_APART_MS:
            switch.flickers, switch.flickers_ms = 0, switch.restless_ms
        switch.flickers += 1
        switch.last_flicker_ms = t_ms
        goes_on = t_ms - switch.flickers_ms >= FLICKERING_MS
        if switch.chatters or (switch.flickers >= FLICKERS and goes_on):
            return self._chatter(switch, t_ms)
        return []

    def _chatter(self, switch: Switch, t_ms: float) -> list[Sensed]:
        """Raise the fault, or let it stand for longer."""
        switch.calm_due = t_ms + CALM_MS
        self._plan()
        if switch.chatters:
            return []
        switch.chatters = True
        return [Fault(t_ms, "LineChatter", switch.line, True)]

    def _calm(self, switch: Switch, t_ms: float) -> list[Sensed]:
        """End the fault; the level is what it is."""
        switch.chatters = switch.unsettled = False
        switch.calm_due = inf
        switch.flickers = 0
        switch.moves.clear()
        over = Fault(t_ms, "LineChatter", switch.line, False)
        return [over, *self._report(switch, t_ms, switch.raw)]

    def _report(self, switch: Switch, t_ms: float, level: bool) -> list[Sensed]:
        if switch.level is level:
            return []
        switch.level = level
        return [Contact(t_ms, switch.line, level)]
