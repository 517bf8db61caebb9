"""The parts of `systemd/install`; standard library only, nothing of the house itself."""
