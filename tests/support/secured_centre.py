"""A centre of one NATS node with users, rights and TLS, as `backdoor centre` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner

from controller.cli.main import main
from tests.conftest import free_port
from tests.support.nats import Node
from web.centre.bars import node_config


class Centre:
    """One node as `backdoor centre node` writes it, on other ports, and its bars."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self.folder, self.certificates = folder, certificates
        self.server = Configured(self)

    def run(self, *args: str) -> Any:
        return CliRunner().invoke(main, ["centre", *args, "--folder", str(self.folder)])

    def add(self, name: str) -> str:
        """Return the password that a bar gets."""
        out = self.folder / f"{name}.centre"
        done = self.run("bar", "add", name, "--out", str(out))
        assert done.exit_code == 0, done.output
        line = out.read_text().strip()
        out.unlink()
        return line.removeprefix(f"{name}:")

    def password(self) -> str:
        text = (self.folder / "centre.credentials").read_text()
        return text.strip().removeprefix("centre:")


class Configured(Node):
    """A node with the configuration that the command prints."""

    def __init__(self, centre: Centre) -> None:
        super().__init__("n1", centre.folder, [], free_port())
        self._centre = centre

    def _config(self) -> str:
        text = node_config("n1", ["n1"], self._centre.folder)
        for name in ("cert", "key", "ca"):
            file = self._centre.folder / f"{name}.pem"
            source = "cert" if name == "ca" else name
            file.write_text((self._centre.certificates / f"{source}.pem").read_text())
        text = text.replace("0.0.0.0:4222", f"127.0.0.1:{self.port}")
        text = text.replace("0.0.0.0:8883", f"127.0.0.1:{self.mqtt_port}")
        return text.replace("/var/lib/nats", f"{self._centre.folder}/store")

    @property
    def url(self) -> str:
        return f"tls://localhost:{self.port}"
