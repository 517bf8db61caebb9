"""What survives a power cut: the events and the last state. Only this package uses SQLite.

Read `journal` first, then `records` (what a step leaves), `writer` (the thread that writes),
`append_log` (the newest steps), `database` (tables and migrations), `recovery` (a start after
damage) and `outbox` (the events that the broker has not acknowledged).
"""
