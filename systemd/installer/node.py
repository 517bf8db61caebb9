"""A machine of the centre of many bars: its history, the page of all, a NATS node, as services.

It stands apart from a bar that the same machine may keep: releases, user and folder are its own, so
neither waits for the other, and nothing that is done here touches a door.
"""

import re
import shutil
from argparse import Namespace
from pathlib import Path

from installer import centre, machine
from installer.executor import Executor, StopError, query
from installer.release import CENTRE, POSTGRES, SOURCE, build, in_use, prune
from installer.services import READY_S, last_lines, ready

FOLDER = Path("/etc/backdoor-centre")
CONFIG = FOLDER / "centre.toml"
#: The user of the NATS servers, which `backdoor centre bar add` writes beside the bars'.
CREDENTIALS = FOLDER / "centre.credentials"
OPT = Path("/opt/backdoor-centre")
RELEASES = Path("/opt/backdoor-centre.releases")
COMMAND = Path("/usr/local/bin/backdoor")
UNIT_DIR = Path("/etc/systemd/system")
#: Paired phones and their secret.
DATA = Path("/var/lib/backdoor-centre")
USER = "backdoor-centre"
UNITS = ("backdoor-centre", "backdoor-venues")
#: Unit and user of a NATS node: it runs where `backdoor centre node` has written its configuration.
NODE = "backdoor-node"
NODE_CONFIG = FOLDER / "nats-server.conf"
NODE_DATA = Path("/var/lib/nats")
#: Names that nobody has (RFC 2606), as in the shipped file: the owner puts his own in their place.
EXAMPLE = re.compile(r"\.(example|invalid|test)$|(^|\.)example\.(com|net|org)$", re.IGNORECASE)


def install(executor: Executor, options: Namespace) -> None:
    """Install this directory's release for a centre, and start it once it knows where to."""
    if centre.former_unit(UNIT_DIR):
        raise StopError(
            "backdoor-centre.service is the bridge of the bar on this machine: upgrade that bar"
            " first (sudo systemd/install --upgrade), it gives the bridge another name"
        )
    if not options.upgrade and not options.packaged:
        machine.packages(executor, "python3-venv")
    user(executor, USER, DATA)
    nats_node(executor)
    if not CONFIG.exists():
        executor.write(CONFIG, (SOURCE / "systemd/centre.toml").read_text(), 0o640, USER)
    # a backup has another machine's numbers, and so has a user that was removed
    executor.run("chown", f"root:{USER}", str(CONFIG))
    text = machine.decoded(CONFIG if CONFIG.exists() else SOURCE / "systemd/centre.toml")
    extras = machine.extras(text) | {POSTGRES, CENTRE}
    release = build(executor, options.wheels, extras, RELEASES)
    lacks = lacking(text)
    if not lacks:
        command = f"{release}/.venv/bin/backdoor"
        executor.run("runuser", "-u", USER, "--", command, "check-config", "--config", str(CONFIG))
    switch(executor, release, lacks)


def user(executor: Executor, name: str, home: Path) -> None:
    """Make the user of a service, with a group of its own."""
    if query("getent", "passwd", name).returncode:
        nowhere = ("--no-create-home", "--home-dir", str(home), "--shell", "/usr/sbin/nologin")
        executor.run("useradd", "--system", "--user-group", *nowhere, name)


def nats_node(executor: Executor) -> None:
    """Have a NATS node run where its configuration is; one that runs already is not disturbed."""
    if not NODE_CONFIG.exists():
        return
    if shutil.which("nats-server") is None:
        raise StopError(
            "nats-server is missing: put its program (2.12 or newer; Debian's is older) into"
            " /usr/local/bin"
        )
    executor.run("nats-server", "-t", "-c", str(NODE_CONFIG))  # says what is wrong in it
    user(executor, NODE, NODE_DATA)
    unit = UNIT_DIR / f"{NODE}.service"
    before = unit.exists()
    if executor.write(unit, (SOURCE / "systemd" / unit.name).read_text()):
        executor.run("systemctl", "daemon-reload")
        if before:
            executor.note(
                f"{NODE} has a new unit: sudo systemctl restart {NODE}, one node at a time"
            )
    executor.run("systemctl", "enable", "-q", "--now", NODE)
    if not executor.dry_run and not ready((NODE,), READY_S):
        raise StopError(f"{NODE} does not stay up:\n{last_lines((NODE,))}")


def lacking(config: str) -> str:
    """Return what the owner has to do before the services can start; "" if nothing."""
    if not (machine.wants_centre(config) and machine.wants_postgres(config)):
        return f"{CONFIG}: fill in [centre] servers and [nights] database"
    examples = ", ".join(dict.fromkeys(filter(EXAMPLE.search, hosts(config))))
    if examples:
        return f"{CONFIG}: put your own hosts in the place of {examples}"
    if not CREDENTIALS.exists():
        return (
            f"{CREDENTIALS}: is missing; `backdoor centre bar add` writes it, on one of the nodes"
        )
    return ""


def hosts(config: str) -> list[str]:
    """Return the hosts that the configuration's text names: nodes, brokers and Postgres."""
    found = []
    for section, key in (("centre", "servers"), ("mqtt", "host"), ("nights", "database")):
        value = machine.section(config, section).get(key, "")
        for address in value if isinstance(value, list) else str(value).split(","):
            place = str(address).rpartition("//")[2].rpartition("@")[2]
            found.append(re.split("[:/?]", place)[0].rstrip("."))
    return found


def switch(executor: Executor, release: Path, lacks: str) -> None:
    """Start a release; if it is not ready in time, go back to the one before."""
    before = in_use(OPT)
    start(executor, release, lacks)
    if lacks:
        executor.note(f"{lacks}. Then run this again: it starts {' and '.join(UNITS)}")
    elif not executor.dry_run and not ready(UNITS, READY_S):
        log = last_lines(UNITS)
        back = "mend it and run this again"
        if before and before != release:
            start(executor, before, lacks)
            back = "the former one is back"
        raise StopError(f"the centre was not ready within {READY_S:g} s; {back}:\n{log}")
    prune(executor, release, before, releases=RELEASES)


def start(executor: Executor, release: Path, lacks: str) -> None:
    """Make a release the one in use, and have its services run unless something is lacking."""
    same = in_use(OPT) == release
    executor.point(OPT, release)
    if not COMMAND.exists():  # where a bar is, the command is that one's
        executor.point(COMMAND, OPT / ".venv/bin/backdoor")
    units = {f"{unit}.service": OPT / f"systemd/{unit}.service" for unit in UNITS}
    source = SOURCE / "systemd"
    changed = [
        executor.write(UNIT_DIR / name, (file if file.exists() else source / name).read_text())
        for name, file in units.items()
    ]
    if any(changed):
        executor.run("systemctl", "daemon-reload")
    if not lacks:
        executor.run("systemctl", "enable", "-q", *UNITS)
        if not same or any(changed) or not ready(UNITS, 0.2):
            executor.run("systemctl", "restart", "--no-block", *UNITS)


def uninstall(executor: Executor, purge: bool) -> None:
    """Remove everything but the data; with ``purge`` the data too."""
    ours = (*UNITS, NODE)
    executor.run("systemctl", "disable", "-q", "--now", *ours, check=False)
    executor.remove(*(UNIT_DIR / f"{unit}.service" for unit in ours))
    executor.remove(*(UNIT_DIR / f"{unit}.service.d" for unit in ours))
    executor.run("systemctl", "daemon-reload")
    if COMMAND.is_symlink() and COMMAND.readlink().is_relative_to(OPT):
        executor.remove(COMMAND)
    executor.remove(OPT, RELEASES)
    for name in (USER, NODE):
        if not query("getent", "passwd", name).returncode:
            executor.run("userdel", name)
    data = (FOLDER, DATA, *([NODE_DATA] if NODE_CONFIG.exists() else ()))
    if purge:
        executor.remove(*data)
    else:
        executor.note(f"your data stays in {', '.join(map(str, data))}; --purge removes it too")
