"""The program that systemd runs after every end of the controller: the strike's line goes low."""

from __future__ import annotations

import runpy
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path("systemd/strike-off")

#: The kernel's own header decides what the numbers are.
LAYOUT = """
#include <linux/gpio.h>
#include <stddef.h>
#include <stdio.h>
#define AT(field) offsetof(struct gpio_v2_line_request, field)
int main(void) {
  printf("%lu %lu %zu %zu %zu %zu %zu %llu", (unsigned long)GPIO_GET_CHIPINFO_IOCTL,
         (unsigned long)GPIO_V2_GET_LINE_IOCTL, AT(consumer), AT(config.flags), AT(num_lines),
         AT(fd), sizeof(struct gpio_v2_line_request), (unsigned long long)GPIO_V2_LINE_FLAG_OUTPUT);
  return 0;
}
"""


@pytest.fixture
def program() -> dict[str, Any]:
    return runpy.run_path(str(PROGRAM))


def test_struct_sizes_and_ioctl_numbers_are_the_kernels(
    program: dict[str, Any], tmp_path: Path
) -> None:
    assert shutil.which("cc"), "a C compiler is missing: sudo apt install gcc libc6-dev"
    (tmp_path / "layout.c").write_text(LAYOUT)
    subprocess.run(["cc", "-o", tmp_path / "layout", tmp_path / "layout.c"], check=True)
    done = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True)
    info, line, consumer, flags, count, fd, size, output = map(int, done.stdout.split())
    assert (program["GET_CHIPINFO"], program["GET_LINE"]) == (info, line)
    assert (program["REQUEST"].size, program["OUTPUT"]) == (size, output)
    packed = program["REQUEST"].pack(16, *[0] * 63, b"me", output, 0, 1, 0, 7)
    assert packed[consumer : consumer + 2] == b"me"
    assert struct.unpack_from("Q", packed, flags) == (output,)
    assert struct.unpack_from("I", packed, count) == (1,)
    assert struct.unpack_from("i", packed, fd) == (7,)


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("[lines]\nstrike = 16\n", 16),
        ('[lines]\nstrike = { pin = 20, active = "high" }\n', 20),
        ("[lines.strike]\npin = 21\n", 21),
        ("[lines]\ndoor_contact = 24\n", None),
        ("", None),
        ("[lines\nstrike = 16  # being edited just now\n", 16),
        ("[lines\n  strike = { pull = 'none', pin = 12 }\n", 12),
        ("[lines\n# strike = 16\n", None),
        ("[lines]\nstrike = 16\nx = " + "9" * 5000, 16),
        ("[lines]\nstrike = 16\nx = " + "[" * 5000, 16),
    ],
)
def test_strike_pin_of_the_configuration(
    program: dict[str, Any], text: str, pin: int | None
) -> None:
    assert program["strike_pin"](text) == pin


#: What may stand where the number should: every type that TOML has, and numbers that are no pin.
WRONG = (
    "5", "true", '"16"', "16.0", "nan", "inf", "-1", "64", "99999999999999999999", "[16]", "[]",
    "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", '"' + "x" * 5000 + '"', "0x" + "f" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("value", WRONG, ids=lambda value: value[:12])
@pytest.mark.parametrize(
    "text",
    ["lines = {}", "[lines]\nstrike = {}", "[lines.strike]\npin = {}", "lines.strike.pin.x = {}"],
)
def test_wrong_type_anywhere_is_one_line_with_way_out(
    text: str, value: str, tmp_path: Path
) -> None:
    """As systemd starts it; a value that is no pin must not end in a traceback, nor as a pin."""
    if value == "5" and "lines = {}" not in text:
        return
    config = tmp_path / "backdoor.toml"
    config.write_text(text.format(value) + "\n")
    done = subprocess.run(
        ["/usr/bin/python3", "-IS", PROGRAM, config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("strike-off: the strike may be on: [lines]")
    assert done.stderr.endswith("; cut its supply\n")
    assert len(done.stderr) < 200


@pytest.mark.parametrize(
    "raw",
    [b"\xef\xbb\xbf[lines]\nstrike = 16\n", "[lines]\r\nstrike = 16\r\n".encode("utf-16"),
     b"# caff\xe8\n[lines]\nstrike = 16\n", b"\0\0\n[lines]\nstrike = 16\n"],
    ids=["a mark of UTF-8", "UTF-16", "Latin-1", "zeros"],
)  # fmt: skip
def test_strike_pin_of_a_file_that_is_not_plain_utf_8(program: dict[str, Any], raw: bytes) -> None:
    assert program["strike_pin"](program["decoded"](raw)) == 16


def test_chip_that_does_not_answer_does_not_hide_the_headers(
    program: dict[str, Any], chip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpiochip0").unlink()
    (tmp_path / "gpiochip0").mkdir()  # opening it fails
    (tmp_path / "gpiochip9").touch()  # the header's, renumbered
    config = tmp_path / "backdoor.toml"
    config.write_text("[lines]\nstrike = 16\n")
    assert program["main"](str(config)) == 0
    assert chip == [(16, program["OUTPUT"], 1)]


@pytest.fixture
def chip(program: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand in for the kernel at the ioctl: one chip that is not the header's, and one that is."""
    for number in range(2):
        (tmp_path / f"gpiochip{number}").touch()
    asked: list[tuple[int, int, int]] = []
    labels = iter([b"raspberrypi-exp-gpio", b"pinctrl-rp1"])

    def ioctl(fd: int, request: int, argument: bytes) -> bytes:
        if request == program["GET_CHIPINFO"]:
            return bytes(program["INFO"].pack(b"gpiochip", next(labels), 54))
        assert request == program["GET_LINE"]
        fields = list(program["REQUEST"].unpack(argument))
        asked.append((fields[0], fields[65], fields[67]))
        with (tmp_path / "line").open("w") as line:
            fields[-1] = __import__("os").dup(line.fileno())
        return bytes(program["REQUEST"].pack(*fields))

    main = program["main"]
    monkeypatch.setitem(main.__globals__, "CHIPS", str(tmp_path / "gpiochip*"))
    monkeypatch.setattr("fcntl.ioctl", ioctl)
    return asked


def test_line_is_requested_as_output_at_low(
    program: dict[str, Any], chip: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "backdoor.toml"
    config.write_text("[lines]\nstrike = 16\n")
    assert program["main"](str(config)) == 0
    assert chip == [(16, program["OUTPUT"], 1)]
    assert capsys.readouterr().out == "strike-off: GPIO 16 is low\n"


@pytest.mark.parametrize("config", ["/no/such/file", None])
def test_failure_is_one_line_with_way_out(
    program: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    config: str | None,
) -> None:
    if config is None:
        config = str(tmp_path / "backdoor.toml")
        Path(config).write_text("[lines]\nstrike = 16\n")
        (tmp_path / "gpiochip0").touch()  # a file that is no chip
        monkeypatch.setitem(program["main"].__globals__, "CHIPS", str(tmp_path / "gpiochip*"))
    assert program["main"](config) == 1
    assert "the strike may be on" in capsys.readouterr().err


def test_nothing_is_done_without_pins_or_strike(tmp_path: Path) -> None:
    """As systemd starts it: the system's Python, isolated, nothing of ours on its path."""
    config = tmp_path / "backdoor.toml"
    for text in ("[lines]\nstrike = 16\n", "[lines]\n"):
        config.write_text(text)
        done = subprocess.run(
            ["/usr/bin/python3", "-IS", PROGRAM, config], capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_strike_off_does_not_use_the_controller() -> None:
    assert "controller" not in PROGRAM.read_text().split('"""')[2]
