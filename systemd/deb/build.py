"""Make the Debian packages: the release's files, its locked wheels, and who calls the installer.

Usage: python systemd/deb/build.py [--version V] [--arch A] [--wheels DIR] [--out DIR]
One package of an architecture is for Debian 12 and 13: it holds the wheels for the Python of each.
Needs dpkg-deb, pip, and once a package index or a directory of wheels.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from installer.release import SOURCE, contents

#: Debian's name of an architecture, and Python's.
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
#: The Python of Debian 12, and of Debian 13.
PYTHONS = ("3.11", "3.13")
#: Kinds of wheels that Debian 12's C library (2.36) runs; pip asks for each by name.
LIBRARIES = (
    "manylinux2014",
    "manylinux_2_17",
    "manylinux_2_28",
    "manylinux_2_31",
    "manylinux_2_34",
)
#: Together all that a release may need: messages or a centre are switched on without a network.
LOCKS = ("requirements-notify.lock", "requirements-centre.lock")
PLACE = Path("usr/lib/backdoor")
MARKER = re.compile(r" ;[^\\\n]*")
#: The date of every file where none is named: the same source gives the same package.
DATE_S = 1767225600
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
#: When else dpkg runs the postinst: with another Python of the system the release has none.
TRIGGERS = "triggers"


def tree(root: Path, version: str, arch: str, wheels: Path) -> None:
    """Lay out the package's files below ``root``."""
    for path in contents():
        put(path, root / PLACE / path.relative_to(SOURCE))
    for wheel in sorted(wheels.glob("*.whl")):
        put(wheel, root / PLACE / "wheels" / wheel.name)
    put(HERE / "sysusers.conf", root / "usr/lib/sysusers.d/backdoor.conf")
    put(HERE / "default", root / "etc/default/backdoor")
    unit = root / "usr/lib/systemd/system/backdoor-upgrade.service"
    put(HERE / unit.name, unit)
    wanted = unit.parent / "multi-user.target.wants" / unit.name
    wanted.parent.mkdir()
    wanted.symlink_to(f"../{unit.name}")
    documents(root / "usr/share/doc/backdoor", version)
    control(root / "DEBIAN", version, arch, size_kib(root))


def put(source: Path, target: Path) -> None:
    """Copy a file, readable by everybody; executable where it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def size_kib(root: Path) -> int:
    """Return the size of the package's files, in KiB."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024


def documents(folder: Path, version: str) -> None:
    """Write what Debian asks of every package: licence and changelog."""
    folder.mkdir(parents=True)
    licence = "".join(f" {line}".rstrip() + "\n" if line.strip() else " .\n"
                      for line in (SOURCE / "LICENSE").read_text().splitlines())  # fmt: skip
    (folder / "copyright").write_text((HERE / "copyright").read_text() + licence)
    text = (HERE / "changelog").read_text().replace("VERSION", version)
    with gzip.GzipFile(folder / "changelog.gz", "wb", 9, mtime=0) as packed:
        packed.write(text.encode())
    for file in folder.iterdir():
        file.chmod(0o644)


def control(folder: Path, version: str, arch: str, kib: int) -> None:
    """Write what dpkg reads: the description, the scripts and the conffiles."""
    folder.mkdir()
    text = (HERE / "control").read_text()
    for name, value in (("VERSION", version), ("ARCH", arch), ("SIZE", str(kib))):
        text = text.replace(f"@{name}@", value)
    (folder / "control").write_text(text)
    (folder / "conffiles").write_text("/etc/default/backdoor\n")
    put(HERE / TRIGGERS, folder / TRIGGERS)
    for name in SCRIPTS:
        shutil.copyfile(HERE / name, folder / name)
        (folder / name).chmod(0o755)


def fetch(folder: Path, arch: str) -> None:
    """Get the wheels that the lock names, for each Python of an architecture."""
    locks = []
    for name in LOCKS:
        # pip would judge the markers by the Python that runs it: with all of them, none is missing.
        (folder / name).write_text(MARKER.sub("", (SOURCE / name).read_text()))
        locks += ["-r", str(folder / name)]
    kinds = [f"--platform={kind}_{ARCHITECTURES[arch]}" for kind in LIBRARIES]
    pip = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check")
    only = ("--only-binary", ":all:", "--no-deps", "--require-hashes", "-d", str(folder))
    for python in PYTHONS:
        subprocess.run([*pip, *only, *kinds, "--python-version", python, *locks], check=True)


def build(out: Path, version: str, arch: str, wheels: Path | None) -> Path:
    """Make one package; return its path."""
    package = out / f"backdoor_{version}_{arch}.deb"
    with tempfile.TemporaryDirectory() as folder:
        root, fetched = Path(folder, "root"), Path(folder, "wheels")
        root.mkdir(mode=0o755)
        root.chmod(0o755)
        if wheels is None:
            fetched.mkdir()
            fetch(fetched, arch)
        tree(root, version, arch, wheels or fetched)
        out.mkdir(parents=True, exist_ok=True)
        same = {**os.environ, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", str(DATE_S))}
        # The wheels are packed already: xz takes 20 times as long, for 1.5 % less.
        how = ("--root-owner-group", "-Zgzip", "-z1", "--build")
        subprocess.run(["dpkg-deb", *how, str(root), str(package)], check=True, env=same,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    return package


def main() -> int:
    """Make the packages that are asked for, and print their paths."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--version", default=project["version"], help="the package's version")
    parser.add_argument("--arch", choices=ARCHITECTURES, action="append", help="default: all")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="wheels from here, no internet")
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR")
    options = parser.parse_args()
    if not shutil.which("dpkg-deb"):
        print("dpkg-deb is missing: sudo apt install dpkg", file=sys.stderr)
        return 1
    os.umask(0o022)
    try:
        for arch in options.arch or ARCHITECTURES:
            print(build(options.out, options.version, arch, options.wheels))
    except subprocess.CalledProcessError as error:
        print(f"not made: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
