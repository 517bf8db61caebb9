"""The entities that Home Assistant shows: which topic each listens to and how it reads it.

Nothing is optimistic: an entity shows what the controller published last, and a command only asks.
Templates turn Home Assistant's words into our commands, each with its own ``id`` and the time at
which it was issued, so a command that was kept somewhere opens nothing.
"""

from __future__ import annotations

from typing import Any

from controller.events import TONES, Reason
from controller.integrations.names import name_of
from controller.mqtt.message import Topics

Component = dict[str, Any]

_GAUGE: Component = {
    "platform": "sensor", "entity_category": "diagnostic", "state_class": "measurement",
}  # fmt: skip

#: States are published every 10 s at the latest, heartbeats every second: three misses suffice.
STATE_EXPIRES_S = 35
HEARTBEAT_EXPIRES_S = 5
#: Events are also delivered late, after an outage; a bell must not ring for old ones.
FRESH_S = 30
#: The largest house there is: so many buttons that let in can be left from a larger one.
MOST_PLACES = 20


def components(names: Topics, capacity: int = 4, *, italian: bool = False) -> dict[str, Component]:
    """Return every entity of a bar with everything wired, by its key."""
    found = {
        **_lock(names),
        **_refusals(names),
        **_door(names),
        **_people(names),
        **_doubt(names, capacity),
        **_corrections(names, capacity),
        **_session(names),
        **_tonight(names),
        **_hatch(names),
        **_buttons(names, capacity),
        **_chime(names),
        **_faults(names),
        **_controller(names),
    }
    return {key: {**part, "name": name_of(key, italian)} for key, part in found.items()}


# --- templates ------------------------------------------------------------------------------------


def _command(names: Topics, name: str, more: str = "") -> Component:
    """Return topic and template of one of our commands; ``more`` are further JSON members."""
    fresh = (
        '{"id": "ha-{{ now().timestamp() }}-{{ range(99) | random }}", '
        '"issued_at": "{{ utcnow().isoformat() }}", "cause": "homeassistant"'
    )
    return {"command_topic": names(f"cmd/{name}"), "command_template": f"{fresh}{more}}}"}


def _happens(names: Topics, name: str, when: str, type_: str, also: str = "") -> Component:
    """Return topic and template of an event entity: ``when``, with its attributes.

    An event that is live counts whatever the clocks say. One that says that it is late counts if it
    is fresh, by the controller's clock, and newer than the last: it may be here already.
    """
    last = "(this.attributes.get('at') or '')"
    late = f"(value_json.late_s < {FRESH_S} and value_json.at > {last})"
    new = f"value_json.at != {last} and (value_json.late_s is not defined or {late})"
    attributes = f"dict(event_type={type_}, at=value_json.at{also}) | to_json"
    template = f"{{% if {when} and {new} %}}{{{{ {attributes} }}}}{{% endif %}}"
    return {"platform": "event", "state_topic": names(f"event/{name}"), "value_template": template}


def _switch(condition: str) -> str:
    return f"{{{{ 'ON' if {condition} else 'OFF' }}}}"


def _binary(names: Topics, condition: str, icon: str, device_class: str = "") -> Component:
    """Return a yes or no of the whole state."""
    return {
        "platform": "binary_sensor",
        "icon": icon,
        "state_topic": names("state"),
        "value_template": _switch(condition),
        "expire_after": STATE_EXPIRES_S,
        **({"device_class": device_class} if device_class else {}),
    }


def _attributes(topic: str, template: str) -> Component:
    return {"json_attributes_topic": topic, "json_attributes_template": template}


# --- entities -------------------------------------------------------------------------------------


def _lock(names: Topics) -> dict[str, Component]:
    """The lock (main entity), and its state in words of its own."""
    lock = (
        "{% if value_json.lock == 'Fault' %}JAMMED"
        "{% elif value_json.strike or value_json.physical == 'Open' %}OPEN"
        "{% elif value_json.lock == 'Unlocked' %}UNLOCKED"
        "{% elif value_json.lock == 'Locked' %}LOCKED{% else %}None{% endif %}"
    )
    words = "{{ word if word == 'None' else word | lower }}"
    # A strike can't be locked: LOCK asks for nobody and is refused, the other two for one.
    party = ", \"party\": {{ 0 if value == 'LOCK' else 1 }}"
    return {
        "lock": {
            "platform": "lock",
            "state_topic": names("door"),
            "value_template": lock,
            "payload_open": "OPEN",
            "optimistic": False,
            "retain": False,
            **_command(names, "access_door", party),
            **_attributes(names("door"), "{{ value_json | to_json }}"),
        },
        "lock_state": {
            "platform": "sensor",
            "icon": "mdi:lock",
            "device_class": "enum",
            "options": ["locked", "open", "unlocked", "jammed"],
            "state_topic": names("door"),
            "expire_after": STATE_EXPIRES_S,
            "value_template": f"{{% set word %}}{lock}{{% endset %}}{words}",
            **_attributes(names("door"), "{{ value_json | to_json }}"),
        },
    }


def _refusals(names: Topics) -> dict[str, Component]:
    """Who was not let in, what was not done, and why."""
    why = ", reason=value_json.reason"
    refused = ", command=value_json.command, cause=value_json.cause"
    return {
        "refused": {
            **_happens(names, "access_denied", "true", "value_json.reason", refused),
            "event_types": [reason.value for reason in Reason],
            "icon": "mdi:hand-back-right",
        },
        "not_done": {
            **_happens(names, "command_refused", "true", "'refused'", why + refused),
            "event_types": ["refused"],
            "icon": "mdi:close-octagon",
        },
    }


def _door(names: Topics) -> dict[str, Component]:
    """The open release, the contacts, the alarms, and why nobody is let in at all."""
    door = "{{ {'Open': 'ON', 'Closed': 'OFF'}.get(value_json.physical, 'None') }}"
    bolt = "{{ {'Locked': 'OFF', 'Unknown': 'None'}.get(value_json.lock, 'ON') }}"
    return {
        "letting_in": {
            **_binary(names, "value_json.grant", "mdi:account-arrow-right"),
            **_attributes(
                names("state"),
                "{{ (dict(party=value_json.grant.party, entered=value_json.grant.entered)"
                " if value_json.grant else {}) | to_json }}",
            ),
        },
        "door": _contact(names, "door", door),
        "bolt": _contact(names, "lock", bolt),
        "forced": _alarm(names, "DoorForcedOpen", "mdi:door-open", "safety"),
        "open_too_long": _alarm(names, "DoorOpenTooLong", "mdi:door-open", "problem"),
        "evacuation": _mode(names, "LockedOpen", "mdi:run-fast", "safety"),
        "locked_down": _mode(names, "LockedDown", "mdi:shield-lock", "safety"),
        "closed": _binary(
            names,
            # a full house is Blocked as well, and open again by itself
            "value_json.door.mode == 'Blocked' and not value_json.full",
            "mdi:sign-caution",
        ),
    }


def _alarm(names: Topics, alarm: str, icon: str, device_class: str) -> Component:
    return _binary(names, f"value_json.door.alarm == '{alarm}'", icon, device_class)


def _mode(names: Topics, mode: str, icon: str, device_class: str) -> Component:
    return _binary(names, f"value_json.door.mode == '{mode}'", icon, device_class)


def _contact(names: Topics, device_class: str, template: str) -> Component:
    return {
        "platform": "binary_sensor",
        "device_class": device_class,
        "state_topic": names("door"),
        "value_template": template,
        "expire_after": STATE_EXPIRES_S,
    }


def _people(names: Topics) -> dict[str, Component]:
    """How many are inside, and how sure that is."""
    state = {"state_topic": names("occupancy"), "expire_after": STATE_EXPIRES_S}
    bounds = "{{ dict(min=value_json.min, max=value_json.max, certain=value_json.certain) "
    number = {"platform": "sensor", "state_class": "measurement", **state}
    return {
        "guests": {
            **number,
            "icon": "mdi:account-group",
            "value_template": "{{ value_json.count }}",
            **_attributes(names("occupancy"), bounds + "| to_json }}"),
        },
        "free_places": {
            **number,
            "icon": "mdi:seat",
            "value_template": "{{ value_json.free_places }}",
        },
        "full": {
            "platform": "binary_sensor",
            "icon": "mdi:account-multiple-remove",
            **state,
            "value_template": _switch("value_json.max >= value_json.capacity"),
        },
        "uncertain": {
            "platform": "binary_sensor",
            "device_class": "problem",
            **state,
            "value_template": _switch("not value_json.certain"),
        },
    }


def _doubt(names: Topics, capacity: int) -> dict[str, Component]:
    """What the house asks, and its answer; too many inside."""
    return {
        "question": {
            "platform": "binary_sensor",
            "device_class": "problem",
            "state_topic": names("state"),
            "expire_after": STATE_EXPIRES_S,
            "value_template": _switch("value_json.question"),
            **_attributes(names("state"), "{{ (value_json.question or {}) | to_json }}"),
        },
        "answer": _answer(names, capacity),
        "over_capacity": {
            **_binary(names, "value_json.over_capacity", "mdi:account-alert", "problem"),
            # only then: the recorder keeps a row for each change of an attribute
            **_attributes(
                names("state"),
                "{{ (value_json.occupancy if value_json.over_capacity else {}) | to_json }}",
            ),
        },
    }


def _corrections(names: Topics, capacity: int) -> dict[str, Component]:
    """What a person says of the count."""
    return {
        "staff_pass": _binary(names, "value_json.staff_pass", "mdi:badge-account"),
        "count": _number(names, "set_count", "mdi:account-edit", capacity),
        "report_wrong": {
            **_number(names, "report_wrong", "mdi:account-alert", capacity),
            "enabled_by_default": False,
        },
        "room_empty": _button(names, "room_empty", "mdi:account-off"),
    }


def _number(names: Topics, command: str, icon: str, capacity: int) -> Component:
    """A number that shows the count, and corrects it by a command."""
    return {
        "platform": "number",
        "entity_category": "config",
        "icon": icon,
        "mode": "box",
        "min": 0,
        "max": capacity,
        "step": 1,
        "state_topic": names("occupancy"),
        # Home Assistant takes no number beyond the bounds: too many are none that can be set
        "value_template": (
            "{{ value_json.count if value_json.count <= value_json.capacity else 'None' }}"
        ),
        "optimistic": False,
        "retain": False,
        **_command(names, command, ', "count": {{ value | int }}'),
    }


def _answer(names: Topics, capacity: int) -> Component:
    """How many came in, to choose while the house asks; nothing stays chosen."""
    answer = ', "came": {{ value }}, "question": "{{ this.attributes.get(\'id\') or \'none\' }}"'
    return {
        "platform": "select",
        "icon": "mdi:account-question",
        "options": [str(n) for n in range(capacity + 1)],
        "state_topic": names("state"),
        "value_template": "None",
        "optimistic": False,
        "retain": False,
        **_command(names, "answer_question", answer),
        **_attributes(
            names("state"),
            "{% set asked = value_json.question or {} %}"
            "{{ (dict(id=asked.id, answers=asked.answers) if asked.get('id') else {}) | to_json }}",
        ),
    }


def _session(names: Topics) -> dict[str, Component]:
    """The two hours: when they end, and how far they are."""
    state = {"state_topic": names("session"), "expire_after": STATE_EXPIRES_S}
    return {
        "session_ends": {
            **state,
            "platform": "sensor",
            "device_class": "timestamp",
            "value_template": "{{ value_json.ends_at if value_json else 'None' }}",
        },
        "session_phase": {
            **state,
            "platform": "sensor",
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
            "icon": "mdi:lightbulb",
            "state_topic": names("state"),
            "value_template": "{{ value_json.hatch.light }}",
            "expire_after": STATE_EXPIRES_S,
            **_attributes(names("state"), waiting + "| to_json }}"),
        },
        "hatch": _binary(names, "value_json.hatch.open", "mdi:window-shutter-open", "opening"),
        "door_waiting": _binary(names, "value_json.door_knock", "mdi:account-clock"),
        "hatch_answered": _button(names, "answer_hatch", "mdi:hand-wave"),
        "door_answered": _button(names, "answer_door", "mdi:hand-wave"),
        "hatch_raps": _raps(names, "hatch"),
        "door_raps": _raps(names, "door"),
    }


def _knock(names: Topics, place: str) -> Component:
    """A doorbell; its event type is ``ring``, the one that Home Assistant asks of doorbells."""
    when = f"value_json.place == '{place}'"
    return {
        **_happens(names, "knock", when, "'ring'", ", raps=value_json.raps"),
        "device_class": "doorbell",
        "event_types": ["ring"],
    }


def _raps(names: Topics, place: str) -> Component:
    """How many raps the last knock had in all: the bell rings before it is over."""
    at_place = f"value_json.place == '{place}'"
    return {
        "platform": "sensor",
        "icon": "mdi:gesture-tap",
        "state_class": "measurement",
        "state_topic": names("event/knock_ended"),
        "value_template": f"{{% if {at_place} %}}{{{{ value_json.raps }}}}{{% endif %}}",
    }


def _button(names: Topics, command: str, icon: str, more: str = "") -> Component:
    return {
        "platform": "button",
        "icon": icon,
        "retain": False,
        **_command(names, command, more),
    }


def _buttons(names: Topics, capacity: int) -> dict[str, Component]:
    """What the page can ask for as well; nothing toggles, so each way has a button of its own."""
    newest = "(this.attributes.get('undoable') or [{'id': ''}])[0].id"
    let_in = {
        f"let_in_{n}": _button(names, "access_door", "mdi:account-arrow-right", f', "party": {n}')
        for n in range(1, capacity + 1)
    }
    return {
        **let_in,
        "release_cancel": _button(names, "release_cancel", "mdi:hand-back-left"),
        "undo": {
            **_button(names, "undo", "mdi:undo", f', "undoes": "{{{{ {newest} }}}}"'),
            **_attributes(
                names("state"), "{{ dict(undoable=value_json.undoable | default([])) | to_json }}"
            ),
        },
        "staff": _button(names, "staff_pass", "mdi:badge-account"),
        "close": _button(names, "block_door", "mdi:sign-caution"),
        "reopen": _button(names, "unblock_door", "mdi:door-open"),
        "lock_down": _button(names, "lock_down", "mdi:shield-lock"),
        "lock_down_release": _button(names, "lock_down_release", "mdi:shield-off"),
        "evacuate": _button(names, "lock_open", "mdi:run-fast"),
        "evacuation_ends": _button(names, "lock_open_release", "mdi:check"),
        "self_test": {
            **_button(names, "self_test", "mdi:clipboard-check"),
            "entity_category": "diagnostic",
        },
    }


def _tonight(names: Topics) -> dict[str, Component]:
    """What the evening came to so far, and who is expected."""
    more = "dict(until=value_json.until, party=value_json.party, next_free=value_json.next_free)"
    return {
        "guests_tonight": _total(names, "guests", "mdi:account-group"),
        "parties_tonight": _total(names, "sessions", "mdi:glass-cocktail"),
        "knocks_tonight": _total(names, "knocks", "mdi:gesture-tap"),
        "denied_tonight": _total(names, "denied", "mdi:hand-back-right"),
        "next_booking": {
            "platform": "sensor",
            "icon": "mdi:calendar-clock",
            "device_class": "timestamp",
            "state_topic": names("book/next"),
            "value_template": "{{ value_json.at or 'None' }}",
            **_attributes(names("book/next"), f"{{{{ {more} | to_json }}}}"),
        },
    }


def _total(names: Topics, name: str, icon: str) -> Component:
    return {
        "platform": "sensor",
        "icon": icon,
        "state_class": "total_increasing",
        "state_topic": names("night"),
        "value_template": f"{{{{ value_json.totals.{name} }}}}",
    }


def _chime(names: Topics) -> dict[str, Component]:
    """The chime as a siren that is rung, and as an event that has rung.

    A tone lasts a moment, so the siren never stays on.
    """
    tone = ', "tone": "{{ tone | default("warning") }}"'
    return {
        "siren": {
            "platform": "siren",
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
            "icon": "mdi:bell-ring",
            "event_types": [*TONES, "evacuate"],
        },
    }


def _faults(names: Topics) -> dict[str, Component]:
    """What is wrong."""
    names_ = "value_json.faults | map(attribute='name') | list"
    alarm = "([value_json.door.alarm] if value_json.door.alarm != 'Normal' else [])"
    clocks = "value_json.faults | selectattr('ahead_s', 'defined') | list"
    reason = (
        "{% set reason = namespace(all=" + alarm + ") %}"
        "{% for fault in value_json.faults %}{% set reason.all = reason.all + [fault.name ~ ' (' ~ "
        "fault.line ~ (', ' ~ fault.ahead_s ~ ' s' if fault.ahead_s is defined else '') ~ ')'] %}"
        "{% endfor %}"
    )
    faults = (
        f"{reason}{{{{ dict(faults={names_}, reason=reason.all | join(', '), "
        f"clocks={clocks}) | to_json }}}}"
    )
    state = {"state_topic": names("state"), "expire_after": STATE_EXPIRES_S}
    return {
        "problem": {
            "platform": "binary_sensor",
            "device_class": "problem",
            **state,
            "value_template": _switch("value_json.faults or value_json.door.alarm != 'Normal'"),
            **_attributes(names("state"), faults),
        },
        "faults": {
            **_GAUGE,
            **state,
            "icon": "mdi:alert-circle-outline",
            "value_template": "{{ value_json.faults | length }}",
        },
    }


def _controller(names: Topics) -> dict[str, Component]:
    """How the controller is: its self-test, its start, its radio."""
    heartbeat = {"state_topic": names("heartbeat"), "expire_after": HEARTBEAT_EXPIRES_S}
    return {
        "self_test_state": {
            "platform": "sensor",
            "entity_category": "diagnostic",
            "icon": "mdi:clipboard-check",
            "device_class": "enum",
            "options": ["running", "passed", "not_passed"],
            "state_topic": names("self_test"),
            "value_template": (
                "{{ 'running' if value_json.running else 'passed' if value_json.ok "
                "else 'not_passed' }}"
            ),
        },
        "started": {
            "platform": "sensor",
            "entity_category": "diagnostic",
            "device_class": "timestamp",
            **heartbeat,
            "value_template": "{{ value_json.started_at }}",
        },
        "signal": {
            **_GAUGE,
            **heartbeat,
            "device_class": "signal_strength",
            "unit_of_measurement": "dBm",
            "enabled_by_default": False,
            "value_template": "{{ value_json.signal_dbm | default('None') }}",
        },
    }
