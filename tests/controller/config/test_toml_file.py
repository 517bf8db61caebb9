"""TOML as people save it: from Windows' editors, and with the mistakes that people make."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest

from controller.config.loader import ConfigError, load
from controller.config.settings import Config
from controller.config.toml_file import TomlError, read_toml

TEXT = '[house]\nvenue = "bar"\ncapacity = 3\n'


def written(folder: Path, data: bytes | str) -> Path:
    file = folder / "b.toml"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


def refused(folder: Path, data: bytes | str) -> str:
    with pytest.raises(TomlError) as caught:
        read_toml(written(folder, data))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        codecs.BOM_UTF8,
    ],
    ids=["UTF-8 BOM", "UTF-8 BOM, CRLF", "UTF-16", "UTF-16 BE", "UTF-32", "empty with BOM"],
)
def test_configuration_from_windows_is_read(data: bytes, tmp_path: Path) -> None:
    capacity = 3 if len(data) > 3 else Config().rules.capacity
    assert load(str(written(tmp_path, data))).rules.capacity == capacity


def test_error_names_file_line_column_and_what_stands_there(tmp_path: Path) -> None:
    file = written(tmp_path, "[sensing]\n# five\nbeam_settle = 0,006   # seconds\n")
    with pytest.raises(ConfigError) as caught:
        load(str(file))
    (problem,) = caught.value.problems
    assert problem.startswith(f"{file}: not TOML: line 3, column 16: ")
    assert "`beam_settle = 0,006   # seconds`" in problem
    assert problem.endswith('; the decimal sign is a point, as in "0.5"')


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("venue = “bar”", "straight quotes"),
        ("venue\u00a0= 'bar'", "an invisible character"),
        ("strike = 016", "begins with no 0"),
        ("venue = bar", 'text stands in "quotes"'),
        ('cert = "C:\\new\\x.pem"', "'single' quotes"),
        ("venue = 'a'\nvenue = 'b'", "`venue = 'b'`; it stands twice in the file: keep one"),
        ("[a]\n[a]", "`[a]`; it stands twice"),
        ("venue 'bar'", "`venue 'bar'`"),
        ("list = [1,", "not TOML: line 1, the last one: "),
        ("a = " + "9" * 5000, "not TOML: a number with thousands of digits"),
        ("a = " + "[" * 100_000, "brackets in brackets without end"),
        ("a = 'x" + "x" * 300, "xxxx...`"),
    ],
)  # fmt: skip
def test_common_mistake_is_explained(line: str, says: str, tmp_path: Path) -> None:
    assert says in refused(tmp_path, line)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password = p#ss", "`password = ...`"),
        ("url = https://calendar.example/private-4711/basic.ics", "`url = ...`"),
        ('urls = ["tgram://4711/CHAT]', "`urls = ...`"),
        ('urls = [\n  tgram://4711/CHAT",\n]', "`...`"),
    ],
)
def test_error_shows_no_secret(line: str, shown: str, tmp_path: Path) -> None:
    text = refused(tmp_path, line)
    assert shown in text
    assert "p#ss" not in text
    assert "4711" not in text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'a = 1\nname = "Caff\xe8"\n', 'line 2: byte 0xe8 is not UTF-8: `name = "Caffè"`; save'),
        (b"\xe8", "line 1: byte 0xe8 is not UTF-8"),
        (codecs.BOM_UTF8 + b"a = 1\nb = '\xe8'", "line 2: byte 0xe8 is not UTF-8: `b = 'è'`"),
        (codecs.BOM_UTF16_LE + b"a", "not whole UTF-16: save it as UTF-8"),
        (codecs.BOM_UTF16_LE, "not TOML: UTF-16 without any text"),
        ("a = 1\nb = 2\n".encode("utf-16-le"), "line 1: a zero byte stands there (UTF-16?)"),
    ],
)
def test_bytes_that_are_no_text_are_named_with_the_way_out(
    data: Any, says: str, tmp_path: Path
) -> None:
    assert says in refused(tmp_path, data)
