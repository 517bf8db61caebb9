"""What the page shows, as plain data for the templates: no request, no thread.

Read `room` first, then `labels` (the words), `chart`, `bookings` and `selftest`.
"""
