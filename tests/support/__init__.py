"""What tests share: drivers, waiting, a demo, real links. No test stands here.

In reading order:

    wait                 waiting for a condition: the only way in which these tests wait
    wall_clock           a wall clock that a test sets
    rules_driver         the rules: give them events, look at the effects
    sensed               what sensing makes of sketched edges
    noise                hum, flicker, spikes on all lines
    wires                what is published of each wire, made by hand
    gpio_chip            a GPIO chip without hardware
    stuck_pin            a pin that hangs in a write
    demo                 a whole house in this process, and an MQTT client
    controller_process   `backdoor run` as a process
    controller_says      the controller's messages, made by hand
    fake_controller      a scripted controller for the page
    page_process         the page as a process
    mirror               the page's picture of a house, without the page
    paired_phone         a paired phone, with a crowd at the same door
    crowd                that crowd, as a program
    subscriber           MQTT clients that keep what they receive
    links                links of one kind on one broker
    cable                a TCP connection that a test can cut and mend
    rows                 rows and states for a journal
    journal_desk         a journal writer on a real file
    hanging_journal      a journal on a disk that hangs
    history              a store that has heard some nights, and its page
    kept_nights          a store of nights with what happened in them
    simulated_nights     some hundred nights, and what truly happened
    ics                  calendars around one evening in Rome
    receivers            servers that take notifications
    postgres             a real Postgres of this run's own
    nats                 real nats-servers: one, or three
    centre               a bar's outbox, and what the centre has of it
    secured_centre       a node with users, rights and TLS
    certificate          a certificate for localhost
    installer            an executor that runs nothing
    privileges           what another user may do with this Python
    asyncapi, openapi    the documents, and what is held against them
    examples             new examples of the property tests (`make fuzz`)
"""
