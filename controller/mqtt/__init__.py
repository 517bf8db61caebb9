"""Messages, the link to the broker, and the commands that come in. Only this package uses paho.

`asyncapi.yaml` describes every topic.

In reading order:

    message      one message, and the topics of one venue
    link         the interface: what a link can do, what it calls back
    client       the link to a real broker
    connection   one connection, from its first packet to its last
    failover     several brokers: which one is next
    tls          an encrypted connection
    send_queue   what is still to be sent
    memory       a broker inside this process, for the demo
    inbox        commands: each is fresh and new, or refused with its reason
    clocks       whose clock differs from ours
    snapshot     what the controller publishes
"""
