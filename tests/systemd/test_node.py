"""`systemd/install --centre-node`: what it says and writes; ``tests/installed`` has a real one."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import pytest

from controller.config.loader import parse

SHIPPED = Path("systemd/centre.toml").read_text()
OWN = SHIPPED.replace(".example", ".bars.net")


@pytest.fixture
def node(parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module on paths of this test; making a release is left out, and what starts is ready."""
    from installer import node

    (tmp_path / "units").mkdir()
    for name, path in (
        ("FOLDER", "etc"),
        ("CONFIG", "etc/centre.toml"),
        ("CREDENTIALS", "etc/centre.credentials"),
        ("OPT", "opt"),
        ("RELEASES", "releases"),
        ("COMMAND", "command"),
        ("UNIT_DIR", "units"),
        ("DATA", "data"),
        ("NODE_CONFIG", "etc/nats-server.conf"),
        ("NODE_DATA", "nats"),
    ):
        monkeypatch.setattr(node, name, tmp_path / path)
    monkeypatch.setattr(node, "build", lambda *_, **__: tmp_path / "releases/new")
    monkeypatch.setattr(node, "ready", lambda *_: True)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/local/bin/{name}")
    node.__dict__["executor"] = parts.executor
    return node


def install(node: Any) -> None:
    asked = argparse.Namespace(upgrade=True, packaged=False, wheels=None)
    node.install(node.executor, asked)


def test_shipped_file_is_one_for_a_centre() -> None:
    config = parse(tomllib.loads(SHIPPED), "centre.toml", ["centre.credentials=/run/nodes"])
    assert config.web.venues == "+"
    assert len(config.centre.servers) == 3
    assert config.centre.credentials == "/run/nodes"
    assert config.nights.database.startswith("postgresql://")


def test_what_is_not_filled_in_is_named_and_nothing_starts(node: Any) -> None:
    install(node)
    assert node.CONFIG.read_text() == SHIPPED
    (note,) = node.executor.notes
    wanted = "put your own hosts in the place of n1.example, n2.example, n3.example, db.example"
    assert note.startswith(f"{node.CONFIG}: {wanted}. Then run this again")
    assert not [command for command in node.executor.ran if "enable" in command]
    assert (node.UNIT_DIR / "backdoor-centre.service").exists()
    node.CONFIG.write_text(OWN.replace("servers =", "# servers ="))
    assert "fill in [centre] servers and [nights] database" in node.lacking(node.CONFIG.read_text())
    assert node.lacking(OWN).startswith(f"{node.CREDENTIALS}: is missing")


@pytest.mark.parametrize(
    ("database", "example"),
    [
        ("db.example-bar.it/backdoor", False),
        ("db.example.bars.net/backdoor", False),
        ("my-example.com", False),
        ("db.example.com.au:5432", False),
        ("test@db.bars.net/my.test", False),
        ("u:x.example@db1.bars.net,db2.bars.net/test", False),
        ("latest/test", False),
        ("db.example/backdoor", True),
        ("DB.Example.:5432/backdoor", True),
        ("example.com", True),
        ("u:p@db.example.net:5432/backdoor", True),
        ("db.bars.net,db.example.org/backdoor?sslmode=require", True),
        ("db.invalid", True),
        ("db.test", True),
    ],
)
def test_names_that_nobody_has_are_examples_and_no_others(
    node: Any, database: str, example: bool
) -> None:
    config = OWN.replace("backdoor:PASSWORD@db.bars.net/backdoor", database)
    assert f"postgresql://{database}" in config
    assert ("put your own hosts" in node.lacking(config)) is example


def test_hosts_are_those_of_nodes_brokers_and_postgres(node: Any) -> None:
    config = OWN.replace(".bars.net:4222", ".bars.test:4222").replace("n2.bars.net", "n2.invalid")
    said = node.lacking(f"{config}\n# not.example")
    assert said.endswith("the place of n1.bars.test, n2.bars.test, n3.bars.test, n2.invalid")


def test_filled_in_it_starts_and_later_runs_leave_it(node: Any) -> None:
    node.FOLDER.mkdir()
    node.CONFIG.write_text(OWN)
    node.CREDENTIALS.write_text("centre:secret\n")
    install(node)
    assert "systemctl restart --no-block backdoor-centre backdoor-venues" in node.executor.ran
    assert node.OPT.readlink().name == "new"
    assert node.COMMAND.readlink() == node.OPT / ".venv/bin/backdoor"
    node.executor.ran.clear()
    install(node)
    assert not [command for command in node.executor.ran if "restart" in command]
    assert node.CONFIG.read_text() == OWN


def test_release_that_does_not_start_gives_way_to_the_former(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.FOLDER.mkdir()
    node.CONFIG.write_text(OWN)
    node.CREDENTIALS.write_text("centre:secret\n")
    former = node.OPT.parent / "releases/former"
    former.mkdir(parents=True)
    node.OPT.symlink_to(former)
    monkeypatch.setattr(node, "ready", lambda *_: False)
    monkeypatch.setattr(node, "last_lines", lambda _: "what it said last")
    with pytest.raises(Exception, match=r"(?s)the former one is back:.*what it said last"):
        install(node)
    assert node.OPT.readlink() == former


def test_nats_node_runs_where_its_configuration_is(node: Any) -> None:
    """Before anything is filled in: a machine may be a node and nothing else."""
    install(node)
    unit = node.UNIT_DIR / "backdoor-node.service"
    assert not unit.exists()
    node.NODE_CONFIG.write_text("")
    install(node)
    assert unit.read_text() == Path("systemd/backdoor-node.service").read_text()
    checked, started = f"nats-server -t -c {node.NODE_CONFIG}", "systemctl enable -q --now"
    ran = node.executor.ran
    assert ran.index(checked) < ran.index(f"{started} backdoor-node")
    unit.write_text("of before")
    install(node)
    assert not [command for command in ran if "restart" in command]
    assert "systemctl restart backdoor-node, one node at a time" in node.executor.notes[-1]


def test_node_that_can_t_run_is_said(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node.FOLDER.mkdir()
    node.NODE_CONFIG.write_text("")
    monkeypatch.setattr(node, "ready", lambda *_: False)
    monkeypatch.setattr(node, "last_lines", lambda _: "address already in use")
    with pytest.raises(Exception, match="backdoor-node does not stay up:\naddress already in use"):
        install(node)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(Exception, match="nats-server is missing"):
        install(node)


def test_nodes_events_go_with_the_data_and_anothers_stay(node: Any) -> None:
    node.NODE_DATA.mkdir()
    node.uninstall(node.executor, purge=True)
    assert node.NODE_DATA.exists()
    node.FOLDER.mkdir()
    node.NODE_CONFIG.write_text("")
    install(node)
    node.uninstall(node.executor, purge=False)
    assert not list(node.UNIT_DIR.iterdir())
    assert node.NODE_DATA.exists()
    node.uninstall(node.executor, purge=True)
    assert not node.NODE_DATA.exists()


def test_file_that_is_there_already_is_made_readable_for_the_services(node: Any) -> None:
    """A backup, or a user that was removed, has another number."""
    node.FOLDER.mkdir()
    node.CONFIG.write_text(OWN)
    install(node)
    assert f"chown root:backdoor-centre {node.CONFIG}" in node.executor.ran


def test_bar_of_before_whose_bridge_has_the_same_name_comes_first(node: Any) -> None:
    unit = node.UNIT_DIR / "backdoor-centre.service"
    bridge = Path("systemd/backdoor-bridge.service").read_text()
    unit.write_text(bridge)
    with pytest.raises(Exception, match="upgrade that bar first"):
        install(node)
    assert unit.read_text() == bridge
    assert not node.executor.ran


def test_removed_it_leaves_the_data_and_anothers_command(node: Any) -> None:
    node.FOLDER.mkdir()
    node.CONFIG.write_text(OWN)
    bars = node.OPT.parent / "bar/.venv/bin/backdoor"
    bars.parent.mkdir(parents=True)
    bars.touch()
    node.COMMAND.symlink_to(bars)
    install(node)
    assert node.COMMAND.readlink() == bars
    node.uninstall(node.executor, purge=False)
    assert node.COMMAND.is_symlink()
    assert not list(node.UNIT_DIR.iterdir())
    assert node.CONFIG.exists()
    node.uninstall(node.executor, purge=True)
    assert not node.FOLDER.exists()
