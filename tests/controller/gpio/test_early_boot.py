"""What holds before this program runs: read as the firmware reads it, said where it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.cli.main import main
from controller.gpio.early_boot import Machine, held_low, warnings


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("gpio=16=op,dl\n", True),
        ("dtparam=audio=on\n[all]\n# ours\ngpio=16=op,dl\ndtparam=strict_gpiod\n", True),
        ("gpio=4-16=op,dl\n", True),
        ("gpio=5,16=op,pd,dl\n", True),
        ("  gpio = 16 = op,dl\n", True),
        ("[pi4]\ngpio=16=op,dl\n", True),
        ("gpio=16=op,dl\r\n", True),
        ("", False),
        ("gpio=17=op,dl\n", False),
        ("gpio=17-20=op,dl\n", False),
        ("gpio=16=op,dh\n", False),
        ("gpio=16=ip,pd\n", False),
        ("#gpio=16=op,dl\n", False),
        ("[none]\ngpio=16=op,dl\n", False),
        ("gpio=16=op,dl\ngpio=16=op,dh\n", False),
        ("gpio=16=op,dl\n[all]\ngpio=16=ip\n", False),
        ("gpio=16=op,dh\ngpio=16=op,dl\n", True),
        ("gpio=99999999999999-=op,dl\ngpio==op\ngpio=--=dl\n", False),
    ],
)
def test_pin_is_held_low_by_the_last_word_of_config_txt(text: str, low: bool) -> None:
    assert held_low(16, text) is low


@pytest.fixture
def pi(tmp_path: Path) -> Machine:
    """A Raspberry Pi on which all is in force."""
    machine = Machine(*(tmp_path / name for name in ("model", "config.txt", "reboot", "wd")))
    machine.model.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    machine.config_txt.write_text("[all]\ngpio=16=op,dl\n")
    (machine.watchdogs / "watchdog0").mkdir(parents=True)
    (machine.watchdogs / "watchdog0/state").write_text("active\n")
    return machine


def test_nothing_is_said_where_all_is_in_force_or_no_pi_is(pi: Machine) -> None:
    assert warnings(16, pi) == []
    pi.config_txt.unlink()
    pi.model.unlink()
    assert warnings(16, pi) == []
    assert warnings(16) == []  # this machine is none


def test_strike_that_is_not_held_low_is_said_with_the_way_out(pi: Machine) -> None:
    pi.config_txt.write_text("# written anew by a hook\n")
    (text,) = warnings(16, pi)
    assert "has no line `gpio=16=op,dl`; run `sudo systemd/install` again, then reboot" in text
    assert warnings(None, pi) == []  # no strike is wired


def test_boot_that_is_still_to_come_is_said(pi: Machine) -> None:
    pi.reboot.touch()
    (text,) = warnings(16, pi)
    assert text.endswith("only from the next boot on: reboot")


def test_watchdog_that_does_not_run_is_said(pi: Machine) -> None:
    (pi.watchdogs / "watchdog0/state").write_text("inactive\n")
    (text,) = warnings(16, pi)
    assert text.startswith("the board's watchdog does not run")
    (pi.watchdogs / "watchdog0/state").unlink()
    assert warnings(16, pi) == []  # this kernel does not tell


@pytest.mark.parametrize(("factory", "warned"), [("gpiod", True), ("mock", False)])
def test_check_config_warns_of_what_is_not_in_force(
    factory: str, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def not_in_force(strike: int | None) -> list[str]:
        asked.append(strike)
        return ["the pin is not held low"]

    monkeypatch.setattr("controller.gpio.early_boot.warnings", not_in_force)
    config = tmp_path / "b.toml"
    config.write_text(f'[pins]\nfactory = "{factory}"\n[lines]\nstrike = 20\n')
    done = CliRunner().invoke(main, ["check-config", "--config", str(config)])
    assert done.exit_code == 0
    assert ("\nwarning: the pin is not held low\n" in done.output) is warned
    assert asked == ([20] if warned else [])
