"""The backup's file: a compressed tar that begins with a manifest, and how it is made and read.

The manifest names the format, the versions, and each file's SHA-256. Nothing is trusted when it is
read: only the names that we know, only plain files, only what has the sum that the manifest says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from controller.config.atomic_file import check_replaceable
from controller.maintenance.contents import CONFIGURATION, MANIFEST, Item
from controller.maintenance.owner import owner

#: Raised when an older program could no longer restore what is in it.
FORMAT = 1
PREFIX = "backdoor-"
ENDING = ".tar.gz"
MOST_MANIFEST = 1024 * 1024
#: A backup is made in seconds; a disk that hangs is no reason to hang for ever.
COLLECT_S = 600.0


class BackupError(Exception):
    """A backup cannot be made or restored; the text names the file, why, and the way out."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself; ``files`` are its names with their SHA-256."""

    format: int
    made_at: str
    venue: str
    versions: dict[str, str]
    files: dict[str, str]


def file_name(venue: str, made_at: str) -> str:
    """Return the name of a backup: ``made_at`` is local time, ``20261125T083000``."""
    return f"{PREFIX}{venue}-{made_at}{ENDING}"


def make(items: Sequence[Item], config_file: Path, target: Path, manifest: Manifest) -> Manifest:
    """Write a backup to ``target`` (mode 0600) in one step, and read it back before it counts.

    Raise `BackupError`; then there is no file, or the one that was there before.
    """
    try:
        check_replaceable(target)
        with tempfile.TemporaryDirectory(prefix=".backdoor-", dir=target.parent) as name:
            folder = Path(name)
            found = [(CONFIGURATION, _configuration(config_file, folder))]
            found += _collected(items, folder)
            whole = _manifest(manifest, found)
            made = folder / "whole"
            _write(made, whole, found)
            with opened(made):
                made.replace(target)
            _sync(target.parent)
    except OSError as error:
        place = error.filename or target
        raise BackupError(f"{place}: {error.strerror or error}; no backup was made") from None
    return whole


def _configuration(config_file: Path, folder: Path) -> Path:
    copy = folder / "backdoor.toml"
    copy.write_bytes(config_file.read_bytes())
    return copy


def _collected(items: Sequence[Item], folder: Path) -> Iterator[tuple[str, Path]]:
    """Have each folder's files copied by its owner; yield their names and where the copies are."""
    for number, (parent, group) in enumerate(groupby(items, lambda item: item.path.parent)):
        if not parent.is_dir():
            continue
        part = folder / f"part-{number}"
        _run_as_owner(parent, list(group), part)
        names = {item.name for item in items}
        with tarfile.open(part) as copies:
            for member in copies:
                if member.isreg() and member.name in names:
                    yield member.name, _taken(copies, member, folder / f"{number}-{member.offset}")
        part.unlink()


def _taken(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Path:
    stream = archive.extractfile(member)
    assert stream is not None
    with path.open("wb") as file:
        while block := stream.read(1 << 20):
            file.write(block)
    return path


def _run_as_owner(parent: Path, items: list[Item], part: Path) -> None:
    command = [sys.executable, "-P", "-m", "controller.maintenance.collect"]
    paths = json.dumps([(item.name, str(item.path.absolute()), item.kind) for item in items])
    with part.open("wb") as output:
        done = subprocess.run(
            [*command, paths],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=COLLECT_S,
            **owner(parent),
        )
    if done.returncode:
        raise BackupError(f"{done.stderr.strip().splitlines()[-1]}; no backup was made")


def _manifest(manifest: Manifest, found: list[tuple[str, Path]]) -> Manifest:
    sums = {name: _sum(path) for name, path in found}
    return Manifest(**(_fields(manifest) | {"files": sums}))


def _fields(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in Manifest.__slots__}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, manifest: Manifest, found: list[tuple[str, Path]]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            text = json.dumps(_fields(manifest), indent=1).encode()
            first = tarfile.TarInfo(MANIFEST)
            first.size, first.mode = len(text), 0o600
            archive.addfile(first, io.BytesIO(text))
            for name, part in found:
                member = tarfile.TarInfo(name)
                member.size, member.mode = part.stat().st_size, 0o600
                with part.open("rb") as data:
                    archive.addfile(member, data)
        file.flush()
        os.fsync(handle)


def _sync(folder: Path) -> None:
    with suppress(OSError):  # a stick's file system may not know it
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# --- reading ------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path) -> Iterator[tuple[Manifest, dict[str, Path]]]:
    """Yield a backup's manifest and its files, unpacked and checked; raise `BackupError`."""
    with tempfile.TemporaryDirectory(prefix="backdoor-restore-", dir=path.parent) as name:
        try:
            with tarfile.open(path, "r:gz") as archive:
                manifest = _read_manifest(archive)
                files = dict(_unpacked(archive, manifest, Path(name)))
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise BackupError(f"{path}: is no backup, or a damaged one ({error})") from None
        missing = sorted(set(manifest.files) - set(files))
        if missing:
            raise BackupError(f"{path}: is damaged: it lacks {', '.join(missing)}")
        yield manifest, files


def _read_manifest(archive: tarfile.TarFile) -> Manifest:
    first = archive.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > MOST_MANIFEST:
        raise ValueError("it does not begin with a manifest")
    stream = archive.extractfile(first)
    assert stream is not None
    fields = json.loads(stream.read())
    if not isinstance(fields, dict) or not isinstance(fields.get("format"), int):
        raise ValueError("its manifest names no format")
    if fields["format"] > FORMAT:
        made_by = (fields.get("versions") or {}).get("backdoor", "a newer one")
        raise BackupError(
            f"it is of format {fields['format']} (backdoor {made_by}) and this program knows"
            f" {FORMAT}: upgrade first"
        )
    try:
        return Manifest(**{name: fields[name] for name in Manifest.__slots__})
    except KeyError as error:
        raise ValueError(f"its manifest has no {error}") from None


def _unpacked(
    archive: tarfile.TarFile, manifest: Manifest, folder: Path
) -> Iterator[tuple[str, Path]]:
    for number, member in enumerate(archive):
        wanted = manifest.files.get(member.name)
        if wanted is None or not member.isreg():
            continue
        path = _taken(archive, member, folder / str(number))
        if _sum(path) != wanted:
            raise ValueError(f"{member.name} is not what was put in")
        yield member.name, path


def versions(program: str) -> dict[str, str]:
    """Return what wrote the files: program, Python, SQLite, operating system."""
    return {
        "backdoor": program,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
    }
