"""What the controller publishes of each wire, made by hand."""

from __future__ import annotations

from typing import Any

from controller.config.settings import WIRING
from controller.events import INPUT_LINES


def wire(line: str, level: bool = False, **over: Any) -> dict[str, Any]:
    """Return one line as the controller publishes it."""
    wired = WIRING[line]
    more = {"last_edge_s": None, "edges": 0, "noise": 0} if line in INPUT_LINES else {}
    base = {"line": line, "gpio": wired.pin, "active": wired.active, "level": level, "faults": []}
    return base | more | over


def every_wire(**levels: bool) -> dict[str, Any]:
    """Return the whole message, these lines at these levels and the others at rest."""
    return {"lines": [wire(line, levels.get(line, False)) for line in WIRING]}
