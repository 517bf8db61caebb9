"""The list of paired phones lies where the page may write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.config.phones_file import phones_file
from controller.config.settings import Config, Web


@pytest.mark.parametrize(
    ("secret", "phones"),
    [
        (Web().secret_file, "/var/lib/backdoor-web/pairing.phones"),
        ("/tmp/x/pairing.secret", "/tmp/x/pairing.phones"),
        ("/tmp/x/s", "/tmp/x/s.phones"),
    ],
)
def test_phones_lie_in_the_pages_own_directory_or_beside_the_secret(
    secret: str, phones: str
) -> None:
    config = replace(Config(), web=Web(secret_file=secret))
    assert phones_file(config) == Path(phones)
