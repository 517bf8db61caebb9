"""The owner's bookings, from an iCalendar file or address.

Read `calendar` first, then `download`, `parse_ics` (a process of its own) and `slots` (the next
party, the next free slot).
"""
