"""`backdoor backup`: where it goes, what it is called, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from controller.config.settings import Config
from controller.maintenance.archive import FORMAT, BackupError, Manifest, file_name, make, versions
from controller.maintenance.contents import contents
from controller.maintenance.rotation import STAMP, Kept, prune

Echo = Callable[[str], None]


def make_backup(config: Config, config_file: Path, target: Path | None, echo: Echo) -> None:
    """Make one backup, and say what is in it; with no target in the owner's folder, and prune.

    Raise BackupError when it can't be made.
    """
    settings = config.backup
    if target is None and not settings.folder:
        echo('[backup] folder: is ""; nothing to do. Name a folder there, or on the command line')
        return
    chosen = Path(settings.folder) if target is None else target
    if target is None and not chosen.is_dir():
        raise BackupError(f"{chosen}: is not there: is the stick plugged in? No backup was made")
    now = datetime.now().astimezone()
    file = chosen / file_name(config.venue, now.strftime(STAMP)) if chosen.is_dir() else chosen
    manifest = Manifest(
        FORMAT, now.isoformat(timespec="seconds"), config.venue, versions(version("backdoor")), {}
    )
    made = make(contents(config), config_file, file, manifest)
    echo(f"{file}: {', '.join(made.files)}; {max(file.stat().st_size >> 10, 1)} KiB, read back")
    _say_where(file, config, echo)
    if target is None:
        kept = Kept(settings.keep_days, settings.keep_weeks, settings.keep_months)
        for old in prune(chosen, config.venue, kept):
            echo(f"{old}: removed")


def _say_where(file: Path, config: Config, echo: Echo) -> None:
    """Warn of a backup on the card that it is to outlive; and say what it holds."""
    state = Path(config.journal.path).parent
    if state.is_dir() and file.stat().st_dev == state.stat().st_dev:
        echo("it is on the same disk as what it saves: copy it to another one")
    echo("it holds the pairing secret and the passwords of the configuration: keep it to yourself")
