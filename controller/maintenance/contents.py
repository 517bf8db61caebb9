"""What belongs into a backup: the owner's files, by the configuration, one row each."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from controller.config.learned_rhythms import learned_file
from controller.config.phones_file import phones_file
from controller.config.settings import Config

CONFIGURATION = "config/backdoor.toml"
MANIFEST = "manifest.json"


class Kind(StrEnum):
    """How a file is copied: as it is, or as a database that others write meanwhile."""

    FILE = "file"
    JOURNAL = "journal"
    DATABASE = "database"


class Item(NamedTuple):
    """One file: its name in the backup, where it lies on this machine, and its kind."""

    name: str
    path: Path
    kind: Kind = Kind.FILE


def contents(config: Config) -> list[Item]:
    """Return the files besides the configuration. Any of them may be missing.

    Not among them: the broker's logins, which each installation makes for itself; the raw edges of
    the last day; what the messages' service remembers for a minute.
    """
    phones = phones_file(config)
    items = [
        Item("state/journal.db", Path(config.journal.path), Kind.JOURNAL),
        Item("state/regulars.toml", learned_file(config)),
        Item("state/pairing.secret", Path(config.web.secret_file)),
        # Where no page has run there is no folder for its list.
        *([Item("state/pairing.phones", phones)] if phones.parent.is_dir() else []),
    ]
    database = config.nights.database
    if database and "://" not in database:  # a Postgres has backups of its own
        items.append(Item("state/nights.db", Path(database), Kind.DATABASE))
    return items
