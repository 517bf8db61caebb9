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

log = logging.getLogger(__name__)


def with_login(config: Config) -> Config:
    """Return the configuration with this service's login, unless the owner has set a user."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    file = Path(folder, NAME)
    if config.mqtt.username or not folder or not file.is_file():
        return config
    try:
        username, _, password = file.read_text(encoding="utf-8").strip().partition(":")
    except (OSError, ValueError) as error:  # the door needs no broker
        log.error("%s: can't be read (%s): without a login the broker may refuse us", file, error)
        return config
    return replace(config, mqtt=replace(config.mqtt, username=username, password=password))
