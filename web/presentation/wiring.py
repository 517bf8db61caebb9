"""The header of the Raspberry Pi on the page: where each wire is, and how it stands just now.

The drawing is made once, from the newest message or, before the first, from the page's own
configuration. After that only texts and states change, and the page's script puts them into place.
A level that nobody has confirmed for `SILENT_S` is not shown any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.config.header import GROUNDS, HEADER, POWER
from controller.config.settings import LineSettings
from controller.events import INPUT_LINES
from controller.mqtt.message import Message
from web.language import _, lazy
from web.messages import Json, json_object
from web.mirror import Mirror
from web.presentation.labels import FAULTS, LINES, span

#: The controller publishes every second while somebody looks; after a longer silence it does not.
SILENT_S = 3.0
#: More lines than a controller can have.
MOST_LINES = 40
UNKNOWN = "–"

#: A short name for each wire: it has to stand beside its pin on a phone.
WIRES: Mapping[str, Any] = {
    **{line: name for line, name in LINES.items() if line in INPUT_LINES},
    "hatch_knock": lazy("hatch knock"),
    "door_knock": lazy("door knock"),
    "evacuate": lazy("fire panel"),
    "strike": lazy("strike"),
    "hatch_light": lazy("hatch light"),
    "full_lamp": lazy("full lamp"),
    "chime": lazy("chime"),
}
#: What each level means, active and not.
MEANS: Mapping[str, tuple[Any, Any]] = {
    "hatch_knock": (lazy("pulse"), lazy("quiet")),
    "door_knock": (lazy("pulse"), lazy("quiet")),
    "beam_outer": (lazy("beam broken"), lazy("beam clear")),
    "beam_inner": (lazy("beam broken"), lazy("beam clear")),
    "door_contact": (lazy("door open"), lazy("door shut")),
    "bolt_contact": (lazy("drawn back"), lazy("bolted")),
    "hatch_contact": (lazy("hatch open"), lazy("hatch shut")),
    "release_button": (lazy("pressed"), lazy("not pressed")),
    "exit_button": (lazy("pressed"), lazy("not pressed")),
    "evacuate": (lazy("alarm"), lazy("no alarm")),
}
DRIVEN = (lazy("switched on"), lazy("switched off"))


def parse_wiring(message: Message) -> list[Json]:
    """Return the lines in a message; raise ValueError when it makes no sense."""
    lines = json_object(message.payload, lines=list)["lines"]
    if len(lines) > MOST_LINES:
        raise ValueError(f"{len(lines)} lines are more than {MOST_LINES}")
    for line in lines:
        _check(line)
    return list(lines)


def _check(line: object) -> None:
    shapes: dict[str, type] = {"line": str, "gpio": int, "active": str, "level": bool}
    if not isinstance(line, dict) or not all(
        isinstance(line.get(key), kind) for key, kind in shapes.items()
    ):
        raise ValueError("a line without its name, GPIO, active level or level")
    numbers = [line.get(key, 0) for key in ("edges", "noise")]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("edges or noise are no counts")
    if not isinstance(line.get("last_edge_s") or 0.0, int | float):
        raise ValueError("the last edge is at no time")
    faults = line.get("faults", [])
    if not isinstance(faults, list) or not all(isinstance(fault, str) for fault in faults):
        raise ValueError("faults are no names")


@dataclass(frozen=True, slots=True)
class Pin:
    """One of the 40 pins as it is drawn: its number, what it is, and the line that is wired to it.

    ``kind`` is `in`, `out`, `strike`, `power`, `ground` or `free`.
    """

    number: int
    kind: str
    label: str
    line: str = ""


class WiringView:
    """Follows the wires through the mirror; ``lines`` are those of the page's configuration."""

    def __init__(
        self,
        mirror: Mirror,
        lines: Mapping[str, LineSettings],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._configured = lines
        self._lines: list[Json] = []
        self._received_s = float("-inf")
        self._changed = threading.Condition()
        self.version = 0
        mirror.listen(self.receive)

    def receive(self, name: str, message: Message) -> None:
        """Take one message, in the link's thread; one that makes no sense raises ValueError."""
        if name != "wiring":
            return
        lines = parse_wiring(message)
        with self._changed:
            self._lines, self._received_s = lines, self._monotonic()
            self.version += 1
            self._changed.notify_all()

    def wait(self, version: int, timeout_s: float) -> None:
        """Return when there is something newer than ``version``, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.version != version, timeout_s)

    def live(self) -> bool:
        """Return whether the levels are those of now."""
        return self._monotonic() - self._received_s <= SILENT_S

    def wires(self) -> list[Json]:
        """Return where each line is wired and how it stands, in the order of the header."""
        lines = self._lines or [_unheard(*line) for line in self._configured.items()]
        return sorted(lines, key=lambda line: HEADER.get(line["gpio"], 99))

    def pins(self) -> list[Pin]:
        """Return all 40 pins of the header, in the order of their numbers."""
        wired = {HEADER[line["gpio"]]: line for line in self.wires() if line["gpio"] in HEADER}
        gpio = {pin: number for number, pin in HEADER.items()}
        return [_pin(pin, wired.get(pin), gpio.get(pin)) for pin in range(1, 41)]

    def layout(self) -> str:
        """Return what the drawing was made of: another one needs another drawing."""
        return ",".join(f"{line['line']}={line['gpio']}{line['active']}" for line in self.wires())

    def rows(self) -> dict[str, dict[str, str]]:
        """Return for each line the texts and states of its places on the page."""
        live = self.live()
        return {line["line"]: _row(line) if live else _silent(line) for line in self.wires()}

    def moved(self) -> str:
        """Return which input moved last, and how it stands; "" before the first has."""
        heard = [line for line in self.wires() if line.get("last_edge_s") is not None]
        if not heard or not self.live():
            return ""
        last = min(heard, key=lambda line: float(line["last_edge_s"]))
        return _("%(wire)s: %(level)s", wire=wire_name(last["line"]), level=_level(last))


def wire_name(line: str) -> str:
    """Return the short name of a wire."""
    return str(WIRES.get(line, line))


def place(line: Json) -> str:
    """Return where a wire belongs: `pin 31 · GPIO 6`."""
    pin = HEADER.get(line["gpio"])
    gpio = f"GPIO {line['gpio']}"
    return " · ".join([_("pin %(n)s", n=pin), gpio]) if pin else gpio


def _unheard(line: str, wired: LineSettings) -> Json:
    """Return a line of which nothing was heard yet."""
    return {"line": line, "gpio": wired.pin, "active": wired.active, "level": False}


def _pin(number: int, line: Json | None, gpio: int | None) -> Pin:
    if line is not None:
        name = line["line"]
        kind = "in" if name in MEANS else "strike" if name == "strike" else "out"
        return Pin(number, kind, wire_name(name), name)
    if number in POWER:
        return Pin(number, "power", power_words(POWER[number]))
    if number in GROUNDS:
        return Pin(number, "ground", _("ground"))
    return Pin(number, "free", f"GPIO {gpio}")


def power_words(volts: str) -> str:
    """Return a voltage as the language of the request writes it."""
    return {"3.3 V": _("3.3 V")}.get(volts, volts)


def _silent(line: Json) -> dict[str, str]:
    unknown = dict.fromkeys(("level", "short", "edges", "noise"), UNKNOWN)
    return {**unknown, "state": "unknown", "volts": "", "ago": "", "faults": ""}


def _row(line: Json) -> dict[str, str]:
    level, faults = _level(line), _faults(line.get("faults", []))
    since = line.get("last_edge_s")
    passed = "" if since is None else span(since)
    return {
        "state": "fault" if faults else "active" if line["level"] else "rest",
        "level": level,
        "short": ("! " if faults else "") + (f"{level} · {passed}" if passed else level),
        "volts": power_words("3.3 V") if line["level"] == (line["active"] == "high") else "0 V",
        "ago": _("%(age)s ago", age=passed) if passed else "",
        "edges": str(line.get("edges", UNKNOWN)),
        "noise": str(line.get("noise", UNKNOWN)),
        "faults": faults,
    }


def _level(line: Json) -> str:
    if line.get("blinking") and line["level"]:
        return _("blinking")
    active, rest = MEANS.get(line["line"], DRIVEN)
    return str(active if line["level"] else rest)


def _faults(names: Sequence[str]) -> str:
    return ", ".join(str(FAULTS.get(name, name)) for name in names)
