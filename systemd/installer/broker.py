"""The broker: for this machine only by default, with a user and rights for each client."""

import re
import secrets
import tempfile
from pathlib import Path

from installer.executor import Executor, query
from installer.machine import section

ETC = Path("/etc/backdoor")
MOSQUITTO = Path("/etc/mosquitto")
SETTINGS = MOSQUITTO / "conf.d" / "backdoor.conf"
PASSWORDS, RIGHTS = MOSQUITTO / "backdoor.passwd", MOSQUITTO / "backdoor.acl"
LOGINS = {
    "controller": "backdoor-controller",
    "web": "backdoor-web",
    "nights": "backdoor-nights",
    "notify": "backdoor-notify",
    "homeassistant": "homeassistant",
    "guest": "guest",
    "centre": "backdoor-centre",
}
#: Settings that we write too: with them the owner has a broker of his own.
OWN = re.compile(r"^\s*(listener|port|allow_anonymous|password_file|acl_file)\b", re.MULTILINE)
#: What may follow the role in the name of a login's file.
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
#: A user who reads the house and for whom the owner has taken the # away.
ASKS = re.compile(r"^user (homeassistant\S*)\n(?:topic .*\n)*topic write \S+/cmd/\+$", re.MULTILINE)

NOTE = (
    "# Written by Backdoor's installer at every run; own rules belong into a file of their own.\n"
)
#: What each may do, with the reason. A line that begins with # is for the owner to take.
ROLES = {
    "controller": (
        "The controller is the house: it also drives bulbs and chimes of other brands.",
        ("topic readwrite #",),
    ),
    "web": (
        "The page hears all of the house, asks, and tells who is booked next.",
        (
            "topic read {base}/+",
            "topic read {base}/event/+",
            "topic read {base}/hatch/+",
            "topic write {base}/cmd/+",
            "topic write {base}/book/next",
        ),
    ),
    "nights": (
        "The page's history hears what happened, and asks for what it has missed: a client of its"
        " own, which needs its own login.",
        (
            "topic read {base}/event/+",
            "topic read {base}/backfill",
            "topic write {base}/backfill/request",
        ),
    ),
    "notify": (
        "The messages: they hear what happens and may answer a knock, and nothing else.",
        (
            "topic read {base}/event/+",
            "topic read {base}/state",
            "topic read {base}/status",
            "topic read {base}/heartbeat",
            "topic write {base}/cmd/answer_hatch",
            "topic write {base}/cmd/answer_door",
        ),
    ),
    "homeassistant": (
        "Home Assistant hears all and says when it is born. To let it open the door, set commands ="
        " true in [homeassistant] and run the installer again.",
        (
            "topic read {base}/#",
            "topic read homeassistant/#",
            "topic write homeassistant/status",
            "#topic write {base}/cmd/+",
        ),
    ),
    "guest": (
        "Whoever shall know whether there is room.",
        ("topic read {base}/status", "topic read {base}/occupancy", "topic read {base}/session"),
    ),
    "centre": (
        "The bridge to the centre of many bars. With --centre-commands it asks as well.",
        (
            "topic read {base}/status",
            "topic read {base}/occupancy",
            "topic read {base}/session",
            "topic read {base}/door",
            "topic read {base}/state",
            "topic read {base}/night",
            "#topic write {base}/cmd/+",
        ),
    ),
}
BROKER_TEXT = """\
listener 1883{address}
# A client goes by its user's name, whatever it says: nobody throws another out with its id.
use_username_as_clientid true
allow_anonymous false
password_file {passwords}
acl_file {rights}
message_size_limit 65536
persistent_client_expiration 7d
max_queued_messages 50000
"""


def broker(
    executor: Executor,
    config: str,
    lan: bool | None,
    *,
    centre: bool = False,
    centre_commands: bool = False,
) -> None:
    """Set up the broker for our clients; do not touch one that has rules of its own."""
    logins = _logins(centre)
    may_ask = {LOGINS["centre"]} if centre_commands else set()
    fresh = [_login(executor, name, user) for name, user in logins.items()]
    own = _own_rules()
    if own:
        executor.note(
            f"the broker has rules of its own in {own} and was left alone: give it the users of"
            f" {ETC}/*.login, with the rights that the README lists, and"
            " use_username_as_clientid, so that nobody throws another out"
        )
        return
    if lan is None:
        lan = SETTINGS.is_file() and "127.0.0.1" not in SETTINGS.read_text()
    settings = BROKER_TEXT.format(
        address="" if lan else " 127.0.0.1", passwords=PASSWORDS, rights=RIGHTS
    )
    changed = [
        _passwords(executor, logins, any(fresh)),
        executor.write(
            RIGHTS,
            NOTE + _rights(logins, _base(config), _may_ask(executor, config) | may_ask),
            0o640,
            "mosquitto",
        ),
        executor.write(SETTINGS, NOTE + settings),
    ]
    executor.run("systemctl", "enable", "-q", "mosquitto")
    if any(changed) or query("systemctl", "-q", "is-active", "mosquitto").returncode:
        executor.run("systemctl", "restart", "mosquitto")


def _base(config: str) -> str:
    prefix = section(config, "mqtt").get("prefix", "backdoor")
    return f"{prefix}/{section(config, 'house').get('venue', 'bar')}"


def _own_rules() -> Path | None:
    files = [MOSQUITTO / "mosquitto.conf", *sorted(MOSQUITTO.glob("conf.d/*.conf"))]
    there = [file for file in files if file != SETTINGS and file.is_file()]
    return next((file for file in there if OWN.search(file.read_text())), None)


def _logins(centre: bool) -> dict[str, str]:
    """Return the name of each login's file and its user.

    One login is one client at a time. A second display, or a second Home Assistant, gets a login of
    its own by an empty file: ``guest-window.login`` makes the user ``guest-window``.
    """
    more = {}
    for file in sorted(ETC.glob("*-*.login")):
        role, _, name = file.stem.partition("-")
        if role in LOGINS and role != "centre" and NAME.fullmatch(name):
            more[file.stem] = f"{LOGINS[role]}-{name}"
    usual = {role: user for role, user in LOGINS.items() if centre or role != "centre"}
    return usual | more


def _login(executor: Executor, name: str, user: str) -> bool:
    """Make a login if there is none yet; return whether it is new."""
    file = ETC / f"{name}.login"
    if file.exists() and file.read_text().strip():
        return False
    return executor.write(file, f"{user}:{secrets.token_urlsafe(24)}\n", 0o600)


def _rights(logins: dict[str, str], base: str, may_ask: set[str]) -> str:
    """Return the broker's access list: a block for each user, by what its login is for."""
    blocks = []
    for name, user in logins.items():
        why, topics = ROLES[name.partition("-")[0]]
        lines = [line.format(base=base) for line in topics]
        if user in may_ask:
            lines[-1] = lines[-1].removeprefix("#")
        blocks.append("\n".join([f"# {why}", f"user {user}", *lines]) + "\n")
    return "\n".join(blocks)


def _may_ask(executor: Executor, config: str) -> set[str]:
    """Return the users who may send commands: Home Assistant's, by the owner's configuration."""
    allowed = section(config, "homeassistant").get("commands") is True
    if _asks() and not allowed:
        executor.note(
            "Home Assistant may send commands, and is shown none: set commands = true in"
            " [homeassistant], or it has no lock and no buttons"
        )
    return _asks() | ({LOGINS["homeassistant"]} if allowed else set())


def _asks() -> set[str]:
    """Return the users for whom the owner has taken the # away."""
    text = RIGHTS.read_text() if RIGHTS.is_file() else ""
    return set(ASKS.findall(text))


def _passwords(executor: Executor, logins: dict[str, str], fresh: bool) -> bool:
    """Make the broker's file of hashed passwords, if logins are new or gone; return whether."""
    there = PASSWORDS.read_text().splitlines() if PASSWORDS.is_file() else []
    if {line.partition(":")[0] for line in there} == set(logins.values()) and not fresh:
        return False
    if executor.dry_run:
        return executor.write(PASSWORDS, "")
    with tempfile.NamedTemporaryFile("w", dir=MOSQUITTO, prefix=".backdoor-") as plain:  # 0600
        plain.write("".join((ETC / f"{name}.login").read_text() for name in logins))
        plain.flush()
        executor.run("mosquitto_passwd", "-U", plain.name)  # never a password on a command line
        executor.write(PASSWORDS, Path(plain.name).read_text(), 0o640, "mosquitto")
    return True


def restore(executor: Executor) -> None:
    """Remove our settings from the broker."""
    if executor.remove(SETTINGS, PASSWORDS, RIGHTS):
        executor.run("systemctl", "try-restart", "mosquitto", check=False)
