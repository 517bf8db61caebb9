"""Many bars: what a bar sends to its centre, and the centre that keeps it.

Reading order: `wire` (an event as a message of NATS), `nats` (one connection, its errors in words),
`sender` (the bar's side: from the outbox to the centre), `stream` (where NATS keeps the events),
`writer` (into the nights store in Postgres), `consumer` (`backdoor centre`).
"""
