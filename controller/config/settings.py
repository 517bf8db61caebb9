"""The configuration as the program sees it: frozen records with their defaults.

Each part of the program receives the small record that it needs (`RuleSettings`, `SensingSettings`,
`Mqtt`...), never the whole `Config`, so nothing can reach for a setting that it does not own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.config.brokers import Broker, HostEntry, at
from controller.config.notify import Notify
from controller.events import INPUT_LINES, OUTPUT_LINES
from controller.rules.state import RuleSettings
from controller.sensing.settings import SensingSettings

STATE_DIR = "/var/lib/backdoor"
#: The page's own: it may not write into the controller's.
PAGE_STATE_DIR = "/var/lib/backdoor-web"


#: GPIO 0-8 are pulled up from power-on until somebody sets them: the strike would open at boot.
FIRST_SAFE_STRIKE_PIN = 9


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Where a line is wired: BCM pin, pull (``up``, ``down``, ``none``), which level is active."""

    pin: int
    pull: str = "up"
    active: str = "low"


#: The wiring that the README draws. Beams, contacts and the evacuation loop are normally closed to
#: ground, so a cut wire reads as broken, open, alarm - never as "all is well".
WIRING: Mapping[str, LineSettings] = {
    "hatch_knock": LineSettings(17, "down", "high"),
    "door_knock": LineSettings(27, "down", "high"),
    "beam_outer": LineSettings(22, "up", "high"),
    "beam_inner": LineSettings(23, "up", "high"),
    "door_contact": LineSettings(24, "up", "high"),
    "bolt_contact": LineSettings(25, "up", "high"),
    "hatch_contact": LineSettings(5, "up", "high"),
    "release_button": LineSettings(6, "up", "low"),
    "exit_button": LineSettings(13, "up", "low"),
    "evacuate": LineSettings(19, "up", "high"),
    "strike": LineSettings(16, "none", "high"),
    "hatch_light": LineSettings(20, "none", "high"),
    "full_lamp": LineSettings(21, "none", "high"),
    "chime": LineSettings(26, "none", "high"),
}


@dataclass(frozen=True, slots=True)
class Mqtt:
    """The broker, or several that are tried in order; no ``host`` means none."""

    host: str | tuple[HostEntry, ...] = "127.0.0.1"
    port: int = 1883
    username: str = ""
    password: str = field(default="", repr=False)
    prefix: str = "backdoor"
    protocol: int = 4
    tls: bool = False
    ca: str = ""

    def brokers(self) -> tuple[Broker, ...]:
        """Return the brokers in the order in which they are tried."""
        names = ("port", "username", "password", "protocol", "tls", "ca")
        section = {name: getattr(self, name) for name in names}
        if isinstance(self.host, str):
            return (at(self.host, section),) if self.host else ()
        return tuple(entry.broker(section) for entry in self.host)


@dataclass(frozen=True, slots=True)
class Web:
    """The bartender's page."""

    host: str = "0.0.0.0"
    port: int = 8080
    public_url: str = ""
    secret_file: str = f"{STATE_DIR}/pairing.secret"
    allowed_hosts: tuple[str, ...] = ()
    max_streams: int = 20
    tls_cert: str = ""
    tls_key: str = ""
    language: str = "auto"
    metrics_token: str = field(default="", repr=False)
    venues: str = ""
    venue_url: str = ""


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """Home Assistant: the format of discovery (``device``, ``off``), its prefix.

    ``component`` is an old word for ``device``. ``commands``: whether it gets what asks for
    something; its user at the broker needs the right to.
    """

    discovery: str = "device"
    prefix: str = "homeassistant"
    commands: bool = False


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """A bulb or chime of another make: a preset and what it needs; no ``preset``, no device."""

    preset: str = ""
    device: str = ""
    part: str = ""
    base: str = ""
    channel: int = 0
    topic: str = ""
    payloads: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Space:
    """What /spaceapi.json shows in public; without a ``name`` there is no such page."""

    name: str = ""
    url: str = ""
    logo: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class BookSettings:
    """The owner's calendar; without a ``url`` there is none. Only the page reads it."""

    url: str = field(default="", repr=False)
    open: tuple[str, ...] = ()
    timezone: str = ""
    horizon_days: int = 60
    names: bool = False


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Where the journal is, and how long it keeps events."""

    path: str = f"{STATE_DIR}/journal.db"
    keep_days: int = 400


@dataclass(frozen=True, slots=True)
class NightsSettings:
    """Where the history is kept: a file or an address of Postgres; no ``database``, no history."""

    database: str = field(default=f"{PAGE_STATE_DIR}/nights.db", repr=False)
    keep_nights: int = 1830


@dataclass(frozen=True, slots=True)
class CentreSettings:
    """The centre of many bars: its NATS ``servers``; none, no centre.

    A bar whose history is a file sends its events there; where the history is in a Postgres, this
    is the centre itself, and ``backdoor centre`` writes it.
    """

    servers: tuple[str, ...] = ()
    credentials: str = ""
    ca: str = ""


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Where the nightly backup goes, and how many are kept; without a ``folder`` there is none."""

    folder: str = ""
    keep_days: int = 7
    keep_weeks: int = 4
    keep_months: int = 12


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of the owner."""

    venue: str = "bar"
    factory: str = "gpiod"
    command_max_age_s: float = 5.0
    rules: RuleSettings = field(default_factory=RuleSettings)
    sensing: SensingSettings = field(default_factory=SensingSettings)
    mqtt: Mqtt = field(default_factory=Mqtt)
    web: Web = field(default_factory=Web)
    journal: JournalSettings = field(default_factory=JournalSettings)
    nights: NightsSettings = field(default_factory=NightsSettings)
    centre: CentreSettings = field(default_factory=CentreSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    homeassistant: HomeAssistant = field(default_factory=HomeAssistant)
    book: BookSettings = field(default_factory=BookSettings)
    space: Space = field(default_factory=Space)
    notify: Notify = field(default_factory=Notify)
    hatch_light: DeviceSettings = field(default_factory=DeviceSettings)
    chime: DeviceSettings = field(default_factory=DeviceSettings)
    lines: Mapping[str, LineSettings] = field(default_factory=lambda: dict(WIRING))

    def wired(self, lines: Mapping[str, LineSettings]) -> Config:
        """Return this configuration with other lines, and the rules with the inputs among them."""
        inputs = frozenset(lines) & frozenset(INPUT_LINES)
        return replace(self, lines=dict(lines), rules=replace(self.rules, lines=inputs))


def output_lines(config: Config) -> dict[str, LineSettings]:
    """Return the outputs that are wired."""
    return {name: line for name, line in config.lines.items() if name in OUTPUT_LINES}


def input_lines(config: Config) -> dict[str, LineSettings]:
    """Return the inputs that are wired."""
    return {name: line for name, line in config.lines.items() if name in INPUT_LINES}
