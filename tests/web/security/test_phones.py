"""The list of paired phones: names, who is thrown out, invitations, and its file."""

from __future__ import annotations

import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wait import HANGS_S, eventually
from web.security.phones import (
    INVITED_S,
    LONGEST_NAME,
    MOST_GONE,
    MOST_INVITED,
    MOST_PHONES,
    SAVE_EVERY_S,
    Phones,
    clean_name,
    device_name,
)

AT = datetime(2026, 11, 25, 21, 0, tzinfo=UTC)


class House:
    """A list in a folder, with a secret and clocks that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.file, self.generation = folder / "pairing.phones", "g1"
        self.now_s, self.wall = 0.0, AT
        self.phones = self.restart()

    def restart(self) -> Phones:
        self.phones = Phones(
            self.file,
            lambda: self.generation,
            wall=lambda: self.wall,
            monotonic=lambda: self.now_s,
        )
        return self.phones

    def wait(self, s: float) -> None:
        self.now_s += s
        self.wall += timedelta(seconds=s)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_phone_that_was_added_is_there_after_a_restart_too(house: House) -> None:
    phone = house.phones.add("Anna")
    for phones in (house.phones, house.restart()):
        assert phones.get(phone.id) == phone
        assert [(p.name, p.seen_at) for p in phones.all()] == [("Anna", AT)]
    assert stat.S_IMODE(house.file.stat().st_mode) == 0o600


def test_phone_that_was_removed_stays_out(house: House) -> None:
    anna, bea = house.phones.add("Anna"), house.phones.add("Bea")
    assert house.phones.remove(anna.id) == anna
    assert house.phones.remove(anna.id) is None
    for phones in (house.phones, house.restart()):
        assert phones.all() == [bea]
        assert not phones.is_welcome({"paired": True, "phone": anna.id}, "cookie")
        assert phones.recognise({"paired": True, "phone": anna.id}, "cookie", "Anna") is None


def test_phones_are_out_when_the_secret_is_a_new_one(house: House) -> None:
    anna = house.phones.add("Anna")
    token = house.phones.invite(anna.id)
    house.generation = "g2"
    assert house.phones.all() == []
    assert house.phones.accept(token) is None
    assert not house.phones.is_welcome({"paired": True, "phone": anna.id}, "cookie")
    bea = house.phones.add("Bea")
    assert house.restart().all() == [bea]


def test_phone_of_an_older_version_is_taken_up_once(house: House) -> None:
    old, cookie = {"paired": True}, "eyJ.x.y"
    assert house.phones.is_welcome(old, cookie)
    phone = house.phones.recognise(old, cookie, "iPhone")
    assert phone
    for phones in (house.phones, house.restart()):
        again = phones.recognise(old, cookie, "iPhone")
        assert again
        assert (again.id, again.name) == (phone.id, "iPhone")
        assert phones.recognise({"paired": True, "phone": phone.id}, "new", "x") == again
    assert len(house.phones.all()) == 1
    house.phones.remove(phone.id)
    for phones in (house.phones, house.restart()):
        assert phones.recognise(old, cookie, "iPhone") is None
        assert not phones.is_welcome(old, cookie)
        assert phones.recognise(old, "another", "iPad") is not None


def test_phone_that_is_not_paired_is_nobody(house: House) -> None:
    for content in ({}, {"paired": False}, {"phone": "x"}):
        assert house.phones.recognise(content, "cookie", "name") is None
    assert not house.file.exists()


def test_phones_come_back_when_the_list_is_lost_unless_thrown_out_since(house: House) -> None:
    """The list could not be written, or a backup had none: the cookies are good all the same."""
    anna, bea = house.phones.add("Anna"), house.phones.add("Bea")
    house.file.unlink()
    phones = house.restart()
    taken = phones.recognise({"paired": True, "phone": anna.id}, "cookie", "iPhone")
    assert taken
    assert taken.id == anna.id
    phones.remove(anna.id)
    phones = house.restart()
    assert not phones.is_welcome({"paired": True, "phone": anna.id}, "cookie")
    assert phones.is_welcome({"paired": True, "phone": bea.id}, "cookie")


def test_nobody_is_taken_up_when_too_many_were_thrown_out_to_remember(house: House) -> None:
    first = house.phones.add("x")
    for _ in range(MOST_GONE + 1):
        house.phones.remove(house.phones.add("x").id)
    house.phones.remove(first.id)
    assert not house.phones.is_welcome({"paired": True, "phone": "of a lost list"}, "cookie")
    assert len(json.loads(house.file.read_text())["gone"]) == MOST_GONE


def test_phones_that_were_restored_with_their_secret_are_back(house: House) -> None:
    anna = house.phones.add("Anna")
    backup = house.file.read_text()
    house.generation = "g2"
    assert house.phones.get(anna.id) is None
    house.file.write_text(backup)
    house.generation = "g1"
    assert house.phones.get(anna.id)


def test_old_phones_do_not_come_back_by_a_list_that_is_damaged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    anna = house.phones.add("Anna")
    house.file.write_text("{")
    phones = house.restart()
    assert phones.get(anna.id) is None
    assert not phones.is_welcome({"paired": True}, "old cookie")
    assert "can't be read" in caplog.text
    assert "backdoor pair" in caplog.text
    bea = phones.add("Bea")
    assert house.restart().all() == [bea]


def rows(**row: Any) -> str:
    whole = {"id": "x", "name": "Anna", "seen_at": None} | row
    return json.dumps({"generation": "g1", "takes_up": True, "gone": [], "phones": [whole]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "{}",
        "[" * 100_000,
        "\x00" * 100,
        '{"generation": "g1"}',
        '{"generation": "g1", "takes_up": true, "gone": null, "phones": []}',
        '{"generation": "g1", "takes_up": true, "gone": [], "phones": {"a": 1}}',
        '{"generation": "g1", "takes_up": true, "gone": [], "phones": [null]}',
        rows(id=7),
        rows(id=""),
        rows(name=None),
        rows(name="\n"),
        rows(seen_at="yesterday"),
        rows(seen_at=5),
    ],
)
def test_list_that_makes_no_sense_pairs_nobody_and_stops_nothing(house: House, text: str) -> None:
    house.file.write_text(text)
    phones = house.restart()
    assert phones.all() == []
    assert not phones.is_welcome({"paired": True}, "old cookie")
    assert phones.get(phones.add("Bea").id)


@settings(max_examples=200)
@given(data=st.binary(max_size=60), at=st.integers(0, 400))
def test_list_with_any_bytes_in_it_stops_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    house = House(tmp_path_factory.mktemp("phones"))
    anna = house.phones.add("Anna")
    house.phones.remove(house.phones.add("Bea").id)
    whole = house.file.read_bytes()
    house.file.write_bytes(whole[:at] + data + whole[at + len(data) :])
    phones = house.restart()
    assert {phone.id for phone in phones.all()} <= {anna.id} or data
    phones.add("Carla")
    assert "Carla" in {phone.name for phone in house.restart().all()}


def test_list_that_is_a_folder_or_cannot_be_written_is_said_and_holds_meanwhile(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.file.mkdir()
    phones = house.restart()
    anna = phones.add("Anna")
    assert phones.get(anna.id)
    assert "can't be written" in caplog.text
    assert "can't be read" in caplog.text


def test_list_that_is_being_written_keeps_no_other_phone_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card may take seconds for a sync; the server asks about each request whose it is."""
    anna = house.phones.add("Anna")
    writing, go_on = threading.Event(), threading.Event()

    def slow(path: Path, text: str) -> None:
        writing.set()
        go_on.wait(HANGS_S)
        path.write_text(text)

    monkeypatch.setattr("web.security.phones.atomic_file.replace", slow)
    thread = threading.Thread(target=house.phones.add, args=("Bea",))
    thread.start()
    try:
        assert writing.wait(HANGS_S)
        assert house.phones.is_welcome({"paired": True, "phone": anna.id}, "")
    finally:
        go_on.set()
        thread.join(HANGS_S)
    assert len(house.restart().all()) == 2


def test_names_are_bounded_printable_and_each_its_own(house: House) -> None:
    names = [house.phones.add(name).name for name in ("Anna", "Anna", "Anna", "", " \x00 ")]
    assert names == ["Anna", "Anna 2", "Anna 3", "?", "? 2"]
    long = house.phones.add("x" * 1000).name
    assert len(long) == LONGEST_NAME
    assert len(house.phones.add("x" * 1000).name) <= LONGEST_NAME
    anna = house.phones.all()[2]
    house.phones.rename(anna.id, "  Bea\nsmith\u202e ")
    assert house.restart().get(anna.id).name == "Bea smith"  # type: ignore[union-attr]
    house.phones.rename(anna.id, " ")
    house.phones.rename("nobody", "Carla")
    assert house.phones.get(anna.id).name == "Bea smith"  # type: ignore[union-attr]


def test_phones_are_bounded_by_the_one_unseen_for_longest(house: House) -> None:
    ids = []
    for n in range(MOST_PHONES + 1):
        ids.append(house.phones.add(str(n)).id)
        house.wait(1)
        house.phones.saw(ids[0])
    assert house.phones.get(ids[0])
    assert house.phones.get(ids[1]) is None
    assert len(house.restart().all()) == MOST_PHONES


def test_last_seen_is_kept_once_an_hour(house: House) -> None:
    anna = house.phones.add("Anna")
    before = house.file.stat().st_mtime_ns
    house.wait(SAVE_EVERY_S - 1)
    house.phones.saw(anna.id)
    assert house.phones.seen_s_ago(anna.id) == 0
    assert house.file.stat().st_mtime_ns == before
    house.wait(1)
    house.phones.saw(anna.id)
    eventually(lambda: house.file.stat().st_mtime_ns != before)
    phones = house.restart()
    assert phones.get(anna.id).seen_at == house.wall  # type: ignore[union-attr]
    assert phones.seen_s_ago(anna.id) is None
    phones.saw("nobody")


def test_invitation_works_once_and_for_two_minutes(house: House) -> None:
    anna = house.phones.add("Anna")
    token = house.phones.invite(anna.id)
    assert house.phones.accept("wrong") is None
    house.wait(INVITED_S - 0.1)
    inviter = house.phones.accept(token)
    assert inviter
    assert inviter.id == anna.id
    assert house.phones.accept(token) is None
    late = house.phones.invite(anna.id)
    house.wait(INVITED_S)
    assert house.phones.accept(late) is None


def test_invitation_ends_with_a_newer_one_with_its_phone_and_with_a_restart(house: House) -> None:
    anna, bea = house.phones.add("Anna"), house.phones.add("Bea")
    older, newer = house.phones.invite(anna.id), house.phones.invite(anna.id)
    assert house.phones.accept(older) is None
    assert house.phones.accept(newer)
    token = house.phones.invite(bea.id)
    house.phones.remove(bea.id)
    assert house.phones.accept(token) is None
    token = house.phones.invite(anna.id)
    assert house.restart().accept(token) is None


def test_invitations_are_bounded(house: House) -> None:
    ids = [house.phones.add(str(n)).id for n in range(MOST_INVITED + 1)]
    tokens = [house.phones.invite(phone_id) for phone_id in ids]
    assert len(house.phones._invited) == MOST_INVITED
    assert house.phones.accept(tokens[0]) is None
    assert house.phones.accept(tokens[-1])


ANDROID = "Mozilla/5.0 (Linux; Android %s) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1", "iPhone"),
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) Safari/604.1", "iPad"),
        (ANDROID % "10; K", "Android"),
        (ANDROID % "13; Pixel 7", "Pixel 7"),
        (ANDROID % "9; SM-G960F Build/PPR1.180610.011", "SM-G960F"),
        (ANDROID % "6.0; it-it; MotoG3", "MotoG3"),
        ("Mozilla/5.0 (X11; CrOS x86_64) Chrome/120", "Chromebook"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Safari/605", "Mac"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/120", "Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/120", "Linux"),
        ("Mozilla/5.0 (Android 14; Mobile; rv:130.0) Firefox/130.0", "Android"),
        ("curl/8", "Phone"),
        ("", "Phone"),
    ],
)
def test_first_name_is_what_the_browser_says(user_agent: str, name: str) -> None:
    assert device_name(user_agent, "Phone") == name


def test_clean_name_is_one_line() -> None:
    assert clean_name(" a\tb\u200dc \n") == "a b c"
    assert clean_name("\n\x00") == ""
