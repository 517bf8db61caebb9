"""`backdoor report`: what it would hold is listed, and saved if the owner says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from controller.config.loader import ConfigError, load
from controller.config.settings import Config
from controller.maintenance.report import Source, parts, save
from controller.maintenance.rotation import STAMP

Echo = Callable[[str], None]


def make_report(config_file: Path, target: Path, echo: Echo, ask: Callable[[str], bool]) -> None:
    """List what a report would hold, ask, and save it; a wrong configuration does not hinder it.

    Raise BackupError when the controller's folder can't be read.
    """
    try:
        config = load(str(config_file))
    except (ConfigError, OSError) as error:
        echo(f"{error}\n(the report is made all the same)")
        config = Config()
    source = Source(config_file, Path(config.journal.path), (Path(config.web.secret_file),))
    now = datetime.now().astimezone()
    found = parts(source, now.timestamp())
    for part in found:
        echo(f"{part.name:18} {len(part.text.encode()) / 1024:8.1f} KiB  {part.what}")
    name = f"backdoor-report-{now.strftime(STAMP)}.zip"
    file = target / name if target.is_dir() else target
    if ask(f"Save it as {file}?"):
        save(file, found)
        echo(f"{file}: saved; look into it before you give it away")
