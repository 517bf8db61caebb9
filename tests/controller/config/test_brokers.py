"""The brokers of [mqtt]: one, or a list with keys of their own."""

from __future__ import annotations

import pytest

from controller.config.brokers import Broker
from controller.config.loader import ConfigError, parse


def brokers(**mqtt: object) -> list[Broker]:
    return list(parse({"mqtt": mqtt}, "x.toml").mqtt.brokers())


def problems(host: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse({"mqtt": {"host": host}}, "x.toml")
    return list(caught.value.problems)


def test_one_host_is_as_it_always_was() -> None:
    assert brokers() == [Broker("127.0.0.1")]
    assert brokers(host="mqtt.local", port=1884, username="u", password="p", protocol=5) == [
        Broker("mqtt.local", 1884, "u", "p", 5)
    ]
    assert brokers(host="") == []


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("bar.local:1884", ("bar.local", 1884)),
        ("[::1]:1884", ("::1", 1884)),
        ("::1", ("::1", 1883)),
        ("[::1]", ("::1", 1883)),
        ("fe80::1:2", ("fe80::1:2", 1883)),
    ],
)
def test_host_may_have_its_port(host: str, found: tuple[str, int]) -> None:
    assert [(one.host, one.port) for one in brokers(host=host)] == [found]
    assert [(one.host, one.port) for one in brokers(host=[host])] == [found]


def test_list_takes_from_the_section_what_an_entry_leaves_open() -> None:
    others = [
        "127.0.0.1",
        {"host": "n1", "port": 8883, "protocol": 5, "tls": True, "ca": "/ca.pem"},
        {"host": "n2:1885", "username": "other"},
    ]
    assert brokers(host=others, username="u", password="p", port=1884) == [
        Broker("127.0.0.1", 1884, "u", "p"),
        Broker("n1", 8883, "u", "p", 5, tls=True, ca="/ca.pem"),
        Broker("n2", 1885, "other", ""),  # never our password under another name
    ]


def test_every_mistake_in_a_list_is_named_and_no_password_is_shown() -> None:
    entries = [{"host": "a", "port": 0, "colour": 1}, 7, {"password": "x" * 300}, "b:99999"]
    assert problems(entries) == [
        "x.toml: [mqtt] host: entry 1: port must be a whole number from 1 to 65535, got 0",
        "x.toml: [mqtt] host: entry 1: unknown key colour; known are host, port, username,"
        " password, protocol, tls, ca",
        'x.toml: [mqtt] host: entry 2: must be a host or a table like { host = "10.0.0.2" }',
        "x.toml: [mqtt] host: entry 3: password must be text of at most 255 characters, got"
        " something else",
        "x.toml: [mqtt] host: entry 3: host must name the broker",
        "x.toml: [mqtt] host: entry 4: the port of b:99999 must be from 1 to 65535",
    ]


def test_empty_list_and_what_is_no_host_are_refused() -> None:
    assert problems([]) == [
        'x.toml: [mqtt] host: must not be an empty list; "" runs without a broker'
    ]
    for wrong in (7, "a:0", True):
        (problem,) = problems(wrong)
        assert problem.startswith('x.toml: [mqtt] host: must be a host, "host:port", or a list')


@pytest.mark.parametrize(
    "host",
    [
        "localhost:-1",
        "localhost:１８８３",
        "a:b",
        "a b",
        "[::1",
        "::1]:7",
        "10.0.0.2:",
        "a..b",
        ".a",
        "a..",
        "a..b:1884",
        f"{'x' * 64}.local",
        "ä" * 64,
        f"{'x.' * 127}x",
        "a b:1884",
        "[a]:1884",
        "[a]",
        "[]",
        "a\xa0b",
    ],
)
def test_what_can_be_no_host_is_refused_alone_and_in_a_list(host: str) -> None:
    (alone,) = problems(host)
    assert alone.startswith("x.toml: [mqtt] host: must be a host,")
    assert problems([host]) == [f"x.toml: [mqtt] host: entry 1: {host} is no host"]


def test_host_beside_its_port_is_checked_as_well() -> None:
    assert problems([{"host": "a..b", "port": 1884}, {"host": "a:1", "port": 2}]) == [
        "x.toml: [mqtt] host: entry 1: a..b is no host",
        "x.toml: [mqtt] host: entry 2: a:1 is no host",
    ]
    (found,) = brokers(host=[{"host": "[::1]", "port": 1884}])
    assert (found.host, found.port) == ("::1", 1884)


def test_number_in_the_place_of_a_host_is_refused() -> None:
    assert problems([{"host": 5}]) == [
        "x.toml: [mqtt] host: entry 1: host must be text of at most 255 characters, got 5"
    ]


@pytest.mark.parametrize("url", ["mqtt://bar:secret@host", "bar:secret@host", "mqtts://host:8883/"])
def test_url_in_the_place_of_a_host_shows_no_password(url: str) -> None:
    alone = "must be the host alone: port, username, password and tls are keys of their own"
    assert problems(url) == [f"x.toml: [mqtt] host: {alone}"]
    assert problems([url]) == [f"x.toml: [mqtt] host: entry 1: {alone}"]


@pytest.mark.parametrize(
    "host",
    [
        "::1",
        "[::1]",
        "fe80::1%eth0",
        "[fe80::1]:1884",
        "bar.local",
        "bar.local.",
        "bär.local",
        "a_b",
        "x" * 63,
    ],
)
def test_host_in_any_form_is_taken(host: str) -> None:
    assert parse({"mqtt": {"host": host}}, "x.toml").mqtt.host == host
    assert parse({"mqtt": {"host": [host]}}, "x.toml").mqtt.host


def test_passwords_are_in_no_repr() -> None:
    config = parse({"mqtt": {"host": [{"host": "a", "password": "hidden"}]}}, "x.toml")
    assert "hidden" not in repr(config.mqtt) + repr(config.mqtt.brokers())


def test_broker_is_named_by_host_and_port() -> None:
    assert str(Broker("mqtt.local", 1884)) == "mqtt.local:1884"
