"""The command line on a faked GPIO chip (see ``tests.support.gpio_chip``), as a process."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from controller.cli.main import main
from tests.support.gpio_chip import Board


class Patch:
    """The part of pytest's monkeypatch that the chip uses; nothing is put back."""

    def setattr(self, target: Any, name: Any, value: Any = None) -> None:
        """Replace ``name`` of ``target``, or what a dotted ``target`` names."""
        if isinstance(target, str):
            module, _, attribute = target.rpartition(".")
            setattr(importlib.import_module(module), attribute, name)
        else:
            setattr(target, name, value)


if __name__ == "__main__":
    Board().install(Patch())  # type: ignore[arg-type]
    chip = importlib.import_module("controller.gpio.gpiod")
    vars(chip)["header_chip"] = lambda: "/dev/gpiochip0"
    sys.exit(main())
