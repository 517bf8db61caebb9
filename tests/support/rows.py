"""Rows and states for a journal, in a module that a process of its own loads at once."""

from __future__ import annotations

from controller.journal.records import Row, Saved
from controller.journal.recovery import Opened

#: 2026-11-22, nine in the evening; and a year later.
NINE_S, LATER_S = 1_795_381_200.0, 1_827_000_000.0


def row(seq: int, at_s: float = NINE_S) -> Row:
    return Row(seq, seq * 10.5, at_s, "entry", f'{{"count": {seq}}}')


def saved(seq: int) -> Saved:
    return Saved(seq * 10.5, "boot", 4.5, 1.8e9, {"t_ms": seq * 10.5, "seq": seq})


def remembers_nothing(opened: Opened) -> None:
    """Check that the journal is one in memory, that it says so, and that it works."""
    assert opened.doubt
    assert opened.journal.in_memory
    assert "[journal] path" in opened.warning
    opened.journal.write([row(1)], saved(1), 1)
    opened.journal.reopen()
    assert opened.journal.after(0, 9) == [row(1)]
    opened.journal.close()
