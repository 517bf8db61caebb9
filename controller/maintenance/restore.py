"""Restoring a backup on this machine: everything is checked before anything is changed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from itertools import groupby
from pathlib import Path
from typing import IO

from controller.config import atomic_file
from controller.config.loader import ConfigError, parse
from controller.config.settings import Config
from controller.journal.database import MIGRATIONS
from controller.maintenance.archive import COLLECT_S, BackupError, Manifest, opened
from controller.maintenance.contents import CONFIGURATION, Item, Kind, contents
from controller.maintenance.owner import owner

#: A group that may read the pairing secret keeps that right: the page is another user.
MODES = {"state/pairing.secret": 0o640}


def restore(
    backup: Path, config_file: Path, stopped: AbstractContextManager[None]
) -> Iterator[str]:
    """Put back what a backup holds; yield a line for each thing that was done.

    The configuration in it says where the rest belongs. ``stopped`` is entered once all is checked
    and before anything is changed. Raise `BackupError` if backup or machine are not fit for it.
    """
    with opened(backup) as (manifest, files):
        config = _configuration(backup, files)
        items = [item for item in contents(config) if _belongs(item, files)]
        _check_versions(backup, items, files)
        _check_folders(items)
        yield f"{backup}: of {manifest.made_at}, {_program(manifest)}, {len(files)} files"
        with stopped:
            for parent, group in groupby(items, lambda item: item.path.parent):
                aside = _put_back(parent, list(group), files)
                yield f"{parent}: put back" + (f"; what was there is in {aside}" if aside else "")
            yield from _replace(config_file, files[CONFIGURATION].read_text("utf-8"))


def _belongs(item: Item, files: dict[str, Path]) -> bool:
    """Return whether the backup decides on this file: a history that it lacks stays as it is."""
    return item.name in files or item.kind is not Kind.DATABASE


def _program(manifest: Manifest) -> str:
    return f"backdoor {manifest.versions.get('backdoor', '(unknown)')}"


def _configuration(backup: Path, files: dict[str, Path]) -> Config:
    if CONFIGURATION not in files:
        raise BackupError(f"{backup}: has no configuration in it")
    try:
        return parse(tomllib.loads(files[CONFIGURATION].read_text("utf-8")), CONFIGURATION)
    except (ConfigError, ValueError) as error:
        raise BackupError(f"{backup}: its configuration is not understood: {error}") from None


def _check_versions(backup: Path, items: list[Item], files: dict[str, Path]) -> None:
    for item in items:
        if item.kind is Kind.JOURNAL and item.name in files:
            with closing(sqlite3.connect(files[item.name])) as journal:
                version = journal.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise BackupError(
                    f"{backup}: its journal is of version {version} and this program knows"
                    f" {len(MIGRATIONS)}: upgrade first"
                )


def _check_folders(items: list[Item]) -> None:
    for item in items:
        if not item.path.parent.is_dir():
            raise BackupError(
                f"{item.path.parent}: is not there; install first (sudo systemd/install),"
                " then restore"
            )


def _put_back(parent: Path, items: list[Item], files: dict[str, Path]) -> str:
    """Have one folder's files replaced by its owner; return where the old ones are, or nothing."""
    command = [sys.executable, "-P", "-m", "controller.maintenance.put_back"]
    paths = json.dumps([(item.name, str(item.path.absolute()), item.kind) for item in items])
    process = subprocess.Popen(
        [*command, paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **owner(parent),
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as pipe:  # it says why it does not read
        _send(pipe, [(item.name, files[item.name]) for item in items if item.name in files])
    process.stdin = None
    said, errors = process.communicate(timeout=COLLECT_S)
    if process.returncode:
        raise BackupError(errors.decode(errors="replace").strip().splitlines()[-1])
    return str(said, "utf-8").strip()


def _send(pipe: IO[bytes], files: list[tuple[str, Path]]) -> None:
    with tarfile.open(fileobj=pipe, mode="w|") as archive:
        for name, path in files:
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, MODES.get(name, 0o600)
            with path.open("rb") as data:
                archive.addfile(member, data)


def _replace(config_file: Path, text: str) -> Iterator[str]:
    """Replace the configuration, unless it is the same; its rights stay as they were."""
    if not config_file.exists():
        config_file.write_text(text, "utf-8")
        yield f"{config_file}: put back"
        return
    old = config_file.read_bytes()
    if old == text.encode():
        yield f"{config_file}: is the same"
        return
    aside = config_file.with_name(f"{config_file.name}.before-restore")
    for path, content in ((aside, old.decode(errors="surrogateescape")), (config_file, text)):
        atomic_file.replace(path, content, like=config_file)
    yield f"{config_file}: put back; what was there is in {aside}"
