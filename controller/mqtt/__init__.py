"""Messages, the link to the broker, and the commands that come in. Only this package uses paho.

Read `message` first, then `link` (the interface), `client` (a real broker), `connection`,
`send_queue`, `memory` (a broker inside the process), `inbox` (commands, checked) and `snapshot`
(what is published). `asyncapi.yaml` describes every topic.
"""
