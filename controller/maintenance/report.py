"""One file to attach to a bug report: everything that helps, nothing that is anybody's business.

It holds versions, the configuration, the log, the last day's events, and the raw edges, which can
be replayed. Secrets and names are taken out of all of it; what cannot be freed of them is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

from controller.config.atomic_file import check_replaceable
from controller.maintenance import facts
from controller.maintenance.archive import COLLECT_S, BackupError
from controller.maintenance.gather import HIDDEN, JOURNAL, TRACE
from controller.maintenance.owner import owner
from controller.maintenance.redact import Redactor, secrets_of, shown_configuration

DAY_S = 86_400.0
LEFT_OUT = "left out: the names and secrets to be taken out of it could not be read\n"
README = """\
A report of Backdoor. To see what the controller saw, with a checkout of the same version:
  backdoor replay trace.csv
Texts of the configuration, names, addresses and secrets are replaced by (removed).
"""


class Source(NamedTuple):
    """Where things are: by the configuration, or by its defaults if that can't be read."""

    config_file: Path
    journal: Path
    secret_files: tuple[Path, ...]


class Part(NamedTuple):
    """One file of the report, and what it is."""

    name: str
    what: str
    text: str


def parts(source: Source, now_s: float) -> list[Part]:
    """Return what the report would hold; nothing is written yet."""
    document, problem = _document(source.config_file)
    gathered = _gathered(source, now_s)
    hidden = _hidden(gathered)
    redactor = Redactor(secrets_of(document) | set(hidden or ()) | _logins(source.config_file))
    known = hidden is not None and not problem
    lines = gathered.get(JOURNAL, "").splitlines()
    events = "".join(f"{redactor.event(line)}\n" for line in lines)
    return [
        Part("README.txt", "how to use it", README),
        Part("machine.txt", "board, system, versions of everything", facts.machine()),
        Part("services.txt", "which services run, and how they ended", facts.services()),
        Part("configuration.txt", "the configuration without its texts",
             problem or shown_configuration(document)),
        Part("log.txt", "what the services logged in the last day",
             redactor(facts.logs(now_s - DAY_S)) if known else LEFT_OUT),
        Part(JOURNAL, "the newest events, without who it was", events if known else LEFT_OUT),
        Part(TRACE, "each edge of each wire in the last day, to be replayed",
             gathered.get(TRACE, "cannot be read\n")),
    ]  # fmt: skip


def save(report: Path, chosen: Iterable[Part]) -> None:
    """Write the report (mode 0600) in one step; raise OSError if it can't be written."""
    check_replaceable(report)
    with tempfile.TemporaryDirectory(prefix=".backdoor-", dir=report.parent) as name:
        new = Path(name, "report")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with (
            os.fdopen(handle, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole,
        ):
            for part in chosen:
                whole.writestr(part.name, part.text)
        new.replace(report)


def _document(config_file: Path) -> tuple[dict[str, Any], str]:
    """Return the configuration as it is written, and why it can't be read."""
    try:
        return tomllib.loads(config_file.read_text("utf-8-sig")), ""
    except (OSError, ValueError) as error:
        return {}, f"cannot be read: {type(error).__name__}\n"


def _hidden(gathered: dict[str, str]) -> list[str] | None:
    """Return what the controller's folder says must not be shown; None if it does not say."""
    try:
        found = json.loads(gathered[HIDDEN])
    except (KeyError, ValueError):
        return None
    return [str(each) for each in found]


def _logins(config_file: Path) -> set[str]:
    """Return the names and passwords of the services at the broker, where we may read them."""
    found: set[str] = set()
    for file in config_file.parent.glob("*.login"):
        try:
            name, _, password = file.read_text("utf-8").strip().partition(":")
        except (OSError, ValueError):
            continue
        found |= {password, f"{name}:{password}"}
    return found


def _gathered(source: Source, now_s: float) -> dict[str, str]:
    """Have the controller's folder read by its owner."""
    if not source.journal.parent.is_dir():
        return {HIDDEN: "[]"}
    command = [sys.executable, "-P", "-m", "controller.maintenance.gather", str(source.journal)]
    command += [str(now_s - DAY_S), str(now_s), *map(str, source.secret_files)]
    with tempfile.TemporaryFile() as output:
        try:
            subprocess.run(
                command,
                stdout=output,
                check=True,
                timeout=COLLECT_S,
                **owner(source.journal.parent),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BackupError(f"{source.journal.parent}: cannot be read: {error}") from None
        output.seek(0)
        return dict(_members(output))


def _members(output: IO[bytes]) -> Iterable[tuple[str, str]]:
    with tarfile.open(fileobj=output) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                yield member.name, stream.read().decode(errors="replace")
