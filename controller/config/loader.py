"""The configuration file: reads TOML and returns one checked `Config`, or all mistakes at once.

Each mistake is one line that names file, section, key and value, and says what would be right.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller.config.notify import Notify
from controller.config.presets import problems as device_problems
from controller.config.schema import KEYS, Key
from controller.config.settings import (
    FIRST_SAFE_STRIKE_PIN,
    WIRING,
    BackupSettings,
    BookSettings,
    CentreSettings,
    Config,
    DeviceSettings,
    HomeAssistant,
    JournalSettings,
    LineSettings,
    Mqtt,
    NightsSettings,
    Space,
    Web,
)
from controller.config.toml_file import TomlError, read_toml
from controller.rules.state import RuleSettings
from controller.sensing.settings import SensingSettings

DEFAULT_PATH = "/etc/backdoor/backdoor.toml"
#: BCM numbers on the 40-pin header.
LAST_PIN = 27


class ConfigError(Exception):
    """The configuration can't be used; ``problems`` has one line for each mistake."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load(path: str, sets: Iterable[str] = ()) -> Config:
    """Return the configuration in ``path`` with ``section.key=value`` changes on top."""
    try:
        document = read_toml(Path(path))
    except OSError as error:
        hint = "give one with --config FILE, or start from systemd/backdoor.toml"
        raise ConfigError([f"{path}: can't be read ({error.strerror}); {hint}"]) from None
    except TomlError as error:
        raise ConfigError([f"{path}: {error}"]) from None
    document.setdefault("lines", {})
    return parse(document, path, sets)


def parse(document: Mapping[str, Any], source: str, sets: Iterable[str] = ()) -> Config:
    """Return the checked configuration of ``document``; without ``lines`` all lines are wired."""
    problems: list[str] = []
    merged = {name: dict(part) if isinstance(part, dict) else part
              for name, part in document.items()}  # fmt: skip
    set_keys = _apply_changes(merged, sets, problems)
    reader = _Reader(source, frozenset(document), set_keys, problems)
    config = reader.config(merged)
    if problems:
        raise ConfigError(problems)
    return config


def _apply_changes(
    document: dict[str, Any], sets: Iterable[str], problems: list[str]
) -> set[tuple[str, str]]:
    """Put each ``section.key=value`` into the document; return the keys that were set so."""
    changed = set()
    for change in sets:
        key, equals, value = change.partition("=")
        section, dot, name = key.strip().partition(".")
        if not (equals and dot and name):
            problems.append(f'--set {change}: must be section.key=value, got "{change}"')
            continue
        document.setdefault(section, {})
        if isinstance(document[section], dict):
            document[section][name] = _value(value.strip())
        changed.add((section, name))
    return changed


def _value(text: str) -> object:
    """Read a value as TOML does; text that is not TOML is taken as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


class _Reader:
    """Reads a document by the table of keys, collecting every problem with its place."""

    def __init__(
        self,
        source: str,
        sections: frozenset[str],
        sets: set[tuple[str, str]],
        problems: list[str],
    ) -> None:
        self._source = source
        self._sections = sections
        self._sets = sets
        self._problems = problems

    def config(self, document: Mapping[str, Any]) -> Config:
        groups: dict[str, dict[str, Any]] = {}
        for section, part in document.items():
            if section != "lines":
                self._section(section, part, groups)
        root = groups.get("root", {})
        config = Config(
            **root,
            rules=RuleSettings(**groups.get("rules", {})),
            sensing=SensingSettings(**groups.get("sensing", {})),
            mqtt=Mqtt(**groups.get("mqtt", {})),
            web=Web(**groups.get("web", {})),
            journal=JournalSettings(**groups.get("journal", {})),
            nights=NightsSettings(**groups.get("nights", {})),
            centre=CentreSettings(**groups.get("centre", {})),
            backup=BackupSettings(**groups.get("backup", {})),
            homeassistant=HomeAssistant(**groups.get("homeassistant", {})),
            book=BookSettings(**groups.get("book", {})),
            space=Space(**groups.get("space", {})),
            notify=Notify(**groups.get("notify", {})),
            hatch_light=DeviceSettings(**groups.get("hatch_light", {})),
            chime=DeviceSettings(**groups.get("chime", {})),
        )
        config = config.wired(self._lines(document.get("lines", None)))
        self._check_together(config)
        return config

    def _section(self, section: str, part: object, groups: dict[str, dict[str, Any]]) -> None:
        keys = {key.name: key for key in KEYS if key.section == section}
        if not keys:
            self._add_problem(section, "", _unknown_section(section, part))
        elif not isinstance(part, dict):
            self._add_problem(section, "", f"must be a section, got {_as_json(part)}")
        else:
            for name, value in part.items():
                self._key(section, name, value, keys, groups)

    def _key(
        self,
        section: str,
        name: str,
        value: object,
        keys: Mapping[str, Key],
        groups: dict[str, dict[str, Any]],
    ) -> None:
        key = keys.get(name)
        if key is None:
            self._add_problem(section, name, f"unknown key{_suggestion(name, keys)}")
            return
        try:
            groups.setdefault(key.group, {})[key.field] = key.type.read(value)
        except ValueError:
            shown = _as_json(value)
            hidden = key.type.secret or "@" in shown  # an address may have a password in it
            got = "something else" if hidden else shown
            self._add_problem(section, name, f"must be {key.type.expected}, got {got}")
        except ExceptionGroup as errors:
            for error in errors.exceptions:
                self._add_problem(section, name, str(error))

    def _lines(self, part: object) -> Mapping[str, LineSettings]:
        if part is None:
            return WIRING
        if not isinstance(part, dict):
            self._add_problem("lines", "", f"must be a section, got {_as_json(part)}")
            return {}
        found = {name: self._line(name, value) for name, value in part.items()}
        lines = {name: line for name, line in found.items() if line is not None}
        self._one_line_a_pin(lines)
        return lines

    def _line(self, name: str, value: object) -> LineSettings | None:
        usual = WIRING.get(name)
        if usual is None:
            self._add_problem("lines", name, f"unknown line{_suggestion(name, WIRING)}")
            return None
        wanted = value if isinstance(value, dict) else {"pin": value}
        problems = list(_line_problems(wanted))
        for problem in problems:
            self._add_problem("lines", name, problem)
        return None if problems else replace(usual, **wanted)

    def _one_line_a_pin(self, lines: Mapping[str, LineSettings]) -> None:
        first: dict[int, str] = {}
        for name, line in lines.items():
            other = first.setdefault(line.pin, name)
            if other != name:
                self._add_problem(
                    "lines", name, f"pin {line.pin} is already {other}'s; use another pin"
                )

    def _check_together(self, config: Config) -> None:
        """Check settings that depend on each other."""
        rules, lines = config.rules, config.lines
        if rules.pre_alarm_ms > rules.open_ms:
            self._add_problem(
                "door", "pre_alarm_time", "must not be longer than open_time; lower it"
            )
        if rules.release_ms > rules.strike_max_on_ms:
            self._add_problem(
                "door", "release_time", "must not be longer than strike_max_on; lower it"
            )
        if sorted(rules.warnings_ms, reverse=True) != list(rules.warnings_ms):
            self._add_problem(
                "house", "session_warnings", "must go from the earliest to the latest"
            )
        self._safe_strike(lines.get("strike"))
        if ("beam_outer" in lines) != ("beam_inner" in lines):
            self._add_problem(
                "lines", "beam_outer", "one beam alone can't count; wire both or neither"
            )
        for section in ("hatch_light", "chime"):
            for name, problem in device_problems(section, getattr(config, section)):
                self._add_problem(section, name, problem)
        if bool(config.web.tls_cert) != bool(config.web.tls_key):
            self._add_problem("web", "tls_cert", "goes with tls_key; give both or neither")
        self._centre(config)

    def _centre(self, config: Config) -> None:
        """Refuse what a centre can't work with."""
        if not config.centre.servers:
            return
        if not config.nights.database:
            self._add_problem(
                "centre", "servers", "needs the history: name one in [nights] database"
            )
        for section, name, value in (
            ("house", "venue", config.venue),
            ("mqtt", "prefix", config.mqtt.prefix),
        ):
            if set(value) & set("*>"):
                why = f'must not have "*" or ">" where there is a centre, got {_as_json(value)}'
                self._add_problem(section, name, f"{why}; take another name")

    def _safe_strike(self, strike: LineSettings | None) -> None:
        """Refuse a strike that would open while the Pi starts."""
        if strike is not None and strike.pin < FIRST_SAFE_STRIKE_PIN:
            why = f"pin {strike.pin} is pulled up while the Pi starts and would open the door"
            self._add_problem(
                "lines", "strike", f"{why}; use GPIO {FIRST_SAFE_STRIKE_PIN} to {LAST_PIN}"
            )
        if strike is not None and strike.active != "high":
            self._add_problem(
                "lines", "strike", 'a pin is low while the Pi starts: set active = "high"'
            )

    def _add_problem(self, section: str, name: str, problem: str) -> None:
        by_set = (section, name) in self._sets or (not name and section not in self._sections)
        source = "--set" if by_set else self._source
        place = f"[{section}] {name}" if name else f"[{section}]"
        self._problems.append(f"{source}: {place}: {problem}")


def _unknown_section(section: str, part: object) -> str:
    """Return what is wrong with it; a key above the first section looks like one."""
    homes = [key.section for key in KEYS if key.name == section]
    if homes and not isinstance(part, dict):
        return f"stands in no section; move it below {' or '.join(f'[{home}]' for home in homes)}"
    sections = sorted({key.section for key in KEYS} | {"lines"})
    return f"unknown section{_suggestion(section, sections)}"


def _line_problems(wanted: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with a line's wiring."""
    checks = {
        "pin": (range(LAST_PIN + 1), f"a BCM pin from 0 to {LAST_PIN}"),
        "pull": (("up", "down", "none"), '"up", "down" or "none"'),
        "active": (("high", "low"), '"high" or "low"'),
    }
    for key, value in wanted.items():
        if key not in checks:
            yield f"unknown key {key}{_suggestion(key, checks)}"
            continue
        legal, expected = checks[key]
        if isinstance(value, bool | float) or value not in legal:
            yield f"{key} must be {expected}, got {_as_json(value)}"


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(sorted(known))}"


def _as_json(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
