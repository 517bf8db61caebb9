"""The page's names: its own in any home, none that a stranger can own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from flask import Flask

from tests.support.fake_controller import FakeController, page_of
from tests.support.wait import HANGS_S
from web.security.hosts import LOOK_UP_EVERY_S, Hosts, own_names, search_domains

ADDRESSES = ("127.0.0.1:8080", "[::1]:80", "192.168.1.20", "10.0.0.7", "169.254.3.4")
OWN = (
    "localhost",
    "bar",
    "BAR:8080",
    "bar.local",
    "bar.local.",
    "bar-2.local:8080",
    "bar-13.local",
    "bar.lan",
    "bar.home.arpa",
    "bar.fritz.box",
    "bar-2.fritz.box",
    "bar.corp.example",
    "bar.wifi.example",
    "page.example",
    "given.example",
)
FOREIGN = (
    "",
    "evil.example",
    "8.8.8.8",
    "localhost.evil.example",
    "[::",
    "bar.evil.example",
    "xbar.local",
    "barx.local",
    "bar-.local",
    "bar-x.local",
    "bar-2.evil.example",
    "bar.lan.evil.example",
    "evil.bar.local",
    "bar.corp.example.evil.example",
    "fritz.box",
    ".local",
)


def hosts(**how: object) -> Hosts:
    usual = {
        "names": lambda: ("bar", "bar.corp.example"),
        "domains": lambda: ["wifi.example"],
    }
    return Hosts(("Given.example.",), "https://page.example:8443/", **usual | how)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ADDRESSES + OWN)
def test_host_of_our_names_and_private_addresses_is_answered(host: str) -> None:
    assert hosts().allows(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_host_that_is_foreign_is_refused(host: str) -> None:
    assert not hosts().allows(host)


def test_host_of_a_machine_with_a_full_name_is_its_first_part_in_any_home() -> None:
    full = hosts(names=lambda: ("bar.corp.example", "bar.corp.example"))
    assert full.allows("bar.local")
    assert full.allows("bar.corp.example")
    assert not full.allows("bar.corp.example.local")


def test_names_that_are_new_are_found_within_a_minute_and_asked_for_no_oftener() -> None:
    now_s, asked = [0.0], []

    def names() -> tuple[str, str]:
        asked.append(now_s[0])
        return ("old", "old") if len(asked) == 1 else ("new", "new")

    found = hosts(names=names, monotonic=lambda: now_s[0])
    assert found.allows("old.local")
    for _ in range(1000):
        assert not found.allows("new.local")
    now_s[0] += LOOK_UP_EVERY_S
    assert found.allows("new.local")
    assert found.allows("new.lan")
    assert asked == [0.0, LOOK_UP_EVERY_S]


def test_names_that_take_long_to_find_hold_up_one_request_only() -> None:
    looking, go_on = threading.Event(), threading.Event()

    def names() -> tuple[str, str]:
        looking.set()
        go_on.wait(HANGS_S)
        return "bar", "bar"

    found = hosts(names=names)
    first = threading.Thread(target=found.allows, args=("evil.example",))
    first.start()
    assert looking.wait(HANGS_S)
    try:
        assert not found.allows("other.example")  # does not wait for it
    finally:
        go_on.set()
        first.join(HANGS_S)
    assert found.allows("bar.local")


def test_names_of_this_machine_are_its_own() -> None:
    name, full = own_names()
    assert name
    assert full
    assert Hosts((), "").allows(f"{name.partition('.')[0]}-2.local")


def test_search_domains_are_read_as_the_resolver_reads_them(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    assert search_domains(conf) == []
    conf.write_bytes(
        b"# \xff\nnameserver 1.1.1.1\nSearch Wifi.Example. corp.example\ndomain x\nsearch\n"
    )
    assert search_domains(conf) == ["wifi.example", "corp.example", "x"]


@pytest.mark.parametrize("host", ["page.example", "bar.example"])
def test_page_answers_to_the_names_that_the_owner_gave(
    controller: FakeController, tmp_path: Path, host: str
) -> None:
    public, allowed = "https://page.example/", ("bar.example",)
    app: Flask = page_of(controller, tmp_path, public_url=public, allowed_hosts=allowed)
    assert app.test_client().get("/healthz", headers={"Host": host}).status_code == 200
