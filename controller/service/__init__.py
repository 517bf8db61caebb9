"""The running controller: everything put together around one loop.

In reading order:

    loop        edges and commands in; pins, journal, network out
    publisher   what leaves: into the journal first, then to the broker
    reporter    each step as numbered events and retained states
    backfill    events again, for who has missed some
    night       tonight's timeline
    heartbeat   what is done by the clock, ten times and once a second
    selftest    wires ticked off one by one
    wiring      how each wire stands, for who looks
    assembly    what is made of what
    safe_mode   what still works when the controller keeps failing
"""
