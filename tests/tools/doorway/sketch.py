"""Edges in one line of text, for tests: ``O+100 I+180 O-300 I-380`` (beams), ``D+0`` (door)."""

from __future__ import annotations

from controller.events import Edge

LINES = {
    "O": "beam_outer",
    "I": "beam_inner",
    "D": "door_contact",
    "H": "hatch_contact",
    "h": "hatch_knock",
    "d": "door_knock",
    "X": "exit_button",
}


def edges(text: str, *, wired: str = "OI") -> list[Edge]:
    """All wired lines at rest at time 0, then the sketched edges."""
    start = [Edge(0.0, LINES[key], False) for key in wired]
    drawn = [Edge(float(w[2:]), LINES[w[0]], w[1] == "+") for w in text.split()]
    return start + sorted(drawn, key=lambda edge: edge.t_ms)


def pulses(text: str) -> str:
    """Raps as pulses: ``h0x5`` is five pulses of 2 ms from time 0, 6 ms apart, at the hatch."""
    words = []
    for word in text.split():
        key, (at, count) = word[0], word[1:].split("x")
        for k in range(int(count)):
            start = float(at) + 6 * k
            words += [(start, f"{key}+{start}"), (start + 2, f"{key}-{start + 2}")]
    return " ".join(word for _, word in sorted(words))
