"""What the installed product says and does for whoever asks it."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.installed.machine import Machine, run

#: What a phone does: pair, then read the state.
PHONE = """
import http.cookiejar, sys, urllib.request
jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
phone = urllib.request.build_opener(jar)
phone.open("http://127.0.0.1:8080/pair/" + open("/var/lib/backdoor/pairing.secret").read().strip())
sys.stdout.write(phone.open("http://127.0.0.1:8080/api/state").read().decode())
"""

#: What a service imports and would compile anew at each start: its user may not write it there.
UNCOMPILED = """
import sys
sys.dont_write_bytecode = True
import importlib.util, os, struct
import controller.gpio.gpiod, controller.mqtt.client, controller.service.assembly, web.server
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None) or ""
    if path.endswith(".py"):
        source, cache = os.stat(path), importlib.util.cache_from_source(path)
        head = open(cache, "rb").read(16)[4:] if os.path.exists(cache) else b""
        if head != struct.pack("<3I", 0, int(source.st_mtime), source.st_size):
            print(path)
"""


def state(machine: Machine) -> Any:
    return json.loads(machine.python(PHONE))


def working(machine: Machine) -> bool:
    """Tell whether the page shows a live house."""
    done = machine.tell("/opt/backdoor/.venv/bin/python", "-", text=PHONE)
    return done.returncode == 0 and json.loads(done.stdout)["link"] == "online"


def set_count(machine: Machine, count: int) -> None:
    command = f"""
import json, time, paho.mqtt.client as paho
user, _, password = open("/etc/backdoor/web-test.login").read().strip().partition(":")
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client.username_pw_set(user, password)
client.connect("127.0.0.1")
client.loop_start()
body = {{"id": str(time.time()), "issued_at": time.time(), "count": {count}, "cause": "page"}}
client.publish("backdoor/bar/cmd/set_count", json.dumps(body), qos=1).wait_for_publish(5)
client.disconnect()
"""
    machine.python(command)
    machine.until(lambda: state(machine)["occupancy"]["count"] == count)


def release(machine: Machine) -> str:
    return machine.do("readlink", "/opt/backdoor").strip()


def installed_files(machine: Machine) -> list[str]:
    """Return what has our name, but for the files of a release and dpkg's own."""
    found = machine.do("find", "/opt", "/etc", "/usr/local", "/var/lib", "-name", "*backdoor*",
                       "-not", "-path", "/opt/backdoor.releases/*",
                       "-not", "-path", "/var/lib/dpkg/*")  # fmt: skip
    return sorted(found.split())


def build(machine: Machine, version: str, arch: str = "", wheels: str = "root/wheels") -> str:
    """Make a package of another release; return its path in the machine."""
    script = machine.source / "systemd/deb/build.py"
    readme = machine.source / "README.md"
    text = readme.read_text()
    readme.write_text(f"{text}\n{version}\n")
    arch = arch or run("dpkg", "--print-architecture").strip()
    out = machine.root / "root/debs"
    run(sys.executable, str(script), "--version", version, "--arch", arch, "--out", str(out),
        "--wheels", str(machine.root / wheels))  # fmt: skip
    readme.write_text(text)
    return f"/root/debs/backdoor_{version}_{arch}.deb"
