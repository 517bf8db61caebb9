"""``python -m controller`` is the command ``backdoor``."""

from controller.cli.main import main

main(prog_name="backdoor")
