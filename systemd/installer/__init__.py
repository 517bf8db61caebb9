"""The parts of `systemd/install`; standard library only, nothing of the house itself.

In reading order:

    executor   each change is printed, and with --dry-run only printed
    machine    packages, users, pins that are off while it boots
    release    one directory a release, a link to the one in use
    wheel      the release as a wheel, without building
    broker     mosquitto, with a user and rights for each client
    journal    the journal of before an upgrade, kept and put back
    waiting    a release that waits for an empty room
    services   whether services have started, and stay up
    centre     the bridge to a centre
    node       a machine of the centre
"""
