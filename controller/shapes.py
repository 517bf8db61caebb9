"""What a finished passage was, judged from the times at which each beam was broken and clear."""

from __future__ import annotations

from typing import Protocol


class Numbers(Protocol):
    """The settings that a shape is judged with."""

    @property
    def beam_spacing_mm(self) -> float: ...


def judge(outer: list[float], inner: list[float], numbers: Numbers) -> list[tuple[int, int, str]]:
    """Say (least, most, why) for each passage in these changes (broken, clear, ... a beam)."""
    net = _quarter_steps(outer, inner)
    if net in (4, -4):
        return [(net // 4, net // 4, "")]
    if net == 0:
        return [(0, 0, "turned_back")]
    return [(min(0, net // 4), max(0, net // 4), "order")]


def _quarter_steps(outer: list[float], inner: list[float]) -> int:
    """Walk through the four states and add up signed quarter turns: a retreat takes them back."""
    steps = sorted([(t, 0) for t in outer] + [(t, 1) for t in inner])
    place = {(0, 0): 0, (1, 0): 1, (1, 1): 2, (0, 1): 3}
    levels, at, total = [0, 0], 0, 0
    for _, beam in steps:
        levels[beam] ^= 1
        to = place[(levels[0], levels[1])]
        total += 1 if (to - at) % 4 == 1 else -1
        at = to
    return total
