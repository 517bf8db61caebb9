"""A certificate for localhost, made as the README says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str = "localhost") -> tuple[str, str]:
    """Return the files of a new certificate for a name and its key, in this folder."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is missing: sudo apt install openssl"
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={name}"
    names = ["-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    subprocess.run(
        [openssl, *made.split(), *names, "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key
