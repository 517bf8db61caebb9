"""Model check: every reachable state of the rules, breadth first, against the house's laws.

`space` makes the rules finite, `alphabet` says what may happen, `laws` what must hold, `slices`
which part of the house is walked with which numbers, `walk` walks. ``make model`` runs it all,
``tests/tools/test_model.py`` a small part of it.
"""
