"""Places for connections: who is closed when a stranger too many comes."""

from __future__ import annotations

import pytest

from web.reserve import (
    HAS_ITS_PLACE_S,
    IN_ALL,
    IN_ALL_KNOWN,
    KNOWN_ADDRESSES,
    PER_ADDRESS,
    PER_KNOWN_ADDRESS,
    TIME_TO_ASK_S,
    Reserve,
    network_of,
)


class Connection:
    """A connection that notes where it comes from."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_being_answered = False


class Door:
    """Lets connections come, and keeps those that are still open, oldest first."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.reserve: Reserve[Connection] = Reserve(lambda: self.now_s)
        self.open: list[Connection] = []

    def come(self, address: str, count: int = 1) -> Connection:
        for _ in range(count):
            one = Connection(address)
            self.open.append(one)
            victim = self.reserve.came(one, address)
            if victim is not None:
                self.open.remove(victim)
        return one

    def pair(self, one: Connection) -> None:
        self.reserve.showed_pairing(one, one.address)

    def crowd(self, addresses: int, each: int) -> None:
        for _ in range(each):
            for a in range(addresses):
                self.come(f"10.0.{a // 250}.{a % 250}")

    def count(self, address: str) -> int:
        return sum(one.address == address for one in self.open)


def test_address_with_too_many_loses_its_oldest() -> None:
    door = Door()
    first = door.come("a")
    door.come("b", 3)
    newest = door.come("a", PER_ADDRESS)
    assert door.count("a") == PER_ADDRESS
    assert door.count("b") == 3
    assert first not in door.open
    assert newest in door.open
    assert door.reserve.closed == 1


@pytest.mark.parametrize(("addresses", "each"), [(50, 40), (99, 2), (2, 1000)])
def test_stranger_with_one_connection_is_not_closed_by_a_crowd(addresses: int, each: int) -> None:
    door = Door()
    door.crowd(addresses, each)
    phone = door.come("phone")
    door.crowd(addresses, each)
    assert phone in door.open
    assert len(door.open) <= IN_ALL


def test_stranger_whose_address_has_the_most_is_refused_until_its_oldest_had_its_time() -> None:
    door = Door()
    assert not door.reserve.refuses("a")
    door.come("a", PER_ADDRESS - 1)
    assert not door.reserve.refuses("a")
    door.come("a")
    assert door.reserve.refuses("a")
    assert not door.reserve.refuses("phone")
    door.now_s = HAS_ITS_PLACE_S
    assert not door.reserve.refuses("a")
    door.come("a")
    assert not door.reserve.refuses("a"), "the second oldest came then, too"
    assert door.count("a") == PER_ADDRESS
    assert door.reserve.closed == 2


def test_strangers_of_a_full_house_are_refused_and_a_phone_with_none_is_not() -> None:
    door = Door()
    door.crowd(50, 2)
    assert door.reserve.refuses("10.0.0.7")
    assert not door.reserve.refuses("phone")
    door.come("phone")
    assert not door.reserve.refuses("phone"), "others have more"
    door.pair(door.come("bar"))
    door.come("bar", PER_KNOWN_ADDRESS)
    assert not door.reserve.refuses("bar"), "its oldest goes"


def test_newcomers_from_ever_new_addresses_close_the_oldest() -> None:
    door = Door()
    door.crowd(500, 1)
    assert len(door.open) == IN_ALL
    assert door.come("phone") in door.open


def test_connection_that_showed_a_pairing_is_not_counted_and_never_closed() -> None:
    door = Door()
    paired = [door.come(f"192.168.1.{n}") for n in range(250)]
    assert len(door.open) == IN_ALL
    paired = [one for one in paired if one in door.open]
    for one in paired:
        door.pair(one)
    door.crowd(50, 40)
    assert all(one in door.open for one in paired)
    assert len(door.open) == 2 * IN_ALL


def test_address_that_showed_a_pairing_has_places_that_no_stranger_takes() -> None:
    door = Door()
    door.pair(door.come("phone"))
    door.come("phone", PER_KNOWN_ADDRESS)
    door.crowd(50, 40)
    assert door.count("phone") == 1 + PER_KNOWN_ADDRESS
    door.come("phone", 5)
    assert door.count("phone") == 1 + PER_KNOWN_ADDRESS


def test_addresses_that_showed_a_pairing_are_bounded_together_too() -> None:
    door = Door()
    for n in range(20):
        door.pair(door.come(f"phone{n}"))
    for n in range(20):
        door.come(f"phone{n}", PER_KNOWN_ADDRESS)
    assert len(door.open) == 20 + IN_ALL_KNOWN


def test_addresses_are_remembered_up_to_a_number() -> None:
    door = Door()
    for n in range(KNOWN_ADDRESSES + 1):
        door.pair(door.come(f"phone{n}"))
    assert len(door.reserve._known) == KNOWN_ADDRESSES
    door.come("phone0", PER_ADDRESS + 1)
    assert door.count("phone0") == 1 + PER_ADDRESS, "the one unseen for longest is forgotten"


def test_connection_that_is_being_answered_outlives_one_that_is_silent() -> None:
    door = Door()
    oldest = door.come("a")
    oldest.is_being_answered = True
    silent = door.come("a")
    door.now_s += TIME_TO_ASK_S
    newest = door.come("a", PER_ADDRESS - 1)
    assert oldest in door.open
    assert silent not in door.open
    assert newest in door.open


def test_connection_that_just_came_is_heard_while_all_others_ask() -> None:
    door = Door()
    first = door.come("a", PER_ADDRESS)
    for one in door.open:
        one.is_being_answered = True
    phone = door.come("a")
    assert first not in door.open, "the last to ask is closed"
    door.come("a", 3)
    assert phone in door.open
    assert len(door.open) == PER_ADDRESS


def test_connection_that_left_frees_its_place() -> None:
    door = Door()
    for _ in range(1000):
        one = door.come("a")
        door.reserve.left(one, "a")
    door.reserve.left(one, "a")
    assert len(door.open) == 1000
    assert door.reserve._newcomers == {}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_address_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
