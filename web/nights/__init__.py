"""The owner's history: every event of the doors, kept on the page's side of the wire.

In reading order:

    events     what is kept of a message, and never a name
    fold       one night's events as numbers
    database   SQLite or Postgres, the same statements
    schema     the tables
    gaps       what never came
    store      writing: each event once
    backfill   what the controllers are asked for
    feed       from the broker into the store
    outbox     what a centre does not have yet
    spans      a night, a week, a month, a year
    queries    reading: sums over the tables
    answers    an owner's questions, one table each
"""
