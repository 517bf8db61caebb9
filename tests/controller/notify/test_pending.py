"""What one channel has still to send, in virtual time."""

from __future__ import annotations

import itertools
from math import inf

import pytest

from controller.notify.notices import Notice, Outgoing, Withdrawal
from controller.notify.pending import MOST, RETRY_S, Outcome, Pending


def knock(until_s: float = 30.0, n: int = 1) -> Notice:
    return Notice("hatch", "knock", "warning", "hatch_waits", 0.0, until_s, {"n": n})


def fault(key: str = "fault", ends: bool = False) -> Notice:
    return Notice(key, "fault", "warning", "fault", 0.0, inf, standing=not ends, ends=ends)


def attempts(pending: Pending, until_s: float, outcome: Outcome) -> list[float]:
    """Run the clock and return when something was tried; every attempt ends like this."""
    tried, now_s = [], 0.0
    while now_s < until_s:
        outgoing = pending.next(now_s)
        if outgoing is not None:
            tried.append(now_s)
            pending.ended(outgoing, outcome, now_s)
        now_s = max(pending.due_s(), now_s) if pending.due_s() < inf else until_s
    return tried


def test_what_is_sent_is_gone() -> None:
    pending = Pending()
    pending.add(knock(), 0.0)
    assert attempts(pending, 100.0, Outcome.SENT) == [0.0]
    assert pending.due_s() == inf


def test_a_knock_is_tried_again_until_it_is_stale_and_never_after() -> None:
    pending = Pending()
    pending.add(knock(), 0.0)
    assert attempts(pending, 86_400.0, Outcome.RETRY) == [0.0, 1.0, 3.0, 7.0, 15.0]
    assert pending.given_up == 1
    assert pending.next(31.0) is None


def test_a_day_without_network_loses_no_fault_that_still_stands() -> None:
    pending = Pending()
    pending.add(fault(), 0.0)
    tried = attempts(pending, 86_400.0, Outcome.RETRY)
    gaps = [later - before for before, later in itertools.pairwise(tried)]
    assert max(gaps) == RETRY_S[1]
    assert pending.next(86_460.0) == fault()


def test_what_is_refused_for_good_is_not_tried_again() -> None:
    pending = Pending()
    pending.add(fault(), 0.0)
    assert attempts(pending, 1000.0, Outcome.REFUSED) == [0.0]


def test_the_server_may_want_a_longer_gap() -> None:
    pending, notice = Pending(), fault()
    pending.add(notice, 0.0)
    assert pending.next(0.0) is notice
    pending.ended(notice, Outcome.RETRY, 0.0, after_s=17.0)
    assert pending.next(16.9) is None
    assert pending.next(17.0) is notice


def test_a_later_message_replaces_the_one_that_waits() -> None:
    pending, second = Pending(), knock(60.0, 2)
    pending.add(knock(), 0.0)
    pending.add(second, 1.0)
    assert pending.next(1.0) is second
    pending.ended(second, Outcome.SENT, 1.0)
    assert pending.next(2.0) is None


@pytest.mark.parametrize("end", [Withdrawal("fault"), fault(ends=True)])
def test_the_end_of_what_was_never_sent_is_not_sent(end: Outgoing) -> None:
    pending = Pending()
    pending.add(fault(), 0.0)
    pending.add(end, 1.0)
    assert pending.next(1.0) is None
    assert pending.due_s() == inf


@pytest.mark.parametrize("end", [Withdrawal("fault"), fault(ends=True)])
def test_the_end_of_what_is_shown_is_sent_once(end: Outgoing) -> None:
    pending = Pending(shown=["fault"])
    pending.add(end, 0.0)
    pending.add(end, 0.0)
    assert attempts(pending, 100.0, Outcome.SENT) == [0.0]
    pending.add(end, 200.0)
    assert pending.next(200.0) is None


def test_what_is_over_while_it_is_on_its_way_is_withdrawn_after_it_arrived() -> None:
    pending, notice = Pending(), knock()
    pending.add(notice, 0.0)
    assert pending.next(0.0) is notice
    pending.add(Withdrawal("hatch"), 0.1)
    pending.ended(notice, Outcome.SENT, 0.2)
    assert pending.next(0.2) == Withdrawal("hatch")


def test_what_failed_and_was_replaced_on_its_way_is_not_tried_again() -> None:
    pending, notice = Pending(), knock()
    pending.add(notice, 0.0)
    assert pending.next(0.0) is notice
    pending.add(Withdrawal("hatch"), 0.1)
    pending.ended(notice, Outcome.RETRY, 0.2)
    assert pending.next(10.0) is None


def test_quiet_hours_hold_it_back() -> None:
    pending, notice = Pending(), fault()
    pending.add(notice, 0.0, delay_s=3600.0)
    assert pending.due_s() == 3600.0
    assert pending.next(3599.0) is None
    assert pending.next(3600.0) is notice


def test_one_that_waits_holds_up_no_other() -> None:
    pending, notice = Pending(), knock()
    pending.add(fault(), 0.0, delay_s=9.0)
    pending.add(notice, 0.0)
    assert pending.next(0.0) is notice


def test_it_never_grows_without_end() -> None:
    pending = Pending()
    for n in range(10 * MOST):
        pending.add(fault(f"fault/{n}"), 0.0)
    assert len(attempts(pending, 1.0, Outcome.SENT)) == MOST
