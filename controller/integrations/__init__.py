"""Other people's systems on the same broker: Home Assistant, bulbs and chimes.

Read `discovery` first, then `entities` (each with its topics), `devices` (bulbs and chimes of other
makes), `announced` (our former names) and `announcements` (who is sent all again, and when).
"""
