"""What the page shows, as plain data for the templates: no route, no socket.

In reading order:

    page_view   how the parts are joined
    snapshot    one snapshot of the room, read with care
    room        what it means for somebody with half a second
    headline    what matters most, in one line
    seats       where each stool stands, and who sits there
    labels      the words, in tables; lengths of time
    chart       tonight
    bookings    the next party, and the button that lets it in
    selftest    each line as it is proven
    wiring      the header, and how each wire stands
    nights      the history in words and pictures
    centre      trouble on the way to a centre
"""
