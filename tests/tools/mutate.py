"""``python -m tests.tools.mutate [MODULE ...]``: break the pure core; does a test fail?

A module is a path below controller/ (``rules/step``), or a folder there for all of its modules.

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
#: Each module below controller/, with the tests below tests/controller/ that are there to hold it.
RULES = ("rules", "mqtt/test_snapshot")
WIRE = ("test_codec", "mqtt/test_snapshot", "mqtt/test_inbox")
PASSAGES = (
    "sensing/test_sensing",
    "sensing/test_passages",
    "sensing/test_classify",
    "sensing/test_depths",
)
KNOCKS = ("sensing/test_sensing", "sensing/test_knocks", "sensing/test_knock_decoder")
HELD_BY: dict[str, tuple[str, ...]] = {
    "rules/step": RULES,
    "rules/handlers": RULES,
    "rules/commands": RULES,
    "rules/state": RULES,
    "rules/transition": RULES,
    "rules/question": (*RULES, "test_codec"),
    "rules/reconcile": RULES,
    "rules/session": RULES,
    "rules/undo": RULES,
    "rules/occupancy": RULES,
    "codec": WIRE,
    "mqtt/snapshot": WIRE,
    "mqtt/inbox": WIRE,
    "sensing/passages": PASSAGES,
    "sensing/patterns": PASSAGES,
    "sensing/depths": PASSAGES,
    "sensing/classify": PASSAGES,
    "sensing/knocks": KNOCKS,
    "sensing/rhythms": KNOCKS,
    "sensing/sensing": ("sensing/test_sensing", "sensing/test_classify"),
    "sensing/contacts": ("sensing/test_sensing", "sensing/test_classify"),
}
#: Judges a hundred evenings by a sum: too slow to run for each mutant.
SLOW = ("tests/controller/sensing/test_passages.py::test_held_out_evenings",)
DEFAULT = ("rules", "codec", "mqtt")


def prepare(modules: tuple[str, ...]) -> None:
    """Copy what the tests need and say what to mutate."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, COPY / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, COPY)
    tests = sorted({test for module in modules for test in HELD_BY[module]})
    paths = [f"tests/controller/{test}{'.py' if 'test_' in test else ''}" for test in tests]
    lists = {
        "source_paths": [f"controller/{module}.py" for module in modules],
        "also_copy": [*FOLDERS, "pyproject.toml"],
        "pytest_add_cli_args_test_selection": paths,
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


def chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the modules of these names: a module is its own, a folder stands for what is in it."""
    found = [m for m in HELD_BY for name in names if m == name or m.startswith(f"{name}/")]
    if not found:
        raise SystemExit(f"no module {' '.join(names)}; known are {', '.join(HELD_BY)}")
    return tuple(found)


def main(names: tuple[str, ...]) -> int:
    """Mutate, count, name the survivors."""
    prepare(chosen(names))
    mutmut("run")
    found = [line.split(":") for line in mutmut("results", quiet=True).splitlines() if ":" in line]
    for name, fate in found:
        sys.stdout.write(f"{fate.strip():10} {name.strip()}\n")
    sys.stdout.write(f"{dict(Counter(fate.strip() for _, fate in found))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or DEFAULT))
