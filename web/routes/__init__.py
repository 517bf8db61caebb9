"""The addresses of the page, one file a subject.

Read `page` first, then `streams`, `metrics`, `spaceapi`, `venues` and `simulator` (the demo's).
"""
