"""What sensing makes of sketched edges, and edges that no sketch has."""

from __future__ import annotations

from controller.events import Doorway, Edge, Fault, Passage, Sensed
from controller.sensing.settings import SensingSettings
from tests.tools.doorway.score import sense
from tests.tools.doorway.sketch import edges

#: Beams 90 mm apart, as wired in most of the tests.
S90 = SensingSettings(beam_spacing_mm=90.0)


def verdicts_of(
    text: str, settings: SensingSettings = S90, wired: str = "OI"
) -> list[tuple[int, int, str]]:
    """Verdicts on sketched edges."""
    return [(p.least, p.most, p.why) for p in passages(text, settings, wired)]


def passages(text: str, settings: SensingSettings = S90, wired: str = "OI") -> list[Passage]:
    """Passages of sketched edges."""
    return [s for s in sense(edges(text, wired=wired), settings) if isinstance(s, Passage)]


def faults(events: list[Sensed]) -> list[tuple[str, str, bool]]:
    """Faults that began and ended, without their times."""
    return [(s.name, s.line, s.active) for s in events if isinstance(s, Fault)]


def doorways(text: str) -> list[tuple[float, bool, int]]:
    """Doorway events of sketched edges."""
    events = sense(edges(text), S90)
    return [(d.t_ms, d.busy, d.coming_in) for d in events if isinstance(d, Doorway)]


def storm(line: str, began_ms: float = 5000.0, lasts_ms: float = 3000.0) -> list[Edge]:
    """Ten thousand edges a second."""
    n = int(lasts_ms * 10)
    return [Edge(began_ms + 0.1 * k, line, k % 2 == 0) for k in range(n)]
