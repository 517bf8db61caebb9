"""Simulated doorways with truth: bodies, arms, receivers, knocks; the same for the same seed."""
