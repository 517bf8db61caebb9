"""Every key that the configuration file may have: one row each, with its unit, range and meaning.

The table is the list of legal keys; the commented default file and the README are tested against
it.
"""

from __future__ import annotations

from typing import NamedTuple

from controller.config.notify import SEVERITIES
from controller.config.types import (
    ValueType,
    addresses,
    choice,
    device_name,
    flag,
    kinds,
    number,
    number_or_zero,
    openings,
    payloads,
    quiet_hours,
    rhythms,
    seconds,
    text,
    texts,
    time_zone,
    topic,
    topic_level,
    topic_or_none,
    warnings,
    whole,
)

_PRESETS = (
    "", "zigbee2mqtt", "tasmota", "shelly2", "shelly1", "wled", "esphome", "plain", "custom",
)  # fmt: skip


class Key(NamedTuple):
    """One legal key: its place in the file, the setting it becomes, its type and its meaning."""

    section: str
    name: str
    group: str
    field: str
    type: ValueType
    means: str


def _device_keys(section: str, what: str) -> tuple[Key, ...]:
    """Return the keys of a section for a bulb or chime of another make."""
    return (
        Key(section, "preset", section, "preset", choice(*_PRESETS), f'a {what}; "" for none'),
        Key(section, "device", section, "device", device_name, "its name, as its topics have it"),
        Key(section, "part", section, "part", device_name,
            'relay, switch or ESPHome id; "" takes the preset\'s'),
        Key(section, "topic", section, "topic", topic_or_none,
            "for plain and custom: where to publish"),
        Key(section, "payloads", section, "payloads", payloads,
            "for plain and custom: what to publish, by action"),
    )  # fmt: skip


KEYS: tuple[Key, ...] = (
    Key("house", "venue", "root", "venue", topic_level, "name of this bar on MQTT"),
    Key("house", "capacity", "rules", "capacity", whole(1, 20), "guests inside, at most"),
    Key("house", "counting", "rules", "counting", choice("auto", "manual"),
        "auto: by the beams where both are wired; manual: the bartender says"),
    Key("house", "session_length", "rules", "session_ms", seconds(1, 24 * 60, "min"),
        "how long a party may stay, from its first guest"),
    Key("house", "session_warnings", "rules", "warnings_ms", warnings,
        "how long before the end the chime warns"),
    Key("house", "overtime_every", "rules", "overtime_ms", seconds(1, 60, "min"),
        "how often the chime rings again once the time is up"),
    Key("house", "empty_after", "rules", "empty_after_ms", seconds(0, 600),
        "certain zero, door shut, beams clear for this long: the room is empty"),
    Key("door", "entry", "rules", "entry", choice("release", "walk_in"),
        "release: somebody lets each party in; walk_in: unlocked while places are free"),
    Key("door", "release_time", "rules", "release_ms", seconds(0.5, 30),
        "how long a release keeps the strike on, unless the door opens first"),
    Key("door", "strike_max_on", "rules", "strike_max_on_ms", seconds(0.5, 60),
        "the strike's coil is never on longer than this for one release"),
    Key("door", "open_time", "rules", "open_ms", seconds(1, 3600),
        "a door open longer is DoorOpenTooLong"),
    Key("door", "pre_alarm_time", "rules", "pre_alarm_ms", seconds(0, 3600),
        "warn this long before DoorOpenTooLong"),
    Key("door", "exit_grace", "rules", "exit_grace_ms", seconds(0.5, 60),
        "with an exit button: a door opened later than this after a press was forced"),
    Key("door", "bolt_grace", "rules", "bolt_grace_ms", seconds(0.1, 60),
        "bolt open, door shut, strike off for this long: lock Fault"),
    Key("door", "staff_pass", "rules", "staff_pass_ms", seconds(1, 120),
        "how long a staff pass waits for its one uncounted passage"),
    Key("door", "width_mm", "sensing", "door_width_mm", number_or_zero(600, 2000, "mm"),
        "clear width of the doorway, 0 unknown; to 750 mm fewer questions: no two fit abreast"),
    Key("hatch", "patience", "rules", "hatch_patience_ms", seconds(1, 3600),
        "the hatch light blinks once the oldest knock is older"),
    Key("hatch", "merge", "rules", "knock_merge_ms", seconds(0, 600),
        "knocks closer together than this are the same people"),
    Key("sensing", "beam_spacing_mm", "sensing", "beam_spacing_mm", number(40, 200, "mm"),
        "distance between the two beams; right to 5 %"),
    Key("sensing", "beam_stuck_after", "sensing", "beam_stuck_after_ms", seconds(5, 3600),
        "a beam broken for longer is a fault, not a guest"),
    Key("sensing", "beam_settle", "sensing", "beam_settle_ms", seconds(0.001, 0.02),
        "a beam must hold its level this long: receivers chatter for 5 ms"),
    Key("sensing", "beam_dropout", "sensing", "beam_dropout_ms", seconds(0, 0.2),
        "a shorter gap on one beam only is sunlight in the receiver"),
    Key("sensing", "contact_settle", "sensing", "contact_settle_ms", seconds(0, 1),
        "a contact must hold its level this long"),
    Key("knocks", "raps", "sensing", "knock_raps", whole(1, 3),
        "the rap that makes it a knock: 2 ignores bottles put down, 1 misses nobody"),
    Key("knocks", "gap", "sensing", "knock_gap_ms", seconds(0.95, 5),
        "the silence that ends a knock"),
    Key("knocks", "regulars", "sensing", "regulars", rhythms,
        "rhythms with a name: `backdoor self-test --learn NAME` takes one down"),
    Key("pins", "factory", "root", "factory", choice("gpiod", "lgpio", "rpigpio", "mock"),
        "which gpiozero backend drives the pins"),
    Key("mqtt", "host", "mqtt", "host", text, 'the broker; "" runs without one'),
    Key("mqtt", "port", "mqtt", "port", whole(1, 65535), "the broker's port"),
    Key("mqtt", "username", "mqtt", "username", text, 'user name at the broker; "" for none'),
    Key("mqtt", "password", "mqtt", "password", text, "password at the broker"),
    Key("mqtt", "prefix", "mqtt", "prefix", topic, "first part of every topic"),
    Key("mqtt", "protocol", "mqtt", "protocol", whole(4, 5), "MQTT version: 4 is 3.1.1, or 5"),
    Key("mqtt", "command_max_age", "root", "command_max_age_s", seconds(1, 60, scale=1.0),
        "an older command is refused, and one whose clock is further ahead of ours"),
    Key("web", "host", "web", "host", text, "address that the page listens on"),
    Key("web", "port", "web", "port", whole(1, 65535), "port that the page listens on"),
    Key("web", "public_url", "web", "public_url", text,
        'address for phones, as "http://backdoor.local:8080"; "" works it out'),
    Key("web", "secret_file", "web", "secret_file", text, "where the pairing secret is kept"),
    Key("web", "allowed_hosts", "web", "allowed_hosts", texts,
        "further names that the page answers to"),
    Key("web", "max_streams", "web", "max_streams", whole(1, 200), "phones with a live stream"),
    Key("web", "tls_cert", "web", "tls_cert", text, 'certificate file; "" for plain HTTP'),
    Key("web", "tls_key", "web", "tls_key", text, "its key file"),
    Key("web", "language", "web", "language", choice("auto", "en", "it"),
        "auto: as the phone says"),
    Key("web", "metrics_token", "web", "metrics_token", text,
        'bearer token for /metrics; "" for paired phones only'),
    Key("web", "venues", "web", "venues", choice("", "+"),
        '"+" shows all bars below the prefix as tiles at /venues; "" only this one'),
    Key("book", "url", "book", "url", text,
        'private iCalendar address or a file; "" for no book'),
    Key("book", "open", "book", "open", openings, "when parties may be in; past midnight is fine"),
    Key("book", "timezone", "book", "timezone", time_zone, 'of these hours; "" is this machine\'s'),
    Key("book", "horizon_days", "book", "horizon_days", whole(1, 366),
        "how far ahead a free table is looked for"),
    Key("book", "names", "book", "names", flag, "whether names go out on MQTT"),
    Key("space", "name", "space", "name", text,
        'shows /spaceapi.json to everybody: open, full, free places; "" for no such page'),
    Key("space", "url", "space", "url", text, "the bar's website"),
    Key("space", "logo", "space", "logo", text, "address of its picture"),
    Key("space", "email", "space", "email", text, "where to write to"),
    Key("notify", "urls", "notify", "urls", addresses,
        "who is told while the page is closed: services as Apprise writes them; [] for nobody"),
    Key("notify", "for", "notify", "kinds", kinds,
        "what is told, unless an address says otherwise"),
    Key("notify", "quiet_hours", "notify", "quiet_hours", quiet_hours,
        "only what is critical is told then; what still stands at their end is told then"),
    Key("notify", "least_severity", "notify", "least_severity", choice(*SEVERITIES),
        "what is less severe is not told"),
    Key("notify", "most_an_hour", "notify", "most_an_hour", whole(1, 1000),
        "of each kind; what is more is told as one summary"),
    Key("notify", "language", "notify", "language", choice("en", "it"), "of the messages"),
    Key("notify", "answer_host", "notify", "answer_host", text,
        "address that the button *Answered* is listened for on"),
    Key("notify", "answer_port", "notify", "answer_port", whole(0, 65535),
        "its port; 0 for messages without that button"),
    Key("notify", "answer_url", "notify", "answer_url", text,
        'its address for phones, as "http://backdoor.local:8090"; "" works it out'),
    Key("homeassistant", "discovery", "homeassistant", "discovery",
        choice("device", "component", "off"),
        "device: one message (2024.11 and later); component: one for each entity; off"),
    Key("homeassistant", "prefix", "homeassistant", "prefix", topic,
        "its discovery prefix; its status is heard below it"),
    *_device_keys("hatch_light", "bulb that follows the hatch light"),
    *_device_keys("chime", "chime that rings along"),
    Key("journal", "path", "journal", "path", text, "the SQLite file; created when missing"),
    Key("journal", "keep_days", "journal", "keep_days", whole(1, 3650),
        "events older than this are dropped"),
    Key("backup", "folder", "backup", "folder", text,
        'where the nightly backup goes, best another disk: "/media/stick"; "" for none'),
    Key("backup", "keep_days", "backup", "keep_days", whole(1, 366),
        "of so many days that have one, the newest backup stays"),
    Key("backup", "keep_weeks", "backup", "keep_weeks", whole(0, 520), "of so many weeks"),
    Key("backup", "keep_months", "backup", "keep_months", whole(0, 1200), "of so many months"),
)  # fmt: skip
