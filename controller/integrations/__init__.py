"""Other people's systems on the same broker: Home Assistant, bulbs and chimes.

In reading order:

    discovery       Home Assistant: the bar as one device
    entities        each entity: which topic it listens to, how it reads it
    names           what each is called, in English and in Italian
    announced       our former names, and what they left at the broker
    devices         bulbs and chimes of other makes
    announcements   when all of it is sent again
"""
