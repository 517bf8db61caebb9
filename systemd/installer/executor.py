"""The changes to this machine: each is printed, and with ``--dry-run`` only printed."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

#: A program in a service's own directory is given up after this time.
RUN_AS_LIMIT_S = 120.0


class StopError(Exception):
    """The installation can't go on; the text says what is wrong and the way out, in one line."""


class Executor:
    """Changes this machine, or with ``dry_run`` only prints what it would do."""

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a line to print at the end, where it is read."""
        if text not in self._notes:
            self._notes.append(text)

    def print_notes(self) -> None:
        """Print the notes for the owner."""
        for text in self._notes:
            print(text)

    def log_step(self, text: str) -> None:
        """Print the step that is done now."""
        print(f"{'would ' if self.dry_run else ''}{text}", flush=True)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command; its output is shown only when it fails."""
        self.log_step(f"run {shlex.join(command)}")
        if self.dry_run:
            return ""
        done = query(*command)
        if check and done.returncode:
            raise StopError(f"{shlex.join(command)}: {done.stdout.strip() or done.returncode}")
        return done.stdout

    def run_as(self, user: str, program: Path, *arguments: str, group: str = "") -> str:
        """Run a Python program as a service's user, who may not read where we stand.

        Return "" when it is done, else why it is not: what it has to do there may be hopeless, and
        the installation goes on.
        """
        self.log_step(f"run {program.name} {shlex.join(arguments)} as {user}")
        if self.dry_run:
            return ""
        try:
            done = subprocess.run(
                ("/usr/bin/python3", "-I", "-", *arguments),
                input=program.read_text(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=RUN_AS_LIMIT_S,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                user=user,
                group=group or user,
                extra_groups=[],
            )
        except subprocess.TimeoutExpired:
            return f"it took more than {RUN_AS_LIMIT_S:g} s"
        lines = done.stdout.strip().splitlines() or [str(done.returncode)]
        return lines[-1] if done.returncode else ""

    def write(self, path: Path, text: str, mode: int = 0o644, group: str = "root") -> bool:
        """Give a file this text and mode; return False if it has the text already."""
        if path.is_file() and path.read_bytes() == text.encode():
            return False
        self.log_step(f"write {path}")
        if not self.dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.new")
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as f:
                f.write(text)
            shutil.chown(beside, "root", group)
            beside.chmod(mode)
            beside.replace(path)
        return True

    def remove(self, *paths: Path) -> bool:
        """Remove those of these files, links and directories that exist; return whether any did."""
        there = [path for path in paths if path.exists() or path.is_symlink()]
        for path in there:
            self.log_step(f"remove {path}")
            if not self.dry_run:
                if path.is_symlink() or path.is_file():
                    path.unlink()
                else:
                    shutil.rmtree(path)
        return bool(there)

    def point(self, link: Path, target: Path) -> None:
        """Make ``link`` point to ``target``, in one step."""
        if link.is_symlink() and link.readlink() == target:
            return
        self.log_step(f"point {link} to {target}")
        if not self.dry_run:
            beside = link.with_name(f".{link.name}.new")
            beside.unlink(missing_ok=True)
            beside.symlink_to(target)
            beside.replace(link)


def query(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that changes nothing; the caller looks at its result."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
