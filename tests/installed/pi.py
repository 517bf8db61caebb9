"""The installed product on an emulated Raspberry Pi 3 of 512 MB: ``make test-pi``, as root.

Debian's kernel on qemu's board: the real driver of the pins, systemd, mosquitto, and the arm64
package as its postinst leaves it. What memory the services take is as on a Pi; how long something
takes is not: the same figures of this machine's processor stand beside it, and the services'
own limits of time are longer here.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.installed import arm
from tests.installed.machine import PACKAGES, ROOT, SUITE, Machine, in_memory, run
from tests.installed.product import working

QEMU = "qemu-system-aarch64"
KERNEL_PACKAGES = f"{PACKAGES},linux-image-arm64,initramfs-tools"
#: The first file system has only what finds the card: all modules take many minutes to pack here.
SMALL_INITRD = (
    'cd "$1"; mkdir -p etc/initramfs-tools/conf.d usr/share/initramfs-tools/modules.d;'
    "printf 'MODULES=list\\nCOMPRESSLEVEL=1\\n' > etc/initramfs-tools/conf.d/card;"
    "printf 'bcm2835\\nsdhci-iproc\\next4\\n' > usr/share/initramfs-tools/modules.d/card"
)
BOARD = "bcm2837-rpi-3-b.dtb"
#: What a Pi's firmware writes into its device tree and qemu does not: a Pi 3 B, by which gpiozero
#: knows the pins.
REVISION = "a02082"
KILLS = int(os.environ.get("KILLS", "10"))
#: The board has 1 GiB, of which the kernel is given half.
KERNEL_LINE = (
    f"mem=512M maxcpus={min(4, os.cpu_count() or 4)} root=LABEL=backdoor rw"
    " console=ttyAMA0,115200 console=ttyS1,115200"
)
#: An SD card's size is a power of two.
CARD = "2G"
LIMIT_S = 90 * 60
#: What is asked of each (RSS) and of all (PSS, so that what they share counts once), in MiB.
LIMITS = {"backdoor-controller": 40, "backdoor-web": 50}
ALL_MIB = 130
#: They share a control group, which counts what they take. An emulated processor is too slow for
#: their limits of time (a watchdog of 10 s).
SLICE = "[Slice]\nMemoryAccounting=yes\n"
UNIT = "[Service]\nSlice=bar.slice\nTimeoutStartSec=600\nTimeoutStopSec=600\n"
PATIENT = "WatchdogSec=300\n"
SERVICES = ("backdoor-controller", "backdoor-web", "backdoor-notify", "mosquitto")
#: qemu takes a watchdog that is started for one that has barked.
NO_WATCHDOG = "[Manager]\nRuntimeWatchdogSec=0\n"
PYTHON = "/opt/backdoor/.venv/bin/python"
MEASURE = f"""\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=-dpkg --configure -a
ExecStart=/bin/sh -c '{PYTHON} /root/figures.py {KILLS} > /root/figures.json'
ExecStopPost=/bin/sh -c 'journalctl -q --no-pager -o short-monotonic > /root/journal'
ExecStopPost=systemctl poweroff
TimeoutStopSec=10min
StandardOutput=journal+console
"""


def missing() -> str:
    """Return what this machine lacks for it, or nothing."""
    lacks = [name for name in (QEMU, "mke2fs", "debugfs", "fdtput") if not shutil.which(name)]
    packages = "qemu-system-arm e2fsprogs device-tree-compiler"
    return f"needs {', '.join(lacks)}: apt install {packages}" if lacks else ""


def prepare(root: Path) -> None:
    """Have the machine set up the package at its start, then measure, then switch itself off."""
    units = root / "etc/systemd/system"
    write(units / "measure.service", MEASURE)
    wanted = units / "multi-user.target.wants/measure.service"
    wanted.symlink_to("../measure.service")
    write(units / "bar.slice", SLICE)
    for name in SERVICES:
        patient = PATIENT if name.startswith("backdoor") else ""
        write(units / f"{name}.service.d/bar.conf", UNIT + patient)
    write(root / "etc/systemd/system.conf.d/99-emulated.conf", NO_WATCHDOG)
    write(root / "etc/backdoor/web-test.login", "")
    config = (ROOT / "systemd/backdoor.toml").read_text()
    named = config.replace("\nurls = []", '\nurls = ["ntfy://127.0.0.1:2586/bar"]')
    write(root / "etc/backdoor/backdoor.toml", named)
    write(root / "etc/machine-id", "0badcafe" * 4 + "\n")
    shutil.copy(ROOT / "tests/installed/figures.py", root / "root/figures.py")


def write(path: Path, text: str) -> None:
    """Write a file into the root, with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def card(root: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """Make the card of a root; return it, and what qemu starts from."""
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    (initrd,) = (root / "boot").glob("initrd.img-*")
    (board,) = (root / "usr/lib").glob(f"linux-image-*/broadcom/{BOARD}")
    parts = {name: str(shutil.copy(path, folder)) for name, path in
             (("-kernel", kernel), ("-initrd", initrd), ("-dtb", board))}  # fmt: skip
    run("fdtput", "-p", "-t", "x", parts["-dtb"], "/system", "linux,revision", REVISION)
    for unneeded in (kernel, initrd, root / "usr/share/doc", root / "var/lib/apt/lists"):
        shutil.rmtree(unneeded) if unneeded.is_dir() else unneeded.unlink()
    image = folder / "card"
    run("mke2fs", "-q", "-t", "ext4", "-L", "backdoor", "-d", str(root), str(image), CARD)
    return image, parts


def boot(image: Path, parts: dict[str, str], console: Path) -> None:
    """Start the board and wait until it has switched itself off; its last words when it has not."""
    command = [QEMU, "-M", "raspi3b", "-accel", "tcg,thread=multi", "-display", "none",
               "-no-reboot", "-monitor", "none", "-append", KERNEL_LINE,
               "-drive", f"if=sd,format=raw,file={image},cache=unsafe",
               "-serial", f"file:{console}-0", "-serial", f"file:{console}"]  # fmt: skip
    command += [word for part in parts.items() for word in part]
    board = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + LIMIT_S
        while board.poll() is None and "Power down" not in console.read_text(errors="replace"):
            if time.monotonic() > end_s:
                break
            time.sleep(1)
    finally:
        board.kill()
        board.wait()


def from_card(image: Path, name: str) -> str:
    """Return a file of the card."""
    return run("debugfs", "-R", f"cat {name}", str(image))


def emulated(folder: Path) -> Any:
    """Return the figures of the Pi."""
    root = folder / "root"
    root.mkdir()
    in_memory(root)
    try:
        arm.release(SUITE, root, KERNEL_PACKAGES, (SMALL_INITRD,))
        prepare(root)
        image, parts = card(root, folder)
    finally:
        if root.is_mount():
            run("umount", "--lazy", str(root))
    console = folder / "console"
    console.touch()
    boot(image, parts, console)
    text = from_card(image, "/root/figures.json")
    if not text:
        last = from_card(image, "/root/journal") or console.read_text(errors="replace")
        sys.exit(f"pi: it has not measured:\n{last[-6000:]}")
    return json.loads(text)


def here(folder: Path) -> Any:
    """Return the figures of this machine's processor, in a container."""
    folder.mkdir()
    with Machine(folder).booted() as machine:
        machine.do("/root/backdoor/systemd/install", "--wheels", "/root/wheels")
        machine.until(lambda: working(machine))
        shutil.copy(ROOT / "tests/installed/figures.py", machine.root / "root/figures.py")
        return json.loads(machine.do(PYTHON, "/root/figures.py", str(KILLS)))


def line(name: str, found: Any) -> str:
    """Return one machine's figures as text."""
    memory = ", ".join(f"{unit} {took['Rss']:.0f}/{took['Pss']:.0f}"
                       for unit, took in found["memory"].items())  # fmt: skip
    text = f"{name}: RSS/PSS MiB {memory}; all {found['group'] or 'without a group'}\n"
    for step in ("pause", "start", "broker", "all"):
        took = sorted(kill[step] for kill in found["kills"])
        text += (
            f"  {step:<7} median {statistics.median(took):.2f} s, {took[0]:.2f} to {took[-1]:.2f}\n"
        )
    return text


def wrong(found: Any) -> list[str]:
    """Return what takes more memory than it may."""
    memory = {unit: took["Rss"] for unit, took in found["memory"].items()}
    said = [f"{unit}: {memory[unit]} MiB, more than {most}"
            for unit, most in LIMITS.items() if memory[unit] > most]  # fmt: skip
    all_mib = sum(took["Pss"] for took in found["memory"].values())
    if all_mib > ALL_MIB:
        said.append(f"all together: {all_mib:.0f} MiB, more than {ALL_MIB}")
    if found["group"].get("killed", 0):
        said.append("the kernel killed some of ours for want of memory")
    missed = set(SERVICES) - set(memory)
    return [*said, *(f"{unit} does not run" for unit in sorted(missed))]


def main() -> int:
    """Return the exit code: 0 when all fits."""
    lacks = arm.missing() or missing()
    if lacks:
        sys.exit(f"test-pi {lacks}")
    with arm.arm_programs(), tempfile.TemporaryDirectory() as name:
        found = emulated(Path(name))
        sys.stdout.write(line("emulated Pi 3, 512 MB", found))
        sys.stdout.write(line("this processor, in a container", here(Path(name) / "here")))
    sys.stdout.writelines(f"{what}\n" for what in wrong(found))
    return 1 if wrong(found) else 0


if __name__ == "__main__":
    sys.exit(main())
