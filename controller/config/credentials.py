"""The broker's user name and password, as systemd gives them to one service and no other.

Controller and page read one configuration but are two users of the broker with different rights,
so their passwords are not in it: the units load each its own credential.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from controller.config.settings import Config

#: ``LoadCredential=broker:...`` in the units: one line, ``user:password``.
NAME = "broker"
#: The page's history: the broker takes one login for one client, and the page is one already.
HISTORY = "nights"

log = logging.getLogger(__name__)


def with_login(config: Config) -> Config:
    """Return the configuration with this service's login, unless the owner has set a user."""
    return config if config.mqtt.username else _with(config, _login(NAME))


def with_history_login(config: Config) -> Config:
    """Return it with the history's login instead of the page's, where both are the units'."""
    ours = _login(NAME)
    return _with(config, _login(HISTORY)) if ours and ours[0] == config.mqtt.username else config


def _with(config: Config, login: tuple[str, str] | None) -> Config:
    if login is None:
        return config
    return replace(config, mqtt=replace(config.mqtt, username=login[0], password=login[1]))


def _login(name: str) -> tuple[str, str] | None:
    """Return user and password of a credential; None where the unit has none."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    file = Path(folder, name)
    if not folder or not file.is_file():
        return None
    try:
        user, _, password = file.read_text(encoding="utf-8").strip().partition(":")
    except (OSError, ValueError) as error:  # the door needs no broker
        log.error("%s: can't be read (%s): without a login the broker may refuse us", file, error)
        return None
    return user, password
