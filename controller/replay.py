"""A trace through sensing and rules in virtual time: one JSON object a line, the same bytes always.

A line without a first reading at time 0 begins inactive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.codec import encode, named_events
from controller.config.settings import WIRING, Config
from controller.engine import Engine, TimedEffects
from controller.events import INPUT_LINES, Command, Edge
from controller.rules.occupancy import settled
from controller.rules.state import State
from controller.rules.transition import count_data
from controller.trace import Row

#: How long the trace runs on after its last row, so that what was under way comes to its end.
TAIL_MS = 10_000.0
_INPUTS = frozenset(INPUT_LINES)


def wired_by(config: Config, rows: Iterable[Row]) -> Config:
    """Return ``config`` with the lines that the rows name taken as wired, and all outputs."""
    named = {row.line for row in rows}
    outputs = set(WIRING) - set(INPUT_LINES)
    return config.wired({name: WIRING[name] for name in WIRING if name in named | outputs})


def replay(rows: list[Row], config: Config, inside: int = 0) -> Iterator[bytes]:
    """Yield one JSON line for every event of the trace, the occupancy at its end last."""
    engine = Engine(config.rules, config.sensing, State(occupancy=settled(inside)))
    yield from _lines(engine.active_outputs())
    for edge in first_readings(rows, config.rules.lines):
        yield from _lines(engine.edge(edge))
    for t_ms, line, level in rows:
        if line in _INPUTS:
            effects = engine.edge(Edge(t_ms, line, level == 1))
        else:
            effects = engine.event(_command(t_ms, line, level))
        if effects:
            yield from _lines(effects)
    tail_ms = max(TAIL_MS, config.rules.release_ms + 1000)
    end_ms = (rows[-1].t_ms if rows else 0.0) + tail_ms
    yield from _lines(engine.advance(end_ms))
    yield _line(end_ms, "end", {"occupancy": count_data(engine.state.occupancy)})


def first_readings(rows: Iterable[Row], lines: Iterable[str]) -> list[Edge]:
    """Return a first level for every wired line that the trace gives none for at time 0."""
    given = {row.line for row in rows if row.t_ms == 0}
    return [Edge(0.0, line, level=False) for line in sorted(lines) if line not in given]


def _command(t_ms: float, line: str, number: int) -> Command:
    return Command(t_ms, line.removeprefix("cmd:"), number, cause="trace")


def _lines(effects: TimedEffects) -> Iterator[bytes]:
    for t_ms, name, data in named_events(effects):
        yield _line(t_ms, name, data)


def _line(t_ms: float, name: str, data: dict[str, object]) -> bytes:
    return encode({"t_ms": round(t_ms, 3), "event": name, **data}) + b"\n"
