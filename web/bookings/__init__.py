"""The owner's bookings, from an iCalendar file or address.

In reading order:

    calendar    who is expected next, and when the next slot is free
    download    the calendar's text, with conditional requests
    fetch       its bytes, in a process of its own
    parse_ics   iCalendar text in, bookings out; a process of its own
    titles      name and size of a party
    slots       the next party, the next free slot
"""
