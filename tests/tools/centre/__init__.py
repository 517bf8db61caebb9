"""A whole centre on this machine: real NATS nodes, Postgres, bars with real controllers."""
