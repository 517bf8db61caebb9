"""A pin whose background blinking hangs in a write, as on a machine that is far too busy."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from gpiozero.threads import GPIOThread

from tests.support.wait import HANGS_S


def hang_blinking(pin: Any, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let gpiozero's thread hang when it writes to this mock pin; set the event to let it go on."""
    goes_on, change = threading.Event(), pin._change_state

    def slow(value: bool) -> Any:
        if isinstance(threading.current_thread(), GPIOThread):
            assert goes_on.wait(HANGS_S)
        return change(value)

    monkeypatch.setattr(pin, "_change_state", slow)
    return goes_on
