"""A centre of one NATS node with users, rights and TLS, as `backdoor centre` writes them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from controller.cli.main import main
from tests.conftest import free_port
from tests.support.nats import Node, begun
from web.centre.bars import node_config


class Centre:
    """One node as `backdoor centre node` writes it, on other ports, and its bars."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self.folder, self.certificates = folder, certificates
        self.server = Configured(self)

    @contextmanager
    def three(self) -> Iterator[list[Node]]:
        """Run three nodes in place of the one, for a `with` block."""
        ports = {f"n{number}": free_port() for number in (1, 2, 3)}
        nodes: list[Node] = [Configured(self, name, ports) for name in ports]
        with begun(nodes):
            yield nodes

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
    """A node with the configuration that the command prints, alone or one of several."""

    def __init__(self, centre: Centre, name: str = "n1", cluster: Mapping[str, int] = {}) -> None:
        folder = centre.folder / name if cluster else centre.folder
        super().__init__(name, folder, list(cluster.values()), cluster.get(name, free_port()))
        self._centre, self._cluster = centre, cluster

    def _config(self) -> str:
        for name in ("cert", "key", "ca"):
            source = self._centre.certificates / f"{name}.pem"
            if not source.exists():  # one that signed itself
                source = source.with_stem("cert")
            (self.folder / source.name).with_stem(name).write_bytes(source.read_bytes())
        if self._cluster:
            shutil.copy(self._centre.folder / "bars.conf", self.folder)
        text = node_config(self.name, ["localhost"] * max(1, len(self._cluster)), self.folder)
        ports = {"4222": self.port, "8883": self.mqtt_port, "6222": self._cluster.get(self.name)}
        for usual, own in ports.items():
            text = text.replace(f"0.0.0.0:{usual}", f"127.0.0.1:{own}")
        for port in self._cluster.values():
            text = text.replace('localhost:6222"', f'localhost:{port}" ', 1)
        text = text.replace("/var/lib/nats", f"{self.folder}/store")
        return f"http: 127.0.0.1:{self._http_port}\n{text}"

    @property
    def url(self) -> str:
        return f"tls://localhost:{self.port}"
