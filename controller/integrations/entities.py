"""The entities that Home Assistant shows: which topic each listens to and how it reads it.

Nothing is optimistic: an entity shows what the controller published last, and a command only asks.
Templates turn Home Assistant's words into our commands, each with its own ``id`` and the time at
which it was issued, so a command that was kept somewhere opens nothing.
"""

from __future__ import annotations

from typing import Any

from controller.events import TONES, Reason
from controller.mqtt.message import Topics
from controller.rules.occupancy import MOST_PEOPLE

Component = dict[str, Any]

#: States are published every 10 s at the latest, heartbeats every second: three misses suffice.
STATE_EXPIRES_S = 35
HEARTBEAT_EXPIRES_S = 5
#: Events are also delivered late, after an outage; a bell must not ring for old ones.
FRESH_S = 30


def components(names: Topics) -> dict[str, Component]:
    """Return every entity of a bar with everything wired, by its key."""
    return {
        **_door(names),
        **_people(names),
        **_session(names),
        **_hatch(names),
        **_chime(names),
        **_health(names),
    }


# --- templates ------------------------------------------------------------------------------------


def _command(names: Topics, name: str, more: str = "") -> Component:
    """Return topic and template of one of our commands; ``more`` are further JSON members."""
    fresh = (
        '{"id": "ha-{{ (now().timestamp() * 1000) | int }}-{{ range(100000) | random }}", '
        '"issued_at": "{{ utcnow().isoformat() }}", "cause": "homeassistant"'
    )
    return {"command_topic": names(f"cmd/{name}"), "command_template": f"{fresh}{more}}}"}


def _happens(names: Topics, name: str, when: str, type_: str, also: str = "") -> Component:
    """Return topic and template of an event entity: ``when`` and fresh, with its attributes."""
    age = "(now() - as_datetime(value_json.at)).total_seconds()"
    attributes = f"dict(event_type={type_}, at=value_json.at{also}) | to_json"
    template = f"{{% if {when} and {age} < {FRESH_S} %}}{{{{ {attributes} }}}}{{% endif %}}"
    return {"platform": "event", "state_topic": names(f"event/{name}"), "value_template": template}


def _switch(condition: str) -> str:
    return f"{{{{ 'ON' if {condition} else 'OFF' }}}}"


def _attributes(topic: str, template: str) -> Component:
    return {"json_attributes_topic": topic, "json_attributes_template": template}


# --- entities -------------------------------------------------------------------------------------


def _door(names: Topics) -> dict[str, Component]:
    """The lock (main entity), why somebody was refused, the contacts."""
    lock = (
        "{% if value_json.lock == 'Fault' %}JAMMED"
        "{% elif value_json.strike or value_json.physical == 'Open' %}OPEN"
        "{% elif value_json.lock == 'Unlocked' %}UNLOCKED"
        "{% elif value_json.lock == 'Locked' %}LOCKED{% else %}None{% endif %}"
    )
    # A strike can't be locked: LOCK asks for nobody and is refused, the other two for one.
    party = ", \"party\": {{ 0 if value == 'LOCK' else 1 }}"
    door = "{{ {'Open': 'ON', 'Closed': 'OFF'}.get(value_json.physical, 'None') }}"
    bolt = "{{ {'Locked': 'OFF', 'Unknown': 'None'}.get(value_json.lock, 'ON') }}"
    refused = ", command=value_json.command, cause=value_json.cause"
    return {
        "lock": {
            "platform": "lock",
            "name": None,
            "state_topic": names("door"),
            "value_template": lock,
            "payload_open": "OPEN",
            "optimistic": False,
            "retain": False,
            **_command(names, "access_door", party),
            **_attributes(names("door"), "{{ value_json | to_json }}"),
        },
        "refused": {
            **_happens(names, "access_denied", "true", "value_json.reason", refused),
            "name": "Refused",
            "event_types": [reason.value for reason in Reason],
            "icon": "mdi:hand-back-right",
        },
        "door": _contact(names, "Door", "door", door),
        "bolt": _contact(names, "Bolt", "lock", bolt),
    }


def _contact(names: Topics, name: str, device_class: str, template: str) -> Component:
    return {
        "platform": "binary_sensor",
        "name": name,
        "device_class": device_class,
        "state_topic": names("door"),
        "value_template": template,
        "expire_after": STATE_EXPIRES_S,
    }


def _people(names: Topics) -> dict[str, Component]:
    """How many are inside, how sure that is, and the correction."""
    state = {"state_topic": names("occupancy"), "expire_after": STATE_EXPIRES_S}
    bounds = "{{ dict(min=value_json.min, max=value_json.max, certain=value_json.certain) "
    number = {"platform": "sensor", "state_class": "measurement", **state}
    return {
        "guests": {
            **number,
            "name": "Guests",
            "icon": "mdi:account-group",
            "value_template": "{{ value_json.count }}",
            **_attributes(names("occupancy"), bounds + "| to_json }}"),
        },
        "free_places": {
            **number,
            "name": "Free places",
            "icon": "mdi:seat",
            "value_template": "{{ value_json.free_places }}",
        },
        "full": {
            "platform": "binary_sensor",
            "name": "Full",
            "icon": "mdi:account-multiple-remove",
            **state,
            "value_template": _switch("value_json.max >= value_json.capacity"),
        },
        "uncertain": {
            "platform": "binary_sensor",
            "name": "Count uncertain",
            "device_class": "problem",
            **state,
            "value_template": _switch("not value_json.certain"),
        },
        "question": {
            "platform": "binary_sensor",
            "name": "Question open",
            "device_class": "problem",
            "state_topic": names("state"),
            "expire_after": STATE_EXPIRES_S,
            "value_template": _switch("value_json.question"),
            **_attributes(names("state"), "{{ (value_json.question or {}) | to_json }}"),
        },
        "count": {
            "platform": "number",
            "name": "Set guests",
            "entity_category": "config",
            "icon": "mdi:account-edit",
            "mode": "box",
            "min": 0,
            "max": MOST_PEOPLE,
            "step": 1,
            "state_topic": names("occupancy"),
            "value_template": "{{ value_json.count }}",
            "optimistic": False,
            "retain": False,
            **_command(names, "set_count", ', "count": {{ value | int }}'),
        },
        "room_empty": {
            "platform": "button",
            "name": "Room empty",
            "icon": "mdi:account-off",
            "retain": False,
            **_command(names, "room_empty"),
        },
    }


def _session(names: Topics) -> dict[str, Component]:
    """The two hours: when they end, and how far they are."""
    state = {"state_topic": names("session"), "expire_after": STATE_EXPIRES_S}
    return {
        "session_ends": {
            **state,
            "platform": "sensor",
            "name": "Session ends",
            "device_class": "timestamp",
            "value_template": "{{ value_json.ends_at if value_json else 'None' }}",
        },
        "session_phase": {
            **state,
            "platform": "sensor",
            "name": "Session",
            "icon": "mdi:timer-sand",
            "device_class": "enum",
            "options": ["no_session", "running", "last_call", "overtime"],
            "value_template": "{{ value_json.phase if value_json else 'no_session' }}",
        },
    }


def _hatch(names: Topics) -> dict[str, Component]:
    """Who knocks where, the hatch light and its answer."""
    waiting = "{{ dict(waiting=value_json.hatch.waiting, blinking=value_json.hatch.blinking) "
    return {
        "hatch_knock": _knock(names, "hatch"),
        "door_knock": _knock(names, "door"),
        "hatch_light": {
            "platform": "binary_sensor",
            "name": "Hatch light",
            "icon": "mdi:lightbulb",
            "state_topic": names("state"),
            "value_template": "{{ value_json.hatch.light }}",
            "expire_after": STATE_EXPIRES_S,
            **_attributes(names("state"), waiting + "| to_json }}"),
        },
        "hatch_answered": {
            "platform": "button",
            "name": "Hatch answered",
            "icon": "mdi:hand-wave",
            "retain": False,
            **_command(names, "answer_hatch"),
        },
    }


def _knock(names: Topics, place: str) -> Component:
    """A doorbell; its event type is ``ring``, the one that Home Assistant asks of doorbells."""
    when = f"value_json.place == '{place}'"
    return {
        **_happens(names, "knock", when, "'ring'", ", raps=value_json.raps"),
        "name": f"Knock at the {place}",
        "device_class": "doorbell",
        "event_types": ["ring"],
    }


def _chime(names: Topics) -> dict[str, Component]:
    """The chime as a siren that is rung, and as an event that has rung.

    A tone lasts a moment, so the siren never stays on.
    """
    tone = ', "tone": "{{ tone | default("warning") }}"'
    return {
        "siren": {
            "platform": "siren",
            "name": "Chime",
            "state_topic": names("state"),
            "state_value_template": "OFF",
            "available_tones": list(TONES),
            "support_duration": False,
            "support_volume_set": False,
            "optimistic": False,
            "retain": False,
            **_command(names, "ring_chime", tone),
            "command_off_template": _command(names, "ring_chime")["command_template"],
        },
        "chime": {
            **_happens(names, "chime", "true", "value_json.tone"),
            "name": "Chime rang",
            "icon": "mdi:bell-ring",
            "event_types": [*TONES, "evacuate"],
        },
    }


def _health(names: Topics) -> dict[str, Component]:
    """What is wrong, and how the controller is."""
    faults = "{{ dict(faults=value_json.faults | map(attribute='name') | list) | to_json }}"
    state = {"state_topic": names("state"), "expire_after": STATE_EXPIRES_S}
    gauge = {"platform": "sensor", "entity_category": "diagnostic", "state_class": "measurement"}
    heartbeat = {**gauge, "state_topic": names("heartbeat"), "expire_after": HEARTBEAT_EXPIRES_S}
    return {
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            **state,
            "value_template": _switch("value_json.faults or value_json.door.alarm != 'Normal'"),
            **_attributes(names("state"), faults),
        },
        "faults": {
            **gauge,
            **state,
            "name": "Faults",
            "icon": "mdi:alert-circle-outline",
            "value_template": "{{ value_json.faults | length }}",
        },
        "uptime": {
            **heartbeat,
            "name": "Uptime",
            "device_class": "duration",
            "unit_of_measurement": "s",
            "suggested_display_precision": 0,
            "value_template": "{{ value_json.uptime_s }}",
        },
        "signal": {
            **heartbeat,
            "name": "Signal",
            "device_class": "signal_strength",
            "unit_of_measurement": "dBm",
            "enabled_by_default": False,
            "value_template": "{{ value_json.signal_dbm | default('None') }}",
        },
    }
