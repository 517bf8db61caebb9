"""Replacing a file: the old text or the new one, in one step."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.config.atomic_file import MOST_BYTES, read_regular, replace, write_beside
from controller.config.learned_rhythms import with_learned
from controller.integrations.announced import former_names
from controller.journal.doubt import DoubtMark, NewestStep
from tests.support.demo import demo_config
from tests.support.rows import saved


def test_replace_puts_new_text_in_place_and_leaves_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "rhythms.toml"
    replace(file, "old")
    replace(file, "Zoë")
    assert file.read_text(encoding="utf-8") == "Zoë"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_replace_is_a_rename_so_an_open_file_keeps_the_old_text(tmp_path: Path) -> None:
    file = tmp_path / "rhythms.toml"
    replace(file, "old")
    with file.open() as still_open:
        replace(file, "new")
        assert still_open.read() == "old"


def test_write_beside_is_in_the_same_folder_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    beside = write_beside(tmp_path / "secret", "text")
    assert (beside.parent, beside.read_text()) == (tmp_path, "text")
    assert synced == [4]


def test_write_beside_in_a_missing_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_beside(tmp_path / "gone" / "secret", "text")


@pytest.mark.parametrize("text", ["Zo\ud800", "text"], ids=["unwritable text", "disk full"])
def test_write_that_fails_leaves_no_temporary_file(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "rhythms.toml"
    replace(file, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((OSError, UnicodeEncodeError)):
        replace(file, text)
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "old"


def test_replace_of_what_is_no_file_leaves_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "rhythms.toml"
    (folder / "not empty").mkdir(parents=True)
    with pytest.raises(OSError, match=r"rhythms\.toml"):
        replace(folder, "text")
    assert list(tmp_path.iterdir()) == [folder]


def a_pipe(file: Path) -> None:
    os.mkfifo(file)


def a_folder(file: Path) -> None:
    file.mkdir()


def a_device_without_end(file: Path) -> None:
    file.symlink_to("/dev/zero")


def a_file_too_large(file: Path) -> None:
    file.touch()
    os.truncate(file, MOST_BYTES + 1)


NO_FILES = [a_pipe, a_folder, a_device_without_end, a_file_too_large]


@pytest.mark.parametrize("put", NO_FILES)
def test_what_stands_in_the_place_of_a_file_is_not_waited_for(
    put: Callable[[Path], None], tmp_path: Path
) -> None:
    put(tmp_path / "file")
    with pytest.raises(OSError, match=r"is no regular file|is larger than 16 MiB|Is a directory"):
        read_regular(tmp_path / "file")


@pytest.mark.parametrize("put", NO_FILES)
def test_start_waits_for_no_file_beside_the_journal(
    put: Callable[[Path], None], tmp_path: Path
) -> None:
    """A pipe in the place of `announced.json` kept a controller from its pins for ever."""
    config = demo_config(tmp_path)
    for name in ("announced.json", "regulars.toml", "journal.db-doubt", "journal.db-newest"):
        put(tmp_path / name)
    damaged: list[str] = []
    with_learned(config, damaged)
    assert damaged == ["regulars.toml"]
    assert former_names(config) == []
    mark, newest = DoubtMark(tmp_path / "journal.db"), NewestStep(tmp_path / "journal.db")
    assert mark.reason()
    assert newest.missing_from(saved(1), "boot")
    with newest.writing(saved(1)):
        pass
    newest.close()
