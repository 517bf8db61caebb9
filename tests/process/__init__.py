"""Whole processes: run, killed, frozen, lied to, with clocks that step."""
