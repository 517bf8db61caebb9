"""The running controller: everything put together around one loop.

Read `loop` first, then `publisher` and `reporter` (what goes out), `backfill` (events that somebody
has missed), `night` (the evening's timeline), `heartbeat` (what is done by the clock), `selftest`,
`assembly` (what is made of what) and `safe_mode`.
"""
