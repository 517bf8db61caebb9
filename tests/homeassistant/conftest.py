"""These tests need a Home Assistant, which ``make test-ha`` installs: not run elsewhere."""

from __future__ import annotations

from tests.homeassistant.homeassistant import HA_PYTHON

collect_ignore = [] if HA_PYTHON else ["test_home_assistant.py"]
