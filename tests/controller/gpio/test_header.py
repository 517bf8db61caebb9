"""The wiring as it is drawn: the right holes, and the README's picture is the program's own."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from gpiozero.pins.mock import MockFactory

from controller.cli.main import main
from controller.config.header import GROUNDS, HEADER, POWER
from controller.config.settings import WIRING, LineSettings
from controller.gpio.header import NOTES, svg, table

PICTURE = Path(__file__).parents[3] / "web" / "pictures" / "wiring.svg"
SVG = "{http://www.w3.org/2000/svg}"


def words(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_header_pins_agree_with_gpiozero() -> None:
    (header,) = [h for h in MockFactory().board_info.headers.values() if h.name == "J8"]
    for number, pin in header.pins.items():
        if pin.name.startswith("GPIO"):
            assert HEADER[int(pin.name[4:])] == number
        else:
            assert number in GROUNDS if pin.name == "GND" else POWER[number].replace(" ", "")
    assert len(HEADER) + len(GROUNDS) + len(POWER) == len(header.pins) == 40


def test_every_line_has_a_note() -> None:
    assert set(NOTES) == set(WIRING)


def test_table_has_lines_in_header_order() -> None:
    rows = table(WIRING)
    assert rows[0].split()[:5] == ["header", "BCM", "line", "active", "pull"]
    assert [int(row.split()[0]) for row in rows[1:]] == sorted(
        HEADER[line.pin] for line in WIRING.values()
    )
    assert "    36   16  strike          high    none  relay board" in "\n".join(rows)


def test_table_of_a_pin_not_on_the_header() -> None:
    assert table({"strike": LineSettings(28)})[1].startswith("     -   28  strike")
    assert "GPIO 28" not in svg({"strike": LineSettings(28)})


def test_drawing_names_each_line_at_its_pin() -> None:
    drawn = words(svg(WIRING))
    assert "strike · GPIO 16" in drawn
    assert "GPIO 17 · hatch_knock" in drawn
    assert drawn.count("ground") == len(GROUNDS)
    assert len(drawn) == 1 + 2 * 40
    assert "strike" not in " ".join(words(svg({})))


def test_drawing_in_the_documents_is_of_the_default_wiring() -> None:
    assert PICTURE.read_text(encoding="utf-8") == svg(WIRING), (
        "draw it: python -c 'from controller.gpio.header import *;"
        " from controller.config.settings import WIRING;"
        ' print(svg(WIRING), end="")\' > web/pictures/wiring.svg'
    )


@pytest.mark.parametrize("drawn", [False, True])
def test_check_config_prints_the_table_and_draws_on_request(tmp_path: Path, drawn: bool) -> None:
    config, picture = tmp_path / "b.toml", tmp_path / "header.svg"
    config.write_text("[lines]\nstrike = 20\n")
    asked = ["check-config", "--config", str(config)] + (["--svg", str(picture)] if drawn else [])
    done = CliRunner().invoke(main, asked)
    assert (done.exit_code, picture.exists()) == (0, drawn)
    assert done.output.splitlines()[1].split()[:3] == ["38", "20", "strike"]
    if drawn:
        assert "strike · GPIO 20" in words(picture.read_text(encoding="utf-8"))
