"""Sensing: edges in, events out. Pure: time comes in with every edge.

Read `sensing` first (it joins the others) with `settings`, then `contacts` (switches), `knocks`
with `rhythms` (known people's), `passages` (two beams) with `patterns` (what they saw, in time),
`depths` (how deep that is, and how deep people are here) and `classify` (what a passage was).
"""
