"""Rhythms that `self-test --learn` took down: one line each in a file beside the journal.

The configuration is the owner's and never written to; a rhythm of the same name there counts more.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller.config.settings import Config
from controller.config.types import rhythms
from controller.sensing.rhythms import Rhythm

log = logging.getLogger(__name__)


def learned_file(config: Config) -> Path:
    """Return where learned rhythms are kept."""
    return Path(config.journal.path).with_name("regulars.toml")


def with_learned(config: Config) -> Config:
    """Return the configuration with the learned rhythms; a file that can't be read adds none."""
    own = config.sensing.regulars
    named = {name for name, _ in own}
    learned = tuple(known for known in _read(learned_file(config)) if known[0] not in named)
    return replace(config, sensing=replace(config.sensing, regulars=(*own, *learned)))


def keep(file: Path, name: str, gaps: Sequence[float]) -> None:
    """Keep a rhythm under its name, in place of an older one of that name."""
    known = dict(_read(file)) | {name: tuple(gaps)}
    named = {json.dumps(each, ensure_ascii=False): list(parts) for each, parts in known.items()}
    lines = (f"{each} = {parts}\n" for each, parts in named.items())
    handle, beside = tempfile.mkstemp(prefix=".regulars-", dir=file.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as new:
        new.write("".join(lines))
        new.flush()
        os.fsync(new.fileno())
    os.replace(beside, file)


def _read(file: Path) -> tuple[Rhythm, ...]:
    try:
        found: Any = rhythms.read(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:  # TOML's and Unicode's mistakes are ValueErrors
        log.warning("%s: learned rhythms can't be read (%s)", file, error)
        return ()
    return tuple(found)
