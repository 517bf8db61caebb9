"""What the page shows, as plain data for the templates: no route, no socket.

Read `page_view` first (how the parts are joined), then `room`, `labels` (the words), `bookings`,
`selftest` and `chart` (tonight).
"""
