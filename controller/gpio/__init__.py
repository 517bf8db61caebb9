"""The pins. Only this package uses gpiozero and libgpiod.

In reading order:

    pins         edges with the kernel's time stamps; strike, lamps and chime
    factories    which library reaches the pins
    gpiod        gpiozero's pins on the kernel's character device
    cutoff       the strike's time limit, whatever the loop does
    early_boot   what holds the strike off before this program runs
    simulated    the demo's pins, and what moves them
    header       the wiring as a table and as a picture
"""
