"""How long the loop takes for one turn, as Prometheus wants it: a histogram since the start."""

from __future__ import annotations

from bisect import bisect_left

#: Upper bounds in seconds; whoever is slower than the last stands alone.
BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Latency:
    """Counts turns by how long they took; memory is fixed."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, took_s: float) -> None:
        """Take one turn in."""
        self._counts[bisect_left(BOUNDS_S, took_s)] += 1
        self._sum_s += took_s

    def as_dict(self) -> dict[str, object]:
        """Return bounds, the turns up to each (and no less), those beyond, and the whole time."""
        return {
            "bounds_s": BOUNDS_S,
            "turns": list(self._counts),
            "sum_s": round(self._sum_s, 6),
        }
