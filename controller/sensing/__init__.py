"""Sensing: edges in, events out. Pure: time comes in with every edge.

In reading order:

    sensing    which line belongs to which detector, and when each is due
    settings   what it is tuned with
    contacts   switches and buttons
    knocks     bursts of pulses on two surfaces
    rhythms    known people's knocks
    passages   two beams across a doorway
    patterns   what the beams saw, as stretches of time
    depths     how deep that is, and how deep people are here
    classify   what a passage was
"""
