"""A whole centre on this machine: real NATS nodes, Postgres, bars with real controllers.

In reading order:

    stand   nodes, Postgres, consumers, pages and bars as processes
    demo    `make centre`: thirty bars to look at
    chaos   rounds of one fault each, under load
    week    a bar that was away for a week
    rate    how many events a second
"""
