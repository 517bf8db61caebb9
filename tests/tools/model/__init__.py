"""Model check: every reachable state of the rules, breadth first, against the house's laws.

``make model`` runs it all, ``tests/tools/test_model.py`` a small part of it. In reading order:

    alphabet   what may happen, as moves
    space      a state up to what no rule can tell apart
    laws       the laws, written anew over raw fields
    truth      who is really inside
    slices     which parts are walked, and why that is all
    walk       breadth first: the first way to a broken law is the shortest
"""
