"""The door controller: edges become events, events meet rules, effects reach pins, journal, MQTT.

The rooms in reading order; each imports only what stands above it (import-linter's contract in
pyproject.toml holds that, and each package's docstring says in which order to read its files):

    events, clock, systemd       the vocabulary; time that only runs forward; sd_notify
    sensing | rules | trace      pure: edges to events; events to effects; the trace format
    config, codec, engine        the owner's file; JSON and names; sensing and rules joined
    gpio | journal | mqtt | replay   the edges of the program: none knows another
    integrations                 Home Assistant, bulbs and chimes of other makes
    service | notify             the running controller, around one loop; messages to phones
    maintenance                  backup, restore, the report for a bug
    cli                          the command `backdoor`; it alone imports `web`
"""
