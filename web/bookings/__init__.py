"""The owner's bookings, from an iCalendar file or address.

Read `calendar` first, then `download` (and `fetch`) and `parse_ics`, two processes of their own,
`titles` (name and size of a party) and `slots` (the next party, the next free slot).
"""
