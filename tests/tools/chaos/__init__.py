"""Killing, cutting and freezing: the promises of the contract under everything at once.

In reading order:

    rounds   what is done to a living house, one round each
    victim   the house that is killed, in its own process
    rot      every file of its state spoilt
"""
