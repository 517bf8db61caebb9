"""The running controller: everything put together around one loop.

Read `loop` first, then `assembly` (who is made of what), `publisher` and `reporter` (what goes
out), `night` (the evening's timeline), `heartbeat`, `selftest` and `safe_mode`.
"""
