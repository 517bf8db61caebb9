"""Other people's systems on the same broker: Home Assistant, bulbs and chimes.

Read `discovery` first, then `entities` (each with its topics) and `announcements` (what is
published again, and when).
"""
