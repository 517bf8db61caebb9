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
        self.sent: set[int] = set()
        self.flying: list[int] = []
        self.asked: list[int] = []
        self.online = False
        self.start, self.before = min(before, delivered), before
        self.now_s = 100.0
        self.outbox = Outbox(self.start, before, lambda: self.now_s)

    def send(self, rows: list[Row], sent_before: int) -> None:
        assert self.online or not rows, "nothing is sent while the broker is away"
        self.flying += [sent.seq for sent in rows]
        for sent in rows:
            again = sent.seq in self.sent or sent.seq <= self.before
            assert again == (sent.seq <= sent_before), "what may come again is known"
            self.sent.add(sent.seq)

    def ask(self, after: int | None) -> None:
        if after is not None:
            self.asked.append(after)

    @rule(count=st.integers(1, 5))
    def happens(self, count: int) -> None:
        new = [row(self.next + n) for n in range(count)]
        self.next += count
        self.journal += new
        sent_before = self.outbox.sent_before
        self.send(self.outbox.committed(new), sent_before)

    @rule()
    def journal_answers(self) -> None:
        for after in self.asked[:]:
            self.asked.remove(after)
            found = [r for r in self.journal if r.seq > after][:WINDOW]
            sent_before = self.outbox.sent_before
            self.send(self.outbox.fetched(after, found), sent_before)

    @precondition(lambda self: not self.online)
    @rule()
    def broker_comes(self) -> None:
        self.online = True
        self.flying.clear()
        self.ask(self.outbox.up())

    @rule(seconds=st.sampled_from([0.1, 1.5, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.ask(self.outbox.tick())

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
            self.ask(self.outbox.tick())
            self.journal_answers()
            if self.flying:
                self.arrives(count=WINDOW)
        newest = self.journal[-1].seq if self.journal else 0
        assert (self.heard or [self.start])[-1] == newest, "all is told in the end"
        assert self.outbox.delivered == newest


TestPost = Post.TestCase


def seqs(rows: list[Row]) -> list[int]:
    return [sent.seq for sent in rows]


def test_outbox_goes_on_with_new_events_when_the_journal_has_lost_the_old_ones() -> None:
    outbox = Outbox(0, 500)
    assert outbox.up() == 0
    assert outbox.fetched(0, []) == []
    assert seqs(outbox.committed([row(501)])) == [501]


def test_events_in_flight_do_not_count_as_delivered_when_the_journal_has_no_more() -> None:
    outbox = Outbox(0, 1)
    outbox.up()
    assert seqs(outbox.fetched(0, [row(1)])) == [1]
    outbox.committed([])
    outbox.fetched(1, [])
    assert outbox.delivered == 0


def test_events_acknowledged_just_before_an_outage_are_sent_again_after_it() -> None:
    now = [0.0]
    outbox = Outbox(0, 0, lambda: now[0])
    outbox.up()
    assert seqs(outbox.committed([row(1)])) == [1]
    outbox.acked(1)
    for tenth in range(100):
        now[0] = tenth / 10
        assert outbox.tick() is None
    assert seqs(outbox.committed([row(2)])) == [2]
    outbox.acked(2)
    outbox.down()
    assert outbox.up() is None
    assert outbox.tick() is None, "the subscribers need a moment to come back"
    now[0] += 1.5
    assert outbox.tick() == 1
    assert seqs(outbox.fetched(1, [row(2)])) == [2]


def test_fetched_answer_of_before_an_outage_is_dropped() -> None:
    now = [0.0]
    outbox = Outbox(0, 2, lambda: now[0])
    assert outbox.up() == 0
    assert seqs(outbox.fetched(0, [row(1), row(2)])) == [1, 2]
    outbox.acked(2)
    outbox.committed([row(9)])
    assert outbox.tick() == 2
    outbox.down()
    assert outbox.fetched(2, [row(9)]) == [], "nobody is there"
    outbox.up()
    now[0] += 1.5
    assert outbox.tick() == 0
    assert outbox.fetched(2, [row(9)]) == [], "the question was asked before the outage"
