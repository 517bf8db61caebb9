"""``python -m tests.tools.mutate [MODULE ...]``: break the pure core in small ways; who minds?

Works on a copy in ``.mutants/``, with mutmut (installed by ``make mutate``), one fork a mutant and
only the tests that reach it. What survives is explained in ``MUTANTS.md`` or wants a test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPY = ROOT / ".mutants"
FOLDERS = ("controller", "web", "tests", "systemd")
#: Each module with the tests that are there to hold it.
RULES = ("test_rules", "test_told", "test_occupancy", "test_state", "test_wire_told")
WIRE = ("test_wire", "test_wire_told", "test_inbox")
PASSAGES = ("test_sensing", "test_passages", "test_shapes")
KNOCKS = ("test_sensing", "test_knocks", "test_raps")
HELD_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("rules", "said", "commands", "state", "turn", "occupancy"), RULES),
    **dict.fromkeys(("wire", "inbox"), WIRE),
    **dict.fromkeys(("passages", "beams", "shapes"), PASSAGES),
    **dict.fromkeys(("knocks", "hits", "regulars"), KNOCKS),
    **dict.fromkeys(("sensing", "contacts"), ("test_sensing", "test_shapes")),
}
#: Judges a hundred evenings by a sum: what it alone would catch is no mutant worth a second each.
SLOW = ("tests/controller/sensing/test_passages.py::test_held_out_evenings",)
DEFAULT = ("rules", "said", "commands", "state", "turn", "occupancy", "wire", "inbox")


def prepare(modules: tuple[str, ...]) -> None:
    """Copy what the tests need and say what to mutate."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, COPY / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, COPY)
    tests = sorted({test for module in modules for test in HELD_BY[module]})
    lists = {
        "source_paths": [f"controller/{module}.py" for module in modules],
        "also_copy": [*FOLDERS, "pyproject.toml"],
        "pytest_add_cli_args_test_selection": [f"tests/{test}.py" for test in tests],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", *(f"--deselect={t}" for t in SLOW)],
    }
    rows = "".join(f"{key}=\n    " + "\n    ".join(values) + "\n" for key, values in lists.items())
    (COPY / "setup.cfg").write_text(f"[mutmut]\n{rows}")


def mutmut(*args: str, quiet: bool = False) -> str:
    """Run mutmut in the copy; without site hooks, so that the copy is what is imported."""
    mutmut_path = Path(sys.executable).with_name("mutmut")
    done = subprocess.run(
        [sys.executable, "-S", "-c", BARE, str(mutmut_path), *args],
        cwd=COPY,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if "packages" in p)},
        stdout=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
    return done.stdout or ""


BARE = (
    "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def main(modules: tuple[str, ...]) -> int:
    """Mutate, count, name the survivors."""
    prepare(modules)
    mutmut("run")
    found = [line.split(":") for line in mutmut("results", quiet=True).splitlines() if ":" in line]
    for name, fate in found:
        sys.stdout.write(f"{fate.strip():10} {name.strip()}\n")
    sys.stdout.write(f"{dict(Counter(fate.strip() for _, fate in found))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or DEFAULT))
