"""``python -m controller`` is the command ``backdoor``."""

from controller.cli import main

main(prog_name="backdoor")
