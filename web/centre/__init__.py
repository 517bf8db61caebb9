"""Many bars: what a bar sends to its centre, and the centre that keeps it.

In reading order:

    wire       an event as a message of NATS
    nats       one connection, and its errors in words
    retry      work over a connection that ends: begin again
    sender     the bar's side: from the outbox to the centre
    stream     where NATS keeps the events
    consumer   from the stream into Postgres, each event once
    writer     many events in one transaction
    main       `backdoor centre`, the process
    bars       who may do what there: credentials and rights
"""
