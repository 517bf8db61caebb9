"""The broker: this machine only unless asked, a user for each client, rights for each user."""

import re
import secrets
import tempfile
import tomllib
from pathlib import Path

from installer.hands import Hands, asked

ETC = Path("/etc/backdoor")
MOSQUITTO = Path("/etc/mosquitto")
SETTINGS = MOSQUITTO / "conf.d" / "backdoor.conf"
PASSWORDS, RIGHTS = MOSQUITTO / "backdoor.passwd", MOSQUITTO / "backdoor.acl"
LOGINS = {
    "controller": "backdoor-controller",
    "web": "backdoor-web",
    "homeassistant": "homeassistant",
    "guest": "guest",
}
#: What somebody who runs his own broker has set, and we would set again.
OWN = re.compile(r"^\s*(listener|port|allow_anonymous|password_file|acl_file)\b", re.MULTILINE)

NOTE = (
    "# Written by Backdoor's installer at every run; own rules belong into a file of their own.\n"
)
RIGHTS_TEXT = """\
# The controller is the house: it also drives bulbs and chimes of other brands on this broker.
user backdoor-controller
topic readwrite #

# The page hears all of the house, asks, and tells who is booked next.
user backdoor-web
topic read {base}/+
topic read {base}/event/+
topic read {base}/hatch/+
topic write {base}/cmd/+
topic write {base}/book/next

# Home Assistant hears all and says when it is born. To let it open the door, take the last # away.
user homeassistant
topic read {base}/#
topic read homeassistant/#
topic write homeassistant/status
#topic write {base}/cmd/+

# Whoever shall know whether there is room.
user guest
topic read {base}/status
topic read {base}/occupancy
topic read {base}/session
"""
BROKER_TEXT = """\
listener 1883{address}
allow_anonymous false
password_file {passwords}
acl_file {rights}
message_size_limit 65536
"""


def broker(hands: Hands, config: str, lan: bool | None) -> None:
    """Have a broker that knows our clients; leave one alone that has rules of its own."""
    fresh = [_login(hands, name, user) for name, user in LOGINS.items()]
    own = _own_rules()
    if own:
        hands.note(
            f"the broker has rules of its own in {own} and was left alone: give it the users of"
            f" {ETC}/*.login, with the rights that the README lists"
        )
        return
    if lan is None:
        lan = SETTINGS.is_file() and "127.0.0.1" not in SETTINGS.read_text()
    settings = BROKER_TEXT.format(
        address="" if lan else " 127.0.0.1", passwords=PASSWORDS, rights=RIGHTS
    )
    changed = [
        _passwords(hands, any(fresh)),
        hands.write(RIGHTS, NOTE + RIGHTS_TEXT.format(base=_base(config)), 0o640, "mosquitto"),
        hands.write(SETTINGS, NOTE + settings),
    ]
    hands.run("systemctl", "enable", "-q", "mosquitto")
    if any(changed) or asked("systemctl", "-q", "is-active", "mosquitto").returncode:
        hands.run("systemctl", "restart", "mosquitto")


def _base(config: str) -> str:
    document = tomllib.loads(config)
    prefix = document.get("mqtt", {}).get("prefix", "backdoor")
    return f"{prefix}/{document.get('house', {}).get('venue', 'bar')}"


def _own_rules() -> Path | None:
    files = [MOSQUITTO / "mosquitto.conf", *sorted(MOSQUITTO.glob("conf.d/*.conf"))]
    there = [file for file in files if file != SETTINGS and file.is_file()]
    return next((file for file in there if OWN.search(file.read_text())), None)


def _login(hands: Hands, name: str, user: str) -> bool:
    """Have a login, made once; tell whether it is new."""
    file = ETC / f"{name}.login"
    return not file.exists() and hands.write(file, f"{user}:{secrets.token_urlsafe(24)}\n", 0o600)


def _passwords(hands: Hands, fresh: bool) -> bool:
    """Have the broker's file of hashes; mosquitto makes it of a plain one."""
    if PASSWORDS.exists() and not fresh:
        return False
    if hands.dry:
        return hands.write(PASSWORDS, "")
    with tempfile.NamedTemporaryFile("w", dir=MOSQUITTO, prefix=".backdoor-") as plain:  # 0600
        plain.write("".join((ETC / f"{name}.login").read_text() for name in LOGINS))
        plain.flush()
        hands.run("mosquitto_passwd", "-U", plain.name)  # never a password on a command line
        hands.write(PASSWORDS, Path(plain.name).read_text(), 0o640, "mosquitto")
    return True


def restore(hands: Hands) -> None:
    """Give the broker back as it was."""
    if hands.remove(SETTINGS, PASSWORDS, RIGHTS):
        hands.run("systemctl", "try-restart", "mosquitto", check=False)
