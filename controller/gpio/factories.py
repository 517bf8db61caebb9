"""Pin factories of gpiozero, by name; one that can't be used is an error, never replaced."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpiozero.exc import PinUnknownPi

DEV = Path("/dev")


class PinsError(Exception):
    """A pin or the pin library can't be used: one line that says which, why and the way out."""


def make_factory(name: str) -> Any:
    """Make the pin factory ``gpiod``, ``lgpio``, ``rpigpio`` or ``mock``, or raise `PinsError`."""
    makers = {"gpiod": _gpiod, "lgpio": _lgpio, "rpigpio": _rpigpio, "mock": _mock}
    if name not in makers:
        raise PinsError(f'pin factory "{name}" is unknown; use {_either(makers)}')
    return makers[name]()


def _either(names: Iterable[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)


def _mock() -> Any:
    from gpiozero.pins.mock import MockFactory

    return MockFactory()


def _gpiod() -> Any:
    try:
        from controller.gpio.gpiod import GpiodFactory, NoHeaderError
    except ImportError as error:
        raise PinsError(
            f'pin factory "gpiod": {error}; `make setup` installs it on 64-bit Linux, '
            'or use factory "lgpio"'
        ) from error
    try:
        return GpiodFactory()
    except NoHeaderError as error:
        raise PinsError(_no_header("gpiod", error)) from error
    except (OSError, PinUnknownPi) as error:
        raise PinsError(_no_chip("gpiod", error)) from error


def _rpigpio() -> Any:
    try:
        from gpiozero.pins.rpigpio import RPiGPIOFactory

        return RPiGPIOFactory()
    except (ImportError, RuntimeError) as error:
        raise PinsError(
            f'pin factory "rpigpio": {error}; it needs a Raspberry Pi up to model 4 and '
            "`apt install python3-rpi-lgpio` (`sudo systemd/install` again does it), "
            'or use factory "lgpio"'
        ) from error


def _lgpio() -> Any:
    try:
        with_level = _lgpio_class()
    except ImportError as error:
        raise PinsError(
            'pin factory "lgpio": the Python module lgpio is missing; '
            "run `sudo systemd/install` again, which asks apt for it; in a checkout "
            "`apt install python3-lgpio`, delete .venv and run `make setup`"
        ) from error
    except OSError as error:
        place = os.environ.get("LG_WD", ".")
        raise PinsError(
            f'pin factory "lgpio": cannot make its pipe in {place} ({error}); '
            "set LG_WD to a directory that this user may write to"
        ) from error
    try:
        return with_level()
    except Exception as error:  # lgpio.error has no better base
        raise PinsError(_no_chip("lgpio", error)) from error


def _lgpio_class() -> Any:
    """Return gpiozero's factory, changed to claim an output with its level.

    gpiozero claims at 0 and writes the level after: an active-low lamp would be on at the start.
    """
    here = Path.cwd()
    if "LG_WD" not in os.environ:  # its pipe; two programs in one directory overwrite each other's
        os.environ["LG_WD"] = made = tempfile.mkdtemp(prefix="backdoor-lg-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
    try:
        import lgpio
        from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
    finally:
        os.chdir(here)  # importing lgpio moves the whole process into LG_WD

    class ClaimedWithLevel(LGPIOPin):  # type: ignore[misc] # gpiozero has no types
        def output_with_state(self, state: bool) -> None:
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(state))

    class Factory(LGPIOFactory):  # type: ignore[misc] # gpiozero has no types
        def __init__(self) -> None:
            super().__init__()
            self.pin_class = ClaimedWithLevel

    return Factory


def _no_header(factory: str, error: Exception) -> str:
    return (
        f'pin factory "{factory}": this system does not know the Pi\'s 40-pin header ({error}). '
        "On a Pi 5 use Raspberry Pi OS: the kernels of Debian 12 and 13 have no driver for it. "
        'On another machine run `backdoor demo`, or use factory "mock"'
    )


def _no_chip(factory: str, error: Exception) -> str:
    chips = sorted(DEV.glob("gpiochip*"))
    if isinstance(error, PinUnknownPi) or not chips:
        return (
            f'pin factory "{factory}": this machine has no Raspberry Pi pins ({error}); '
            'run `backdoor demo`, or use factory "mock"'
        )
    return (
        f'pin factory "{factory}": cannot open {chips[0]} ({error}); add the user to the group '
        "gpio (`sudo usermod -aG gpio $USER`, then log in again)"
    )
