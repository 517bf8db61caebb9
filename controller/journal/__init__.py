"""What survives a power cut: the events and the last state. Only this package uses SQLite.

In reading order:

    journal      what happened, and the state after it
    records      what one step leaves
    checks       what a record must be to make sense
    writer       the thread that writes: nobody else waits for a disk
    append_log   the newest steps, one short write each
    database     the tables, and the migrations of older files
    doubt        may what is on the disk be believed?
    recovery     a start, whatever is there
    outbox       the events that the broker has not acknowledged
"""
