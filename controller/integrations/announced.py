"""The names under which this house was known before: what it left under them is to be cleared.

A file beside the journal has the present name and the last ones. Another house may bear a former
name by now: where somebody is ``online`` under it, everything is left as it is.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controller.config import atomic_file
from controller.config.settings import Config
from controller.integrations.discovery import retained_topics
from controller.mqtt.message import Topics

log = logging.getLogger(__name__)

FILE = "announced.json"
#: So many former names are remembered.
KEPT = 5
Name = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class FormerName:
    """The status of a house of this name, and every topic on which it may have left something."""

    status: str
    topics: tuple[str, ...]


def former_names(config: Config) -> list[FormerName]:
    """Return the names before this one, and note this one; a disk that fails forgets them."""
    path, own = Path(config.journal.path).with_name(FILE), _name(config)
    known = _read(path)
    former = [name for name in known if name != own][:KEPT]
    if known != [own, *former]:
        try:
            atomic_file.replace(path, json.dumps([own, *former]) + "\n")
        except OSError as error:
            log.warning("%s: can't be written (%s); a former name may stay", path, error)
    return [_former(config, *name) for name in former]


def _name(config: Config) -> Name:
    return (config.mqtt.prefix, config.venue, config.homeassistant.prefix)


def _former(config: Config, prefix: str, venue: str, discovery_prefix: str) -> FormerName:
    was = replace(
        config,
        venue=venue,
        mqtt=replace(config.mqtt, prefix=prefix),
        homeassistant=replace(config.homeassistant, prefix=discovery_prefix),
    )
    now = set(retained_topics(config))
    topics = tuple(topic for topic in retained_topics(was) if topic not in now)
    return FormerName(Topics.of(was)("status"), topics)


def _read(path: Path) -> list[Name]:
    """Return the names in the file, the newest first; none where it makes no sense."""
    try:
        found: Any = json.loads(atomic_file.read_regular(path).decode())
        names = [(str(prefix), str(venue), str(discovery)) for prefix, venue, discovery in found]
    except (OSError, ValueError, TypeError):
        return []
    return [
        name for name in names if all(name) and not any(set(part) & set("+#\0") for part in name)
    ]
