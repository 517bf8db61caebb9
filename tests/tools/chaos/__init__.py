"""Killing, cutting and freezing: the promises of the contract under everything at once."""
