"""Play scenes to `Senses` as the service would, and compare its events with the truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt

from controller.events import Doorway, Edge, Knock, KnockEnded, Passage, Sensed
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings
from tests.tools.doorway.rivals import RIVALS
from tests.tools.doorway.scenes import Scene
from tests.tools.doorway.wall import Wall


def sense(
    edges: Iterable[Edge], settings: SensingSettings, lines: Iterable[str] = ()
) -> list[Sensed]:
    """Everything sensed from these edges; each deadline is met before a later edge."""
    edges = list(edges)
    senses = Senses(settings, set(lines) or {e.line for e in edges})
    out: list[Sensed] = []
    for edge in edges:
        _wake(senses, edge.t_ms, out)
        out += senses.edge(edge)
    _wake(senses, inf, out)
    return out


def _wake(senses: Senses, until_ms: float, out: list[Sensed]) -> None:
    before = -inf
    while (due := senses.due) < inf and due <= until_ms:
        assert due > before, f"tick({before}) did not consume its deadline"
        out += senses.tick(due)
        before = due


@dataclass(frozen=True)
class Result:
    """One scene: the final count and its bounds, and crossings that were missed or invented."""

    right: bool
    certain: bool
    contained: bool
    wrong: int
    asks: int

    @property
    def silent(self) -> bool:
        """Said certain, was wrong."""
        return self.certain and not self.right


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % bounds of a share, in percent (Wilson's score interval)."""
    if not whole:
        return 0.0, 100.0
    z, share = 1.96, part / whole
    middle = share + z * z / (2 * whole)
    reach = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 100 / (1 + z * z / whole)
    return max(0.0, scale * (middle - reach)), min(100.0, scale * (middle + reach))


def score_ours(scene: Scene, settings: SensingSettings) -> Result:
    """Our decoder on this scene."""
    sensed = sense(scene.edges, settings)
    verdicts = [s for s in sensed if isinstance(s, Passage)]
    least = scene.start + sum(v.least for v in verdicts)
    most = scene.start + sum(v.most for v in verdicts)
    asks = sum(v.least != v.most for v in verdicts)
    right = least == most == scene.final
    return Result(
        right, asks == 0, least <= scene.final <= most, _wrong(scene, windows(sensed)), asks
    )


def windows(sensed: Iterable[Sensed]) -> list[tuple[float, float, int, int]]:
    """Return each verdict with the time since which the doorway was busy, and its own."""
    out: list[tuple[float, float, int, int]] = []
    since_ms: float | None = None
    for event in sensed:
        if isinstance(event, Passage):
            began_ms = event.t_ms if since_ms is None else since_ms
            out.append((began_ms, event.t_ms, event.least, event.most))
        elif isinstance(event, Doorway):
            busy_since_ms = event.t_ms if since_ms is None else since_ms
            since_ms = busy_since_ms if event.busy else None
    return out


def _wrong(scene: Scene, verdicts: list[tuple[float, float, int, int]]) -> int:
    """Missed and invented crossings among certain verdicts, in windows that belong together."""
    wrong, left = 0, list(scene.crossings)
    for began, ended, least, most in merged(verdicts):
        mine = [c for c in left if began - 400 <= c[0] <= ended + 400]
        left = [c for c in left if c not in mine]
        true = sum(way for _, way in mine)
        wrong += max(0, least - true, true - most)
    return wrong + len(left)


def merged(verdicts: list[tuple[float, float, int, int]]) -> list[tuple[float, float, int, int]]:
    """Verdicts whose windows touch, as one: which of two followers was missed is no matter."""
    out: list[tuple[float, float, int, int]] = []
    for began, ended, least, most in sorted(verdicts):
        if out and began < out[-1][1] + 800:
            b, e, lo, hi = out[-1]
            out[-1] = (b, max(e, ended), lo + least, hi + most)
        else:
            out.append((began, ended, least, most))
    return out


def score_rival(scene: Scene, name: str) -> Result:
    """A rival on this scene: always certain."""
    verdicts = [(t, t, way, way) for t, way in RIVALS[name](scene.edges)]
    right = scene.start + sum(s[2] for s in verdicts) == scene.final
    return Result(right, True, right, _wrong(scene, verdicts), 0)


@dataclass(frozen=True)
class Heard:
    """Knocks of some time: how many there were, were heard, at the right place, and not there."""

    true: int
    found: int
    placed: int
    counted: int
    false: int


def listen(wall: Wall, settings: SensingSettings) -> Heard:
    """Our knock listener on this wall."""
    sensed = _play(wall, settings)
    knocks = [k for k in sensed if isinstance(k, Knock)]
    ends = [k for k in sensed if isinstance(k, KnockEnded)]
    found = placed = counted = 0
    true = set[int]()
    for episode in wall.episodes:
        first, last = episode.raps_ms[0], episode.raps_ms[-1]
        mine = [k for k in knocks if first <= k.t_ms <= last + 900]
        true |= {id(k) for k in mine}
        found += bool(mine)
        placed += bool(mine) and mine[0].place == episode.place
        ended = [e for e in ends if mine and e.t_ms > mine[0].t_ms]
        counted += bool(ended) and ended[0].raps == len(episode.raps_ms)
    return Heard(len(wall.episodes), found, placed, counted, len(knocks) - len(true))


def _play(wall: Wall, settings: SensingSettings) -> list[Sensed]:
    edges = wall.edges()
    senses = Senses(settings, {e.line for e in edges})
    own_noise, out = sorted(wall.own_noise_ms, reverse=True), list[Sensed]()
    for edge in edges:
        while own_noise and own_noise[-1] <= edge.t_ms:
            _wake(senses, own_noise[-1], out)
            senses.mute_knocks(own_noise.pop())
        _wake(senses, edge.t_ms, out)
        out += senses.edge(edge)
    _wake(senses, inf, out)
    return out
