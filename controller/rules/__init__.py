"""What the house does with an event: the state, and what follows from it. Pure: no clock, no pin.

Read `step` first (how the rules work), then `state`, `occupancy`, `transition`, `handlers`
(what the sensors say) and `commands` (what people ask for).
"""
