"""The book: who is expected, from an iCalendar file or address.

Read `calendar` first, then `download`, `parse_ics` (a process of its own) and `slots` (which
hours are free).
"""
