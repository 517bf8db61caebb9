"""Three published ways to count with two beams, in our words, for comparison.

Each takes edges and returns signed crossings as (t_ms, way). None of them can say "I am not sure".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.events import Edge

States = Iterator[tuple[float, int]]
#: Polling of the usual sketches and of a time-of-flight sensor's two zones.
SAMPLE_MS = 10.0


def _states(edges: Iterable[Edge]) -> States:
    """Levels of both beams as one number (1 outer, 2 inner, 3 both) at each change."""
    state = 0
    for edge in edges:
        if edge.line in ("beam_outer", "beam_inner"):
            bit = 1 if edge.line == "beam_outer" else 2
            state = state | bit if edge.level else state & ~bit
            yield edge.t_ms, state


def first_edge(edges: Iterable[Edge], timeout_ms: float = 1000.0) -> list[tuple[float, int]]:
    """Which beam broke first, then the other within a time-out, then a pause (a usual sketch)."""
    out: list[tuple[float, int]] = []
    armed, armed_ms, deaf_ms = 0, 0.0, -1.0
    for t_ms, state in _states(edges):
        if t_ms < deaf_ms or state == 0:
            continue
        if not armed or t_ms - armed_ms > timeout_ms:
            armed, armed_ms = (state if state != 3 else 0), t_ms
        elif state | armed == 3 and state != armed:
            out.append((t_ms, 1 if armed == 1 else -1))
            armed, deaf_ms = 0, t_ms + 500.0
    return out


def path_tracking(edges: Iterable[Edge]) -> list[tuple[float, int]]:
    """Keep the list of states of one pass and compare it with 0-1-3-2-0 when both are clear."""
    out: list[tuple[float, int]] = []
    path = [0]
    for t_ms, state in _states(edges):
        if state == path[-1]:
            continue
        if state != 0:
            path = [*path[:3], state]  # four slots: what does not fit replaces the last
            continue
        if path == [0, 1, 3, 2]:
            out.append((t_ms, 1))
        elif path == [0, 2, 3, 1]:
            out.append((t_ms, -1))
        path = [0]
    return out


def quadrature(edges: Iterable[Edge]) -> list[tuple[float, int]]:
    """Signed quarter turns like a rotary encoder: four in one direction are a crossing."""
    turn = {0: 0, 1: 1, 3: 2, 2: 3}
    out: list[tuple[float, int]] = []
    at, steps = 0, 0
    for t_ms, state in _states(edges):
        change = (turn[state] - at) % 4
        steps += {0: 0, 1: 1, 2: 0, 3: -1}[change]
        at = turn[state]
        if abs(steps) == 4:
            out.append((t_ms, steps // 4))
            steps = 0
    return out


RIVALS = {
    "first edge": first_edge,
    "path tracking": path_tracking,
    "quadrature": quadrature,
}
