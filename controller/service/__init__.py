"""The running controller: everything put together around one loop.

Read `loop` first, then `publisher` and `reporter` (what goes out), `night` (the evening's
timeline), `heartbeat` (what is done by the clock), `selftest`, `assembly` (what is made of what)
and `safe_mode`.
"""
