"""Where each stool stands in the picture, and who sits on it."""

from __future__ import annotations

from typing import NamedTuple

from web.presentation.snapshot import Room

#: The floor between the front door and the hatch, in the picture's own units.
LEFT, RIGHT, FLOOR = 92, 268, 230
#: Up to so many stools stand in one row.
ONE_ROW = 6
STOOL_HEIGHT = 50
STOOL_WIDTH = 44


class Seat(NamedTuple):
    """A stool: where its middle stands, and how large it is drawn (1 is the usual size)."""

    name: str
    x: float
    y: float
    scale: float


def seats(capacity: int) -> list[Seat]:
    """Return a stool for each guest, nearest first: one row, or two for a larger house."""
    front = capacity if capacity <= ONE_ROW else (capacity + 1) // 2
    step = min(STOOL_WIDTH, (RIGHT - LEFT) / front)
    scale = round(step / STOOL_WIDTH, 3)
    return [_seat(number, capacity, front, step, scale) for number in range(1, capacity + 1)]


def _seat(number: int, capacity: int, front: int, step: float, scale: float) -> Seat:
    behind = number > front
    place, in_row = (number - front, capacity - front) if behind else (number, front)
    x = (LEFT + RIGHT) / 2 + (place - (in_row + 1) / 2) * step
    y = FLOOR - STOOL_HEIGHT * scale - (34 + 26 * scale if behind else 0)
    return Seat(f"seat{number}", round(x, 1), round(y, 1), scale)


def seat_states(room: Room) -> dict[str, str]:
    """Return for each stool whether it is `taken`, in `doubt`, `coming` or `free`."""
    states = {f"seat{n}": _seat_state(room, n) for n in range(1, room.capacity + 1)}
    if not room.certain and room.least == room.most:
        # Doubt without a range is a doubt about the last guest, or about an empty room.
        states[f"seat{min(max(room.most, 1), room.capacity)}"] = "doubt"
    return states | {"extra": "over" if room.over else "none"}


def _seat_state(room: Room, n: int) -> str:
    if n <= room.least:
        return "taken"
    if n <= room.most:
        return "doubt"
    return "coming" if n <= room.most + room.expected else "free"
