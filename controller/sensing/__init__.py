"""Sensing: edges in, events out. Pure: time comes in with every edge.

Read `sensing` first (it joins the others) with `settings`, then `contacts` (switches), `knocks`
with `rhythms` (known people's), `passages` (two beams) with `classify` (what a passage was), which
measures by `patterns` and tells by `carried` what is a body's bag or arm.
"""
