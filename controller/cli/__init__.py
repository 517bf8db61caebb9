"""The command `backdoor`. Only this room imports `web`.

In reading order:

    main       every command: its options, its exit code, and one call
    errors     what a user can mend, as a line on standard error
    demo       controller and page in one process, on simulated pins
    selftest   the guided minute in the terminal
    nights     the history as text, CSV or JSON
    backup     where a backup goes, what it is called, what is said of it
    report     what is listed and saved for a bug report
    centre     the bars and the nodes of a centre
"""
