"""The wiring: a table to solder by, and a drawing of the 40-pin header with the used pins."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from controller.config.header import GROUNDS, HEADER, POWER
from controller.config.settings import LineSettings
from controller.events import OUTPUT_LINES

#: What is at the other end of each wire.
NOTES: Mapping[str, str] = {
    "hatch_knock": "knock sensor's output, 3.3 V",
    "door_knock": "knock sensor's output, 3.3 V",
    "beam_outer": "receiver on the street side, closed to ground while it sees the light",
    "beam_inner": "receiver on the room side, closed to ground while it sees the light",
    "door_contact": "reed switch, closed to ground while the door is shut",
    "bolt_contact": "strike's or bolt's switch, closed to ground while locked",
    "hatch_contact": "reed switch, closed to ground while the hatch is shut",
    "release_button": "push button to ground",
    "exit_button": "push button to ground",
    "evacuate": "fire panel's contact, closed to ground while there is no alarm",
    "strike": "relay board or MOSFET, active high, 10 kΩ to ground",
    "hatch_light": "relay board or LED driver",
    "full_lamp": "relay board or LED driver",
    "chime": "relay board or active buzzer's driver",
}

SPACE, WIDTH = 24, 560
COLOURS = {"in": "#2a6fbb", "out": "#c2571a", "strike": "#b3261e", "gnd": "#222222",
           "power": "#8a6d00", "free": "#c9c9c9"}  # fmt: skip


def table(lines: Mapping[str, LineSettings]) -> list[str]:
    """Return the wiring as rows of text, in the order of the header."""
    rows = [("header", "BCM", "line", "active", "pull", "the other end")]
    for name, wired in sorted(lines.items(), key=lambda line: HEADER.get(line[1].pin, 99)):
        level = (str(HEADER.get(wired.pin, "-")), str(wired.pin), name, wired.active, wired.pull)
        rows.append((*level, NOTES[name]))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    right = (True, True, False, False, False)
    return [
        "  ".join(
            [f"{cell:>{width}}" if number else f"{cell:{width}}"
             for cell, width, number in zip(row[:5], widths, right, strict=True)] + [row[5]]
        )
        for row in rows
    ]  # fmt: skip


def svg(lines: Mapping[str, LineSettings]) -> str:
    """Return a drawing of the header, seen from above with pin 1 at the top left."""
    used = {HEADER[wired.pin]: name for name, wired in lines.items() if wired.pin in HEADER}
    bcm = {pin: number for number, pin in HEADER.items()}
    height = 20 * SPACE + 60
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="sans-serif" font-size="13">',
        f"<title>{escape(_title(used))}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{WIDTH / 2:g}" y="24" text-anchor="middle">this end: the SD card</text>',
    ]
    for pin in range(1, 41):
        drawn.append(_pin(pin, used.get(pin, ""), bcm.get(pin)))
    return "\n".join([*drawn, "</svg>"]) + "\n"


def _title(used: Mapping[int, str]) -> str:
    wired = ", ".join(f"pin {pin} {name}" for pin, name in sorted(used.items()))
    return f"40-pin header: {wired or 'nothing wired'}"


def _pin(pin: int, name: str, bcm: int | None) -> str:
    row, column = divmod(pin - 1, 2)
    y, x = 52 + row * SPACE, WIDTH / 2 - 14 + column * 28
    side, anchor = (WIDTH / 2 + 34, "start") if column else (WIDTH / 2 - 34, "end")
    kind, label = _kind(pin, name)
    parts = [part for part in (label, f"GPIO {bcm}" if bcm is not None else "") if part]
    words = " · ".join(parts if column else reversed(parts))
    weight = ' font-weight="bold"' if name else ""
    grey = "" if kind != "free" else ' fill="#707070"'
    return (
        f'<circle cx="{x:g}" cy="{y}" r="10" fill="{COLOURS[kind]}"/>'
        f'<text x="{x:g}" y="{y + 4}" text-anchor="middle" font-size="10" '
        f'fill="{"#000000" if kind == "free" else "#ffffff"}">{pin}</text>'
        f'<text x="{side:g}" y="{y + 4}" text-anchor="{anchor}"{weight}{grey}>{escape(words)}'
        "</text>"
    )


def _kind(pin: int, name: str) -> tuple[str, str]:
    """Return the colour's name and the label of a pin."""
    if name:
        kind = "strike" if name == "strike" else "out" if name in OUTPUT_LINES else "in"
        return kind, name
    if pin in POWER:
        return "power", POWER[pin]
    return ("gnd", "ground") if pin in GROUNDS else ("free", "")
