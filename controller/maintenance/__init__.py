"""Backup, restore and the report for a bug: what an owner does with the house's files."""
