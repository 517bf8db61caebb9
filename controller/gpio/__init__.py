"""The pins. Only this package uses gpiozero and libgpiod.

Read `pins` first, then `factories` (which library reaches the pins), `gpiod`, `cutoff` (the
strike's time limit), `simulated` (the demo's pins) and `header` (the wiring as table and picture).
"""
