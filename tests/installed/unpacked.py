"""Make the release of the unpacked package, as its postinst does, and print where it is.

Run by the Python of the system it is for; its one argument is the package's folder ``systemd``.
"""

import sys

sys.path.insert(0, sys.argv[1])

from installer.executor import Executor
from installer.release import NOTIFY, SOURCE, build

sys.stdout.write(f"{build(Executor(False), str(SOURCE / 'wheels'), {NOTIFY})}\n")
