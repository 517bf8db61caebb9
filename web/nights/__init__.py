"""The owner's history: every event of the doors, kept on the page's side of the wire.

Reading order: `events` (what is kept of a message, and never a name), `fold` (one night's events
as numbers), `database` (SQLite or Postgres, the same statements), `schema`, `gaps` (what never
came), `store` (writing), `backfill` (what the controllers are asked for), `feed` (from the broker
into the store, each event once), `outbox` (what a centre does not have yet), `spans` (a night,
week, month, year), `queries` (reading), `answers` (an owner's questions).
"""
