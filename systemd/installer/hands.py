"""What is done to this machine: each thing said, and with ``--dry-run`` only said."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path


class StopError(Exception):
    """What is wrong and the way out, in one line."""


class Hands:
    """Does things to this machine, or with ``dry`` only says them; tells what it changed."""

    def __init__(self, dry: bool) -> None:
        self.dry = dry
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a line for the end, where it is read."""
        self._notes.append(text)

    def tell_notes(self) -> None:
        """Say what the owner should know."""
        for text in self._notes:
            print(text)

    def say(self, text: str) -> None:
        """Say what is done now."""
        print(f"{'would ' if self.dry else ''}{text}", flush=True)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command; its output is shown only when it fails."""
        self.say(f"run {shlex.join(command)}")
        if self.dry:
            return ""
        done = asked(*command)
        if check and done.returncode:
            raise StopError(f"{shlex.join(command)}: {done.stdout.strip() or done.returncode}")
        return done.stdout

    def write(self, path: Path, text: str, mode: int = 0o644, group: str = "root") -> bool:
        """Bring a file to a text; nothing happens when it is that already."""
        if path.is_file() and path.read_text() == text:
            return False
        self.say(f"write {path}")
        if not self.dry:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.new")
            with os.fdopen(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
                f.write(text)
            shutil.chown(beside, "root", group)
            beside.chmod(mode)
            beside.replace(path)
        return True

    def remove(self, *paths: Path) -> bool:
        """Remove what is there of these files, links and directories."""
        there = [path for path in paths if path.exists() or path.is_symlink()]
        for path in there:
            self.say(f"remove {path}")
            if not self.dry:
                if path.is_symlink() or path.is_file():
                    path.unlink()
                else:
                    shutil.rmtree(path)
        return bool(there)

    def point(self, link: Path, target: Path) -> None:
        """Make ``link`` point to ``target``, at no moment to nothing."""
        if link.is_symlink() and link.readlink() == target:
            return
        self.say(f"point {link} to {target}")
        if not self.dry:
            beside = link.with_name(f".{link.name}.new")
            beside.unlink(missing_ok=True)
            beside.symlink_to(target)
            beside.replace(link)


def asked(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that changes nothing, or whose failure the caller judges."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
