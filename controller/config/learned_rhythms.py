"""Knock rhythms that `self-test --learn` recorded: one line each in a file beside the journal.

The configuration file is the owner's and is never written. A rhythm of the same name in it wins.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller.config import atomic_file
from controller.config.settings import Config
from controller.config.toml_file import parse_toml
from controller.config.types import rhythms
from controller.sensing.rhythms import Rhythm

log = logging.getLogger(__name__)


def learned_file(config: Config) -> Path:
    """Return the file in which learned rhythms are kept."""
    return Path(config.journal.path).with_name("regulars.toml")


def with_learned(config: Config, damaged: list[str] | None = None) -> Config:
    """Return the configuration with the learned rhythms.

    A file that can't be read adds none, and its name to ``damaged``.
    """
    own, file = config.sensing.regulars, learned_file(config)
    named = {name for name, _ in own}
    found = _read(file)
    if found is None and damaged is not None:
        damaged.append(file.name)
    learned = tuple(known for known in found or () if known[0] not in named)
    return replace(config, sensing=replace(config.sensing, regulars=(*own, *learned)))


def keep(file: Path, name: str, gaps: Sequence[float]) -> None:
    """Save a rhythm under its name, in place of an older one of that name; raise OSError if not."""
    known = dict(_read(file) or ()) | {name: tuple(gaps)}
    named = {json.dumps(each, ensure_ascii=False): list(parts) for each, parts in known.items()}
    lines = (f"{each} = {parts}\n" for each, parts in named.items())
    atomic_file.replace(file, "".join(lines))


def _read(file: Path) -> tuple[Rhythm, ...] | None:
    """Return the rhythms in the file; None, with a warning, where it can't be read."""
    try:
        found: Any = rhythms.read(parse_toml(atomic_file.read_regular(file)))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        log.warning(
            "%s: can't be read (%s); learned rhythms are not used. Delete it and learn them again",
            file,
            error,
        )
        return None
    return tuple(found)
