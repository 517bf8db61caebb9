"""The rules: events in, effects out. Pure: no clock, no pin, no network.

In reading order:

    step         how the rules work: one function of state, event and settings
    state        what is remembered, and what follows from it
    occupancy    the count, and how sure it is
    transition   one step under way
    handlers     what sensing reports
    commands     what people ask for, and every reason why not
    reconcile    the end of a release: let in against seen
    question     what the beams could not tell about it
    session      the two hours, and the marks on the way
    undo         a tap taken back
    plausible    may a state that comes from a disk have been?
"""
