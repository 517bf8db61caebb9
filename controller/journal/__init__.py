"""What survives a power cut: the events and the last state. The only room that knows SQLite.

Read `journal` first, then `records` (what a step leaves), `writer` (the thread that writes),
`append_log`, `database`, `recovery` (a start after damage) and `outbox` (what the broker still
has to get).
"""
