"""Where the page keeps the list of paired phones."""

from __future__ import annotations

from pathlib import Path

from controller.config.settings import STATE_DIR, Config

#: The page's own directory, from its unit: in the controller's it may only read the secret.
PAGE_DIR = Path("/var/lib/backdoor-web")


def phones_file(config: Config) -> Path:
    """Return the file: in the page's own directory where it is installed, else by the secret."""
    secret = Path(config.web.secret_file)
    folder = PAGE_DIR if secret.parent == Path(STATE_DIR) else secret.parent
    return folder / f"{secret.stem}.phones"
