"""The bridge to the centre of many bars: the live state of this one goes out, and nothing comes in.

A mosquitto takes whatever the far side of its bridge publishes, also what it never subscribed to,
and no access list is applied to it. So the bridge does not live in the bar's broker, where a centre
in the wrong hands could then send any command: it is a small mosquitto of its own with no clients.
The bar's broker sees it as one more client, which may read six topics.
"""

import re
import tomllib
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer.broker import ETC
from installer.executor import Executor, StopError
from installer.machine import section

UNIT = "backdoor-bridge"
BRIDGE = ETC / "centre-bridge.conf"
CREDENTIALS = ETC / "centre.credentials"
CA = ETC / "centre-ca.pem"
SOCKET = f"/run/{UNIT}/closed.sock"
#: The ports of the NATS servers, by convention: MQTT with TLS, and their own protocol.
MQTT_PORT, MQTT_PLAIN_PORT, NATS_PORT = 8883, 1883, 4222
LOOPBACK = ("127.0.0.1", "localhost")
#: What of a bar its centre sees live. Events go another way, by which none is lost.
TOPICS = ("status", "occupancy", "session", "door", "state", "night")
#: A place as it may be written: a name or an IPv4 address, with or without a port.
PLACE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(\d{1,5}))?")
#: A broker with its port, as the controller reads it; an IPv6 address without brackets has none.
WITH_PORT = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):(\d+)", re.ASCII)
#: What NATS takes as one part of a subject.
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
CREDENTIAL = re.compile(r"([A-Za-z0-9_-]{1,64}):(\S{8,200})")
#: What stands around a host in [centre] servers.
SERVER = re.compile(r"^\w+://|:\d+/?$")
KEPT = re.compile(r"^# centre: (.+)$", re.MULTILINE)
COMMANDS = re.compile(r"^topic cmd/\+ in ", re.MULTILINE)

NOTE = "# Written by Backdoor's installer at every run, for the unit backdoor-bridge.\n"
TEXT = """\
# centre: {places}
# Nobody can connect: without any listener mosquitto would open its usual port.
listener 0 {socket}
allow_anonymous false
persistence false
log_dest stderr
log_type error
log_type warning
log_type notice
max_queued_messages 100

# The bar's broker, which sees an ordinary client that may read these topics{may_ask}.
connection house
address {broker}
remote_clientid {user}
remote_username {user}
remote_password {password}
notifications false
cleansession true
keepalive_interval 10
restart_timeout 1 5
{house_tls}{house}

# The centre. NATS refuses a client id with a dot, a bridge's own bit in the protocol's version, and
# a bridge's notes about itself.
connection centre
addresses {addresses}
round_robin true
remote_clientid backdoor-{venue}
remote_username {login}
remote_password {secret}
try_private false
notifications false
cleansession true
keepalive_interval 10
restart_timeout 1 30
{tls}{centre}
"""
TLS = "bridge_{kind} {where}\nbridge_insecure false\n"
SYSTEM_CERTIFICATES = "/etc/ssl/certs"


@dataclass(frozen=True)
class Place:
    """One node of the centre."""

    host: str
    mqtt_port: int

    @property
    def near(self) -> bool:
        """Whether it is on this machine, where nothing needs TLS."""
        return self.host in LOOPBACK

    def __str__(self) -> str:
        return f"{self.host}:{self.mqtt_port}"

    @property
    def url(self) -> str:
        """Its address for events."""
        return f"{'nats' if self.near else 'tls'}://{self.host}:{NATS_PORT}"


def former_unit(folder: Path) -> Path | None:
    """Return the bridge's unit of before, if it is there: that name is the centre's own by now."""
    unit = folder / "backdoor-centre.service"
    return unit if unit.is_file() and BRIDGE.name in unit.read_text() else None


def places(hosts: list[str]) -> list[Place]:
    """Return the nodes that were named as HOST or HOST:PORT, the port that of MQTT."""
    return [_place(host) for host in hosts]


def _place(host: str) -> Place:
    found = PLACE.fullmatch(host)
    if found is None or not 0 < int(found[3] or 1) < 65536:
        raise StopError(f"--centre {host}: must be a host, or host:port with the port of its MQTT")
    near = found[1] in LOOPBACK
    return Place(found[1], int(found[3] or (MQTT_PLAIN_PORT if near else MQTT_PORT)))


def prepare(executor: Executor, options: Namespace, config: Path, text: str) -> str:
    """Keep what the owner gave with ``--centre``; return the configuration with its [centre]."""
    _check(options)
    if not options.centre:
        return text
    nodes = places(options.centre)
    venue = _venue(text)
    credentials = _given(options.centre_credentials, CREDENTIALS, "--centre-credentials")
    _login(credentials, venue)
    ca = _given(options.centre_ca, CA, "--centre-ca") if options.centre_ca or CA.exists() else ""
    wanted = with_centre(text, [node.url for node in nodes], str(CA) if ca else "")
    executor.write(CREDENTIALS, credentials, 0o640, "backdoor")
    if ca:
        executor.write(CA, ca)
    executor.write(config, wanted, 0o640, "backdoor")
    return wanted


def _check(options: Namespace) -> None:
    """Refuse what makes sense only with a centre where there is none."""
    wants = options.centre_commands or options.centre_credentials or options.centre_ca
    if wants and not options.centre and (options.no_centre or not BRIDGE.is_file()):
        raise StopError("--centre-... says more about a centre: give --centre HOST as well")
    if options.no_centre and options.centre:
        raise StopError("--centre and --no-centre: give one of them")


def _given(file: str | None, kept: Path, option: str) -> str:
    source = Path(file) if file else kept
    try:
        return source.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = "missing" if isinstance(error, FileNotFoundError) else f"can't be read ({error})"
        raise StopError(
            f"{source}: {why}; {option} FILE names what the centre gave you for this bar"
        ) from None


def _venue(config: str) -> str:
    """Return this bar's name, which must be one part of a NATS subject."""
    venue = str(section(config, "house").get("venue", "bar"))
    if not NAME.fullmatch(venue):
        raise StopError(
            f'[house] venue = "{venue}": the centre takes letters, digits, - and _; choose another'
        )
    return venue


def _login(credentials: str, venue: str) -> tuple[str, str]:
    """Return user and password of a bar's credentials: one line, ``venue:password``."""
    found = CREDENTIAL.fullmatch(credentials.strip())
    if found is None:
        raise StopError(f"{CREDENTIALS}: must be one line, venue:password, as the centre wrote it")
    if found[1] != venue:
        raise StopError(
            f'{CREDENTIALS}: is for the bar "{found[1]}", and this one is "{venue}": set [house]'
            f' venue = "{found[1]}", or get credentials for "{venue}"'
        )
    return found[1], found[2]


def with_centre(text: str, servers: list[str], ca: str) -> str:
    """Return the text of a configuration whose [centre] says these; all else stays as it is."""
    shown = "[" + ", ".join(f'"{server}"' for server in servers) + "]"
    values = {"servers": shown, "credentials": f'"{CREDENTIALS}"' if servers else '""'}
    values["ca"] = f'"{ca}"'
    changed = _with_values(text, values)
    if not _differ_only_there(text, changed, {"servers": servers, "ca": ca}):
        raise StopError(
            "the configuration's [centre] can't be written: give it one line for each key, with"
            f" servers = {shown}"
        )
    return changed


def _differ_only_there(text: str, changed: str, wanted: dict[str, Any]) -> bool:
    """Return whether what was changed has ``wanted`` in [centre], and all else as it was."""
    try:
        before, after = tomllib.loads(text), tomllib.loads(changed)
    except tomllib.TOMLDecodeError:  # a list over several lines, or a second [centre]
        return False
    found = after.pop("centre", {})
    before.pop("centre", None)
    return before == after and wanted.items() <= found.items()


def _with_values(text: str, values: dict[str, str]) -> str:
    head = re.search(r"^\[centre\][^\n]*\n", text, re.MULTILINE)
    if head is None:
        text = text.rstrip("\n") + "\n\n[centre]\n"
        head = re.search(r"^\[centre\]\n", text, re.MULTILINE)
        assert head is not None
    end = re.compile(r"^\[", re.MULTILINE).search(text, head.end())
    body = text[head.end() : end.start() if end else len(text)]
    for name, value in values.items():
        line = re.compile(rf"^{name}[ \t]*=[^\n]*$", re.MULTILINE)
        new = f"{name} = {value}"
        body = line.sub(lambda _, new=new: new, body) if line.search(body) else f"{new}\n{body}"  # type: ignore[misc]
    return text[: head.end()] + body + (text[end.start() :] if end else "")


def wanted(options: Namespace) -> bool:
    """Return whether this bar has a centre."""
    return not options.no_centre and (bool(options.centre) or BRIDGE.is_file())


def commands(options: Namespace) -> bool:
    """Return whether the centre may send commands: only by the owner's word, which is kept."""
    if options.centre_commands is not None:
        return bool(options.centre_commands)
    return bool(COMMANDS.search(_before()))


def _before() -> str:
    """Return the bridge's configuration of the run before; "" if there is none."""
    return BRIDGE.read_text(errors="replace") if BRIDGE.is_file() else ""


def _kept(executor: Executor, config: str) -> list[Place]:
    """Return the nodes of the run before; where the bridge's file is damaged, [centre] has them."""
    found = KEPT.search(_before())
    if found and all(PLACE.fullmatch(host) for host in found[1].split()):
        return places(found[1].split())
    servers = section(config, "centre").get("servers")
    hosts = [SERVER.sub("", str(server)) for server in servers] if servers else []
    if not hosts:
        raise StopError(f"{BRIDGE}: is damaged; give --centre HOST again, or --no-centre")
    executor.note(
        f"{BRIDGE}: was damaged, and is made anew for {' '.join(hosts)}, without commands"
    )
    return places(hosts)


def bridge(executor: Executor, options: Namespace, config: str) -> bool:
    """Write the bridge's configuration; return whether it changed."""
    if not wanted(options):
        return False
    nodes = places(options.centre) or _kept(executor, config)
    house = ETC / "centre.login"
    if executor.dry_run and not (house.exists() and CREDENTIALS.exists()):
        return executor.write(BRIDGE, "")
    venue = _venue(config)
    login = _login(_given(None, CREDENTIALS, "--centre-credentials"), venue)
    user, _, password = house.read_text().strip().partition(":")
    text = bridge_text(nodes, config, (user, password), login, may_ask=commands(options))
    return executor.write(BRIDGE, NOTE + text, 0o600)


def bridge_text(
    nodes: list[Place],
    config: str,
    house: tuple[str, str],
    login: tuple[str, str],
    *,
    may_ask: bool,
) -> str:
    """Return the configuration of the mosquitto that is the bridge."""
    venue = _venue(config)
    base = f"{section(config, 'mqtt').get('prefix', 'backdoor')}/{venue}/"
    return TEXT.format(
        places=" ".join(map(str, nodes)),
        socket=SOCKET,
        may_ask=" and send commands" if may_ask else "",
        broker=house_broker(config),
        user=house[0],
        password=house[1],
        house_tls=_house_tls(config),
        house=_topics(base, "in", "out", may_ask),
        addresses=" ".join(map(str, nodes)),
        venue=venue,
        login=login[0],
        secret=login[1],
        tls=_tls(nodes),
        centre=_topics(base, "out", "in", may_ask),
    )


def _house(config: str) -> dict[str, Any]:
    """Return what is configured of the bar's broker: of the first, if there are several."""
    mqtt = section(config, "mqtt")
    first: Any = mqtt.get("host") or "127.0.0.1"
    if isinstance(first, list):
        first = first[0]
    own = dict(first) if isinstance(first, dict) else {"host": first}
    found = None if "port" in own else WITH_PORT.fullmatch(str(own.get("host")))
    if found:
        own["host"], own["port"] = found[1], found[2]
    return {**mqtt, **own}


def house_broker(config: str) -> str:
    """Return where the bar's broker is, as ``HOST:PORT``.

    mosquitto takes what stands behind the last colon as the port, and looks in vain for a host in
    brackets (tried with 2.0.11): an IPv6 address goes without.
    """
    house = _house(config)
    return f"{str(house.get('host')).strip('[]')}:{house.get('port', 1883)}"


def _house_tls(config: str) -> str:
    """Return how the bar's broker is trusted, if the controller goes there by TLS as well."""
    house = _house(config)
    if not house.get("tls"):
        return ""
    kind = "cafile" if house.get("ca") else "capath"
    return TLS.format(kind=kind, where=house.get("ca") or SYSTEM_CERTIFICATES)


def _topics(base: str, state: str, command: str, may_ask: bool) -> str:
    """Return what passes, all at QoS 0: values come again at each connection, commands never."""
    lines = [f"topic {name} {state} 0 {base} {base}" for name in TOPICS]
    return "\n".join([*lines, *([f"topic cmd/+ {command} 0 {base} {base}"] if may_ask else [])])


def _tls(nodes: list[Place]) -> str:
    if all(node.near for node in nodes):
        return ""
    if CA.exists():
        return TLS.format(kind="cafile", where=CA)
    return TLS.format(kind="capath", where=SYSTEM_CERTIFICATES)


def remove_former(executor: Executor, folder: Path) -> None:
    """Stop and remove the bridge's unit of before; two of one login would throw each other out."""
    if former := former_unit(folder):
        executor.run("systemctl", "disable", "-q", "--now", former.name, check=False)
        executor.remove(former)


def leave(executor: Executor, config: Path) -> None:
    """Forget the centre: bridge, credentials, and what the configuration says of it."""
    forget(executor)
    text = config.read_text() if config.is_file() else ""
    if section(text, "centre").get("servers"):
        executor.write(config, with_centre(text, [], ""), 0o640, "backdoor")


def forget(executor: Executor) -> None:
    """Remove the bridge's files and credentials."""
    executor.remove(BRIDGE, CREDENTIALS, CA, ETC / "centre.login")
