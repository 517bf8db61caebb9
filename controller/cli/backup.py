"""`backdoor backup`, `restore` and `report`: names, the machine's clock, the services."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from controller.config.loader import ConfigError, load
from controller.config.settings import Config
from controller.maintenance.archive import FORMAT, BackupError, Manifest, file_name, make, versions
from controller.maintenance.contents import contents
from controller.maintenance.report import Source, parts, save
from controller.maintenance.rotation import STAMP, Kept, prune

Echo = Callable[[str], None]
UNITS = ("backdoor-controller", "backdoor-web", "backdoor-notify")


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


@contextmanager
def services_stopped() -> Iterator[None]:
    """Have no service running meanwhile, as root on a machine with systemd.

    The strike goes off with the controller; the way out never needed it.
    """
    running = [unit for unit in UNITS if _is_active(unit)] if os.geteuid() == 0 else []
    if running:
        subprocess.run(["systemctl", "stop", *running], check=False)
    try:
        yield
    finally:
        if running:
            subprocess.run(["systemctl", "start", *running], check=False)


def _is_active(unit: str) -> bool:
    try:
        asked = subprocess.run(
            ["systemctl", "is-active", "--quiet", unit], check=False, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:  # no systemd here
        return False
    return asked.returncode == 0
