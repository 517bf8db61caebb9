"""The configuration: every mistake at once, each with file, section, key, value and the way out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config.loader import ConfigError, load, parse
from controller.config.schema import KEYS
from controller.config.settings import WIRING, Config, input_lines, output_lines

SHIPPED = Path(__file__).parents[3] / "systemd" / "backdoor.toml"


def problems(document: dict[str, Any], *sets: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(document, "backdoor.toml", sets)
    return caught.value.problems


def test_empty_document_gives_defaults_with_all_lines_wired() -> None:
    assert parse({}, "x") == Config().wired(WIRING)


def test_wrong_duration_names_file_section_key_range_and_value() -> None:
    assert problems({"door": {"release_time": "abc"}}) == (
        'backdoor.toml: [door] release_time: must be 0.5 to 30 s, got "abc"',
    )


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("house", "capacity", 0, "must be a whole number from 1 to 20, got 0"),
        ("house", "capacity", True, "must be a whole number from 1 to 20, got true"),
        ("house", "capcity", 4, 'unknown key; did you mean "capacity"?'),
        ("house", "venue", "a/b", 'must be one topic level without "/", "+", "#", "$" or spaces'),
        ("house", "session_length", "2 weeks", "must be 1 to 1440 min"),
        ("house", "session_warnings", 5, "must be a list of times"),
        ("house", "session_warnings", ["5 min", "15 min"], "must go from the earliest"),
        ("door", "entry", "open", 'must be "release" or "walk_in", got "open"'),
        ("door", "release_time", float("nan"), "must be 0.5 to 30 s"),
        ("door", "release_time", 31, "must be 0.5 to 30 s, got 31"),
        ("door", "release_time", "400 ms", 'must be 0.5 to 30 s, got "400 ms"'),
        ("door", "release_time", 20, "must not be longer than strike_max_on"),
        ("door", "pre_alarm_time", 60, "must not be longer than open_time"),
        ("door", "width_mm", 90, "must be 0 or 600 to 2000 mm, got 90"),
        ("door", "width_mm", "900", 'must be 0 or 600 to 2000 mm, got "900"'),
        ("sensing", "beam_spacing_mm", 10, "must be 40 to 200 mm, got 10"),
        ("mqtt", "prefix", "a/#", "must be a topic without"),
        ("mqtt", "port", 70000, "must be a whole number from 1 to 65535"),
        ("web", "tls_cert", "x.pem", "goes with tls_key"),
        ("house", "session_length", 2, 'min like "1440 min"; a number alone is seconds, got 2'),
        ("web", "host", "a\nb", "must be an address of this machine like"),
        ("web", "host", "http://backdoor.local", "must be an address of this machine like"),
        ("notify", "answer_host", "a..b", "must be an address of this machine like"),
        ("web", "public_url", "backdoor.local", 'must be "" or an address like "http://'),
        ("web", "public_url", "http://[::1", 'must be "" or an address like "http://'),
        ("web", "venue_url", "{venue}.local", 'must be "" or an address like "http://'),
        ("notify", "answer_url", "http://:8090", 'must be "" or an address like "http://'),
        ("space", "logo", "logo.png", 'must be "" or an address like "http://'),
        ("journal", "path", "~/journal.db", "must be the name of a file, in full"),
        ("web", "venues", "#", 'must be "" or "+", got "#"'),
        ("book", "open", ["Monday 18-1"], 'must be a list of hours like ["Mon-Sat 18:00-01:00"]'),
        ("book", "timezone", "Rome", 'must be "" or a time zone like "Europe/Rome", got "Rome"'),
        (
            "book",
            "url",
            "ftp://host/private.ics",
            'must be a file, "" or an address like "https://',
        ),
        ("book", "url", "https://", "got something else"),
        ("book", "url", "https:///private.ics", "got something else"),
        ("book", "url", "https:host/private.ics", "got something else"),
        ("book", "url", "http://host:99999/private.ics", "got something else"),
        ("book", "url", "http://host:x/private.ics", "got something else"),
        ("book", "url", "http://[::1/private.ics", "got something else"),
        ("book", "url", "http://my host/private.ics", "got something else"),
        ("book", "url", "http://a..b/private.ics", "got something else"),
        ("book", "url", "webcal:", "got something else"),
        ("book", "url", "file:///srv/private.ics", "got something else"),
        ("book", "url", "  ", "got something else"),
        (
            "journal",
            "path",
            "",
            'must be the name of a file, in full and of at most 255 characters, got ""',
        ),
        ("journal", "path", "/var/lib/backdoor/", "must be the name of a file"),
        ("journal", "path", "..", "must be the name of a file"),
        ("web", "secret_file", "", "must be the name of a file"),
        ("book", "names", "yes", 'must be true or false, got "yes"'),
        ("hatch_light", "payloads", {"on": 1}, "must be a table of texts"),
        ("homeassistant", "prefix", "a/+", "must be a topic without"),
        (
            "centre",
            "servers",
            ["https://a"],
            'a list of addresses like ["tls://centre1.example:4222"]',
        ),
        ("lines", "strike", 99, "pin must be a BCM pin from 0 to 27, got 99"),
        ("lines", "strike", 16.0, "pin must be a BCM pin from 0 to 27, got 16.0"),
        ("lines", "strike", {"pin": 16, "pul": "up"}, 'unknown key pul; did you mean "pull"?'),
        ("lines", "strike", {"pin": 16, "active": "on"}, 'active must be "high" or "low"'),
        ("lines", "strike", 5, "would open the door; use GPIO 9 to 27"),
        ("lines", "strike", {"pin": 16, "active": "low"}, 'set active = "high"'),
        ("lines", "strke", 16, 'unknown line; did you mean "strike"?'),
        ("lines", "beam_outer", 22, "one beam alone can't count"),
    ],
)
def test_each_mistake_names_place_and_expected_value(
    section: str, key: str, value: Any, says: str
) -> None:
    (problem,) = problems({section: {key: value}})
    assert problem.startswith(f"backdoor.toml: [{section}] {key}: ")
    assert says in problem


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("mqtt", "password", 4711),
        ("web", "metrics_token", 4711),
        ("nights", "database", "mysql://me:4711@host/nights"),
        ("centre", "servers", ["nats://me:4711@host"]),
        ("web", "public_url", "ftp://me:4711@host"),
    ],
)
def test_mistake_shows_no_password(section: str, key: str, value: Any) -> None:
    (problem,) = problems({section: {key: value}})
    assert "4711" not in problem
    assert problem.endswith("got something else")


@pytest.mark.parametrize(
    "url",
    ["", "book.ics", "/srv/book.ics", "HTTPS://host/a.ics", "webcal://me:pw@host:8443/a.ics?k=1",
     "http://[::1]:80/a.ics", "https://bücher.example/ä.ics"],
)  # fmt: skip
def test_address_or_file_of_a_calendar_is_taken_as_it_is(url: str) -> None:
    assert parse({"book": {"url": url}}, "x.toml").book.url == url


@pytest.mark.parametrize(
    ("section", "name", "value", "says"),
    [
        ("nights", "database", "", "[centre] servers: needs the history: name one in"),
        ("house", "venue", "bar>", '[house] venue: must not have "*" or ">" where there is'),
        ("mqtt", "prefix", "a/*", '[mqtt] prefix: must not have "*" or ">" where there is'),
    ],
)
def test_what_a_centre_cannot_work_with_is_named(
    section: str, name: str, value: str, says: str
) -> None:
    document = {section: {name: value}}
    parse(document, "f.toml")
    with pytest.raises(ConfigError) as caught:
        parse({**document, "centre": {"servers": ["tls://a.example"]}}, "f.toml")
    assert says in str(caught.value)


def test_two_mistakes_of_one_line() -> None:
    wrong = {"pin": 24, "pull": "sideways", "colour": "red"}
    assert len(problems({"lines": {"door_contact": wrong}})) == 2


def test_two_lines_on_one_pin() -> None:
    (problem,) = problems({"lines": {"strike": 16, "full_lamp": 16}})
    assert problem == (
        "backdoor.toml: [lines] full_lamp: pin 16 is already strike's; use another pin"
    )


def test_unknown_sections_and_sections_of_wrong_type() -> None:
    found = problems({"hous": {}, "door": 3, "lines": [], "zzz": {}})
    assert 'backdoor.toml: [hous]: unknown section; did you mean "house"?' in found
    assert "backdoor.toml: [door]: must be a section, got 3" in found
    assert "backdoor.toml: [lines]: must be a section, got []" in found
    assert problems({"capacity": 4, "language": "it"}) == (
        "backdoor.toml: [capacity]: stands in no section; move it below [house]",
        "backdoor.toml: [language]: stands in no section; move it below [web] or [notify]",
    )
    assert any(
        problem.startswith("backdoor.toml: [zzz]: unknown section; known are") for problem in found
    )


def test_three_mistakes_are_reported_together() -> None:
    assert len(problems({"house": {"capacity": 0, "x": 1}, "door": {"entry": 1}})) == 3


def test_set_changes_a_key_and_is_named_in_its_mistakes() -> None:
    changed = parse(
        {}, "x", ["sensing.beam_spacing_mm=105.6", "house.venue=mag", "door.entry='walk_in'"]
    )
    assert changed.sensing.beam_spacing_mm == 105.6
    assert (changed.venue, changed.rules.entry) == ("mag", "walk_in")
    assert problems({"house": 3}, "house.capacity=0") == (
        "backdoor.toml: [house]: must be a section, got 3",
    )
    assert problems({}, "house.capacity=0", "nonsense", "a=b") == (
        '--set nonsense: must be section.key=value, got "nonsense"',
        '--set a=b: must be section.key=value, got "a=b"',
        "--set: [house] capacity: must be a whole number from 1 to 20, got 0",
    )


def test_duration_is_seconds_or_text_with_a_unit() -> None:
    document = {"house": {"session_length": "90 min"}, "door": {"release_time": "700ms"}}
    rules = parse(document, "x").rules
    assert (rules.session_ms, rules.release_ms) == (5_400_000.0, 700.0)
    assert parse({"house": {"session_length": 7200}}, "x").rules.session_ms == 7_200_000.0
    assert parse({"house": {"session_warnings": ["1 min"]}}, "x").rules.warnings_ms == (60_000.0,)


def test_opening_hours_and_time_zone_of_the_book() -> None:
    hours = {"open": ["Mon-Sat 18:00-01:00", "Sun 17:00-23:00"], "timezone": "Europe/Rome"}
    book = parse({"book": {**hours, "names": True}}, "x").book
    assert book.open == ("Mon-Sat 18:00-01:00", "Sun 17:00-23:00")
    assert (book.timezone, book.names) == ("Europe/Rome", True)


def test_wired_inputs_reach_the_rules() -> None:
    config = parse({"lines": {"hatch_knock": 17, "strike": {"pin": 16}}}, "x")
    assert config.rules.lines == {"hatch_knock"}
    assert list(input_lines(config)) == ["hatch_knock"]
    assert list(output_lines(config)) == ["strike"]
    assert not config.rules.beams


def test_file_that_is_missing_or_not_toml(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match=r"none.toml: can't be read \(No such file"):
        load(str(missing))
    broken = tmp_path / "broken.toml"
    broken.write_text("[door\n")
    with pytest.raises(ConfigError, match=r"broken.toml: not TOML"):
        load(str(broken))
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"broken.toml: not TOML"):
        load(str(broken))


def test_file_without_lines_wires_nothing(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text("[house]\ncapacity = 3\n")
    config = load(str(file), ["house.venue=mag"])
    assert config.lines == {}
    assert (config.rules.capacity, config.venue) == (3, "mag")


@given(
    st.dictionaries(
        st.sampled_from([*sorted({key.section for key in KEYS}), "lines", "x"]),
        st.dictionaries(
            st.sampled_from([*sorted({key.name for key in KEYS}), "strike", "y"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
            | st.lists(st.integers(), max_size=2) | st.dictionaries(st.just("pin"), st.integers()),
            max_size=3,
        )
        | st.integers(),
        max_size=4,
    )
)  # fmt: skip
def test_any_document_is_read_or_each_mistake_has_its_place(document: dict[str, Any]) -> None:
    try:
        found: tuple[str, ...] = ()
        parse(document, "x")
    except ConfigError as error:
        found = error.problems or ("a mistake without words",)
    assert all(problem.startswith("x: [") for problem in found)


# --- the shipped file is the list of legal keys ---------------------------------------------------


def test_rhythm_is_two_or_more_parts_of_the_longest_gap() -> None:
    known = parse({"knocks": {"regulars": {"Anna": [0.5, 1], "Bo": [1, 0.25, 0.25]}}}, "x")
    assert known.sensing.regulars == (("Anna", (0.5, 1.0)), ("Bo", (1.0, 0.25, 0.25)))
    for wrong in ([1], [0.5, 0.5], [0, 1], [1, 2], ["1", 1], "Anna", 3):
        (problem,) = problems({"knocks": {"regulars": {"Anna": wrong}}})
        assert "[knocks] regulars: must be a table like" in problem
    assert problems({"knocks": {"regulars": 1}})


def test_shipped_file_is_valid_and_gives_the_defaults() -> None:
    config = load(str(SHIPPED))
    assert config == Config().wired({n: WIRING[n] for n in config.lines})
    assert set(config.lines) == {"hatch_knock", "door_contact", "strike"}


def test_shipped_file_names_every_key_with_default_and_every_line() -> None:
    text = SHIPPED.read_text()
    everything = tomllib.loads(re.sub(r"^#(?=\w)", "", text, flags=re.MULTILINE))
    assert set(everything["lines"]) == set(WIRING)
    for key in KEYS:
        assert key.name in everything[key.section], f"[{key.section}] {key.name} is missing"
    assert parse(everything, "x") == Config().wired(WIRING)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("door", "release_time", "５ s"),
        ("house", "venue", "bar\u202e"),
        ("house", "venue", "bar\u200b"),
        ("mqtt", "prefix", "back\x7fdoor"),
    ],
)
def test_digits_of_other_scripts_and_characters_that_nobody_sees_are_refused(
    section: str, key: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=rf"\[{section}\] {key}: must be"):
        parse({section: {key: value}}, "x.toml")
