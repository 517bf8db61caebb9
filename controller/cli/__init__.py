"""The command `backdoor`: `main` has the commands, `demo` and `selftest` two longer ones.

Only this room imports `web`.
"""
