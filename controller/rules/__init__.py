"""The rules: events in, effects out. Pure: no clock, no pin, no network.

Read `step` first (how the rules work), then `state`, `occupancy` (the count), `transition` (one
step under way), `handlers` (what sensing reports), `commands` (what people ask for), `reconcile`
(the end of a release), `session` (its marks), `undo` (a tap taken back) and `plausible` (a state
from a disk).
"""
