"""Edges in, what people did out: contacts, knocks, passages. Pure: time comes in with every edge.

Read `sensing` first (it joins the others), then `contacts`, `knocks` with `rhythms`, `passages`
with `classify`.
"""
