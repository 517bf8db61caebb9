"""The outbox: at least once, in order, in bounded batches."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.journal.outbox import WINDOW, Outbox
from controller.journal.records import Row


def row(seq: int) -> Row:
    return Row(seq, float(seq), 0.0, "entry", "{}")


class Post(RuleBasedStateMachine):
    """A journal, a broker that comes and goes, and what a subscriber hears."""

    @initialize(
        before=st.integers(0, 300), delivered=st.integers(0, 300), gap=st.sampled_from([0, 1000])
    )
    def open_up(self, before: int, delivered: int, gap: int) -> None:
        self.journal = [row(seq) for seq in range(1, before + 1)]
        self.next = before + 1 + gap  # after a power cut numbers are left out
        self.heard: list[int] = []
        self.flying: list[int] = []
        self.asked: list[int] = []
        self.online = False
        self.start = min(before, delivered)
        self.now_s = 100.0
        self.outbox = Outbox(self.start, before, self.send, self.asked.append, lambda: self.now_s)

    def send(self, sent: Row) -> None:
        assert self.online, "nothing is sent while the broker is away"
        self.flying.append(sent.seq)

    @rule(count=st.integers(1, 5))
    def happens(self, count: int) -> None:
        new = [row(self.next + n) for n in range(count)]
        self.next += count
        self.journal += new
        self.outbox.committed(new)

    @rule()
    def journal_answers(self) -> None:
        for after in self.asked[:]:
            self.asked.remove(after)
            self.outbox.fetched(after, [r for r in self.journal if r.seq > after][:WINDOW])

    @precondition(lambda self: not self.online)
    @rule()
    def broker_comes(self) -> None:
        self.online = True
        self.flying.clear()
        self.outbox.up()

    @rule(seconds=st.sampled_from([0.1, 1.5, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.outbox.tick()

    @precondition(lambda self: self.online)
    @rule()
    def broker_goes(self) -> None:
        self.online = False
        self.flying.clear()
        self.outbox.down()

    @precondition(lambda self: self.flying)
    @rule(count=st.integers(1, 200))
    def arrives(self, count: int) -> None:
        arrived, self.flying = self.flying[:count], self.flying[count:]
        self.heard += arrived
        self.outbox.acked(arrived[-1])

    @invariant()
    def no_gap_and_in_order(self) -> None:
        first = list(dict.fromkeys(self.heard))
        assert first == [kept.seq for kept in self.journal if kept.seq > self.start][: len(first)]

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.flying) <= WINDOW

    def teardown(self) -> None:
        if not hasattr(self, "outbox"):
            return
        if not self.online:
            self.broker_comes()
        self.time_passes(2.0)
        for _ in range(len(self.journal) // WINDOW + 3):
            self.outbox.tick()
            self.journal_answers()
            if self.flying:
                self.arrives(count=WINDOW)
        newest = self.journal[-1].seq if self.journal else 0
        assert (self.heard or [self.start])[-1] == newest, "all is told in the end"
        assert self.outbox.delivered == newest


TestPost = Post.TestCase


def test_what_the_journal_has_lost_is_not_waited_for() -> None:
    sent: list[int] = []
    asked: list[int] = []
    outbox = Outbox(0, 500, lambda r: sent.append(r.seq), asked.append)
    outbox.up()
    assert asked == [0]
    outbox.fetched(0, [])
    outbox.committed([row(501)])
    assert sent == [501]


def test_what_is_on_its_way_is_not_taken_for_delivered_when_the_journal_has_no_more() -> None:
    outbox = Outbox(0, 1, lambda r: None, lambda after: None)
    outbox.up()
    outbox.fetched(0, [row(1)])
    outbox.committed([])
    outbox.fetched(1, [])
    assert outbox.delivered == 0


def test_what_was_confirmed_just_before_an_outage_is_told_again_when_listeners_are_back() -> None:
    sent: list[int] = []
    asked: list[int] = []
    now = [0.0]
    outbox = Outbox(0, 0, lambda r: sent.append(r.seq), asked.append, lambda: now[0])
    outbox.up()
    outbox.committed([row(1)])
    outbox.acked(1)
    for tenth in range(100):
        now[0] = tenth / 10
        outbox.tick()
    outbox.committed([row(2)])
    outbox.acked(2)
    outbox.down()
    outbox.up()
    outbox.tick()
    assert (sent, asked) == ([1, 2], [])
    now[0] += 1.5
    outbox.tick()
    assert asked == [1]
    outbox.fetched(1, [row(2)])
    assert sent == [1, 2, 2]
