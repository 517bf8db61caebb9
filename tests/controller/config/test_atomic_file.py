"""Replacing a file: the old text or the new one, in one step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.config.atomic_file import replace, write_beside


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
