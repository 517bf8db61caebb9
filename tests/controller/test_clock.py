"""House time runs forward, whatever clocks and restarts do."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from controller.clock import FIRST_BELIEVABLE_S, Clock, Moment, believable, resumed

LAST = Moment(t_ms=5000.0, boot_id="a", boottime_ms=100_000.0, wall_s=1_800_000_000.0)


def test_within_one_boot_the_kernel_knows() -> None:
    now = LAST._replace(boottime_ms=103_000.0, wall_s=0.0)
    assert resumed(LAST, now) == 8000.0


@pytest.mark.parametrize(
    ("wall_after_s", "boottime_ms", "passed_ms"),
    [
        (3600.0, 20_000.0, 3_600_000.0),  # the wall clock ran on
        (-1e6, 20_000.0, 20_000.0),  # no RTC, back to an old date: at least the time since boot
        (5.0, 20_000.0, 20_000.0),  # less than the machine is up: the clock stood still
        (-1.8e9, 20_000.0, 20_000.0),  # 1970
    ],
)
def test_after_a_reboot(wall_after_s: float, boottime_ms: float, passed_ms: float) -> None:
    now = Moment(0.0, "b", boottime_ms, LAST.wall_s + wall_after_s)
    assert resumed(LAST, now) == LAST.t_ms + passed_ms


def test_wall_clock_that_was_never_set_is_not_used() -> None:
    last = LAST._replace(wall_s=60.0)
    now = Moment(0.0, "b", 20_000.0, 1_800_000_000.0)
    assert resumed(last, now) == last.t_ms + 20_000.0


def test_house_time_never_runs_back() -> None:
    assert resumed(LAST, LAST._replace(boottime_ms=0.0)) == LAST.t_ms


def test_clock_begins_at_its_origin_and_runs() -> None:
    clock = Clock(5000.0)
    first = clock.now_ms()
    assert 5000.0 <= first < 60_000.0
    assert clock.now_ms() >= first
    assert clock.seconds_until(first - 1) == 0.0
    assert 50 < clock.seconds_until(clock.now_ms() + 100_000) <= 100


class Kernel:
    """Its two clocks; ``kept_s`` is how long we are kept from running between two readings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.suspended_s, self.kept_s = 50.0, 5.0, 0.0
        monkeypatch.setattr("controller.clock.boottime_ms", self.boottime_ms)
        monkeypatch.setattr("controller.clock.time", SimpleNamespace(monotonic=self.monotonic))

    def boottime_ms(self) -> float:
        return (self.now_s + self.suspended_s) * 1000

    def monotonic(self) -> float:
        self.now_s += self.kept_s
        return self.now_s


def test_kernel_stamp_becomes_house_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    clock = Clock(0.0)
    kernel.now_s += 3
    assert clock.from_monotonic(51.0) == 1000.0
    kernel.kept_s = 0.25
    assert clock.from_monotonic(51.0) == 1000.0, "as the kernel saw it, not as late as we are"
    kernel.kept_s = 0.0
    kernel.suspended_s += 60
    assert clock.from_monotonic(54.0) == 64_000.0


def test_kernel_clocks_agree_with_house_time() -> None:
    clock = Clock(0.0)
    for _ in range(20):  # we may be kept from running in one of them
        before_ms, stamp_s = clock.now_ms(), time.monotonic()
        stamp_ms = clock.from_monotonic(stamp_s)
    assert before_ms - 1 <= stamp_ms <= clock.now_ms()


def test_fast_clock_takes_its_wall_clock_along() -> None:
    clock = Clock(0.0, speed=3600.0)
    while clock.now_ms() < 100_000:
        pass
    before_s = clock.now_ms() / 1000
    ahead_s = clock.wall_s() - time.time()
    assert 0.9 * before_s <= ahead_s <= clock.now_ms() / 1000


def test_hold_stops_the_clock_until_it_is_released() -> None:
    clock = Clock(0.0, speed=1000.0)
    limit = clock.now_ms() + 1.0
    clock.hold("me", limit)
    clock.hold("you", limit + 1e9)
    while clock.seconds_until(limit) > 0:
        pass
    assert clock.now_ms() == limit
    clock.let_go("me")
    clock.let_go("me")
    while clock.now_ms() <= limit:
        pass
    clock.let_go("you")
    assert clock.now_ms() > limit


def test_moment_names_this_boot() -> None:
    moment = Clock(7000.0).moment()
    assert moment.t_ms >= 7000.0
    assert moment.boot_id
    assert moment.boottime_ms > 0


def test_believable() -> None:
    assert not believable(0.0)
    assert believable(FIRST_BELIEVABLE_S)
