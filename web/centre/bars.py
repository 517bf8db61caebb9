"""Who may do what at the centre of many bars: credentials and rights for each bar, by NATS's rules.

The users stand in one file, which the configuration of each NATS node includes. A bar may publish
below its own name, and may hear the answers to that and the commands to itself; it can neither read
nor write anything of another bar's, and has no hand in what the centre keeps.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.config import atomic_file
from web.centre.wire import token

FOLDER = "/etc/backdoor-centre"
USERS, CONFIG, PID = "bars.conf", "nats-server.conf", "nats.pid"
#: The user of `backdoor centre` and of the page that shows all bars.
CENTRE = "centre"
#: A program of the owner's, run after each change: it brings the file to the other nodes.
HOOK = "after-change"
HOOK_LIMIT_S = 60.0
#: What NATS takes as one part of a subject.
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PASSWORD_BYTES = 24
LOCK = ".bars.lock"

HEAD = """\
# Written by `backdoor centre bar`: a line for each user; each node's nats-server.conf includes it.
authorization {
  users: [
"""
TAIL = """\
  ]
}
"""


class BarsError(Exception):
    """It can't be done; the text says why, and the way out."""


@dataclass(frozen=True, slots=True)
class User:
    """One user of the NATS servers."""

    name: str
    password: str = field(repr=False)

    def rights(self, prefix: str) -> dict[str, list[str]]:
        """Return the subjects that it may publish to and subscribe to, below ``prefix``."""
        base = token(prefix)
        if self.name == CENTRE:
            # The stream's interface, and what MQTT needs for subscriptions of QoS 1.
            publish = ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>"]
            return {
                "publish": publish,
                "subscribe": [f"_INBOX.{CENTRE}.>", base, f"{base}.>", "$MQTT.sub.>"],
            }
        own = f"{base}.{self.name}"
        return {"publish": [f"{own}.>"], "subscribe": [f"_INBOX.{self.name}.>", f"{own}.cmd.*"]}

    def line(self, prefix: str) -> str:
        """Return the user as NATS reads it."""
        user = {"user": self.name, "password": self.password, "permissions": self.rights(prefix)}
        return f"    {json.dumps(user)}\n"


@dataclass(frozen=True, slots=True)
class Users:
    """The file with all users, in a folder."""

    folder: Path

    @property
    def file(self) -> Path:
        """The file itself."""
        return self.folder / USERS

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other command changes the users, and keep others waiting meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def read(self) -> dict[str, User]:
        """Return the users by their names; none where there is no file yet."""
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise BarsError(f"{self.file}: can't be read ({error})") from None
        return {user.name: user for user in self._users(lines)}

    def _users(self, lines: list[str]) -> Iterator[User]:
        for number, line in enumerate(lines, 1):
            if line.strip().startswith("{"):
                try:
                    found: Any = json.loads(line)
                    yield User(str(found["user"]), str(found["password"]))
                except (ValueError, KeyError, TypeError):
                    problem = "is no user as this command writes them; mend or remove the line"
                    raise BarsError(f"{self.file}: line {number} {problem}") from None

    def write(self, users: Mapping[str, User], prefix: str) -> None:
        """Replace the file in one step; its owner, group and mode stay, at first root's only."""
        lines = [users[name].line(prefix) for name in sorted(users)]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_private(self.file, HEAD + "".join(lines) + TAIL)


def write_private(file: Path, text: str) -> None:
    """Write a file with secrets: who may read it stays as it is, at first its owner only."""
    atomic_file.replace(file, text, like=file if file.exists() else None)


def add_bar(users: Users, name: str, prefix: str, target: Path) -> User:
    """Give a bar credentials of its own, in the file ``target``; raise `BarsError` if it has some.

    The file comes first: no server takes credentials that nobody has.
    """
    _check_name(name)
    with users.locked():
        there = users.read()
        if name in there:
            way_out = f"`backdoor centre bar revoke {name}` takes them"
            raise BarsError(f"{name}: has credentials; {way_out}")
        if target.exists():
            raise BarsError(f"{target}: is there already; name another --out")
        added = User(name, new_password())
        write_private(target, f"{added.name}:{added.password}\n")
        try:
            users.write({**_with_centre(users, there), name: added}, prefix)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return added


def revoke_bar(users: Users, name: str, prefix: str) -> None:
    """Take a bar's credentials; raise `BarsError` if it has none."""
    with users.locked():
        there = users.read()
        if name not in there or name == CENTRE:
            known = ", ".join(sorted(set(there) - {CENTRE})) or "none"
            raise BarsError(f"{name}: no bar has this name; known are {known}")
        users.write({key: user for key, user in there.items() if key != name}, prefix)


def new_password() -> str:
    """Return a password that nobody guesses, so that the servers need not hash it slowly."""
    import secrets

    return secrets.token_urlsafe(PASSWORD_BYTES)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name == CENTRE:
        why = f'"{CENTRE}" is the centre itself' if name == CENTRE else "letters, digits, - and _"
        raise BarsError(f"{name}: can't be a bar's name: {why}; it is the bar's [house] venue")


def _with_centre(users: Users, there: Mapping[str, User]) -> dict[str, User]:
    """Return the users with the centre's own, whose credentials are kept beside the file."""
    if CENTRE in there:
        return dict(there)
    centre = User(CENTRE, new_password())
    users.folder.mkdir(parents=True, exist_ok=True)
    write_private(users.folder / "centre.credentials", f"{CENTRE}:{centre.password}\n")
    return {**there, CENTRE: centre}


def reload(folder: Path) -> str:
    """Let the servers read the users again; return what was done, in plain words.

    The owner's program brings the file to the other nodes and has them read it. Without one, the
    server of this machine gets the signal.
    """
    hook = folder / HOOK
    if hook.exists():
        import subprocess

        try:
            done = subprocess.run([hook], timeout=HOOK_LIMIT_S, check=False, cwd=folder)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BarsError(f"{hook}: {error}; the nodes have not read the change") from None
        if done.returncode:
            raise BarsError(f"{hook}: ended with {done.returncode}; nodes may not have the change")
        return f"{hook} brought it to the nodes"
    try:
        os.kill(int((folder / PID).read_text()), signal.SIGHUP)
    except (OSError, ValueError):
        return f"no server runs here by {folder / PID}: reload the nodes yourself"
    return "the server of this machine has read it"


def node_config(name: str, peers: list[str], folder: Path) -> str:
    """Return the configuration of one NATS node: TLS for clients, MQTT and between the nodes."""
    tls = f'{{ cert_file: "{folder}/cert.pem", key_file: "{folder}/key.pem"'
    others = ", ".join(f'"tls://{peer}:6222"' for peer in peers)
    cluster = f"""
cluster {{
  name: backdoor
  listen: "0.0.0.0:6222"
  routes: [{others}]
  # Both sides show a certificate of {folder}/ca.pem: no stranger joins.
  tls {tls}, ca_file: "{folder}/ca.pem", verify: true, timeout: 5 }}
}}
"""
    return f"""\
# One node of the centre, written by `backdoor centre node`; own lines belong into own files.
server_name: "{name}"
listen: "0.0.0.0:4222"
pid_file: "{folder}/{PID}"
jetstream {{ store_dir: "/var/lib/nats", max_mem: 64MB, max_file: 20GB,
  sync_interval: always,  # what is acknowledged outlives a power cut of all nodes
  strict: true }}  # what a node does not know is refused: no batch is taken by halves
tls {tls}, timeout: 5 }}
mqtt {{
  listen: "0.0.0.0:8883"
  tls {tls}, timeout: 5 }}
}}
{cluster if len(peers) > 1 else ""}include "{USERS}"
"""
