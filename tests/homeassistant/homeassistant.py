"""A real Home Assistant as a process of its own, driven as its users and their phones drive it."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.conftest import free_port
from tests.homeassistant.releases import VERSION, command
from tests.support.wait import eventually

CONFIGURATION = """
homeassistant: {{ name: Bar, unit_system: metric, time_zone: Europe/Rome }}
http: {{ server_host: 127.0.0.1, server_port: {port} }}
logger: {{ default: warning }}
recorder: {{ commit_interval: 1 }}
"""
#: One automation of each blueprint, with a script in place of the phone.
AUTOMATIONS = """
script:
  phone:
    sequence:
      - action: mqtt.publish
        data:
          topic: test/phone
          payload: "{{ dict(message=message, data=data | default({})) | to_json }}"
automation:
  - alias: knock
    use_blueprint:
      path: backdoor/hatch_knock_to_phone.yaml
      input:
        bell: event.backdoor_bar_knock_at_the_hatch
        answered: button.backdoor_bar_hatch_answered
        phone: script.phone
  - alias: last call
    use_blueprint:
      path: backdoor/last_call_dims_light.yaml
      input: {session: sensor.backdoor_bar_session, light: {entity_id: light.shelf}}
  - alias: evacuation
    use_blueprint:
      path: backdoor/evacuation_lights.yaml
      input: {evacuation: binary_sensor.backdoor_bar_evacuation, lights: {entity_id: light.shelf}}
  - alias: taxi
    use_blueprint:
      path: backdoor/taxi_reminder.yaml
      input: {ends: sensor.backdoor_bar_session_ends, minutes: 180, phone: script.phone}
"""
BLUEPRINTS = Path(__file__).parents[2] / "controller/integrations/blueprints"
#: What this bare Home Assistant misses on its own account, or takes long for on a busy machine.
NOT_OURS = ("Skipping pip installation", "libturbojpeg", "[haffmpeg.", "Updating state for ")
CLIENT = "http://127.0.0.1/"


class HomeAssistant:
    """One Home Assistant in a folder of its own, which outlives its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._token = ""
        self._process: subprocess.Popen[bytes] | None = None
        #: Of the runs before this one, each of which begins its log anew.
        self._complaints: list[str] = []
        folder.mkdir()
        text = CONFIGURATION.format(port=self._port) + AUTOMATIONS
        (folder / "configuration.yaml").write_text(text)
        # the newer ones try such settings for five minutes, unless they were kept before
        kept = {"server_host": ["127.0.0.1"], "server_port": self._port}
        (folder / ".storage").mkdir()
        (folder / ".storage/http").write_text(
            json.dumps({"version": 1, "minor_version": 1, "key": "http", "data": kept})
        )
        shutil.copytree(BLUEPRINTS, folder / "blueprints/automation/backdoor")

    def start(self) -> None:
        """Start, and return when it answers and has done what it does at its start."""
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command(VERSION, self._folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        eventually(self._answers, limit_s=60)
        self._token = self._token or self._become_its_owner()
        eventually(lambda: self.get("config")["state"] == "RUNNING", limit_s=60)

    def stop(self) -> None:
        """End it as its users do."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._complaints = self.complaints()
        (self._folder / "home-assistant.log").unlink(missing_ok=True)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "output").read_text()
        try:
            self._ask("GET", "/api/onboarding")
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _become_its_owner(self) -> str:
        """Fill in the first page that a new Home Assistant shows; return what lets us in."""
        who = {"client_id": CLIENT, "name": "Bar", "username": "bar", "password": "tender"}
        answer = self._ask("POST", "/api/onboarding/users", {**who, "language": "en"})
        code = answer["auth_code"]
        form = f"client_id={CLIENT}&grant_type=authorization_code&code={code}".encode()
        return str(self._ask("POST", "/auth/token", form)["access_token"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        url = f"http://127.0.0.1:{self._port}{path}"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=15) as answer:
            text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text

    def get(self, path: str) -> Any:
        """Return what its API says."""
        return self._ask("GET", f"/api/{path}")

    def call(self, service: str, entity: str, **data: Any) -> None:
        """Call a service as ``lock.open`` for an entity."""
        domain, _, name = service.partition(".")
        self._ask("POST", f"/api/services/{domain}/{name}", {"entity_id": entity, **data})

    def fire(self, event: str, **data: Any) -> None:
        """Fire an event, as the app on a phone does."""
        self._ask("POST", f"/api/events/{event}", data)

    def render(self, template: str) -> str:
        """Return what a template gives."""
        return str(self._ask("POST", "/api/template", {"template": template}))

    def join(self, host: str, port: int, **login: str) -> None:
        """Set up MQTT by the form that the user fills in."""
        flows = "/api/config/config_entries/flow"
        flow = self._ask("POST", flows, {"handler": "mqtt"})
        settings: dict[str, Any] = {"broker": host, "port": port, **login}
        # newer releases ask for the rest of it in a part of the form that is folded up
        parts = [field for field in flow["data_schema"] if field.get("type") == "expandable"]
        plain = {"set_client_cert": False, "set_ca_cert": "off", "transport": "tcp"}
        settings |= {part["name"]: plain for part in parts}
        assert self._ask("POST", f"{flows}/{flow['flow_id']}", settings)["type"] == "create_entry"

    def states(self) -> dict[str, Any]:
        """Return all entities by their id."""
        return {state["entity_id"]: state for state in self.get("states")}

    def state(self, entity: str) -> str:
        """Return the state of one entity, nothing when there is none."""
        found = self.states().get(entity)
        return "" if found is None else str(found["state"])

    def recorded(self, names: str) -> list[tuple[str, str]]:
        """Return each row that its recorder wrote of entities (``LIKE``), with the state."""
        query = (
            "SELECT states_meta.entity_id, coalesce(state, '') FROM states JOIN states_meta"
            " USING (metadata_id) WHERE states_meta.entity_id LIKE ? ORDER BY state_id"
        )
        database = sqlite3.connect(f"file:{self._folder}/home-assistant_v2.db?mode=ro", uri=True)
        with closing(database):
            return list(database.execute(query, (names,)))

    def rings(self, bell: str) -> int:
        """Return how often a bell rang: each ring is a time of its own."""
        return len({state for _, state in self.recorded(bell) if "T" in state})

    def complaints(self) -> list[str]:
        """Return every warning and error in its log so far."""
        path = self._folder / "home-assistant.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return self._complaints + [
            line
            for line in lines
            if (" WARNING " in line or " ERROR " in line)
            and not any(known in line for known in NOT_OURS)
        ]
