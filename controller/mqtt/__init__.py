"""The wire: messages, the link to the broker and what comes in. The only room that knows paho.

Read `client` first, then `connection`, `send_queue`, `inbox` (commands, checked) and `memory`
(a broker inside the process). `asyncapi.yaml` describes every topic.
"""
