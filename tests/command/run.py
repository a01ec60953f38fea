"""Runs the tests of the command: python3 -m tests.command.run. CYBORG_KMS_COMMAND is the binary, else the debug build's."""

import importlib
import signal
import sys

from tests.python.runner import run

from .place import COMMAND, Place

MODULES = ("subcommands", "own_keys", "refusals", "processes", "sync", "pages")


def main():
    # What a shell runs in the background ignores it, and its children would.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not COMMAND.exists():
        print(f"FAILED  there is no {COMMAND}: cargo build -p cyborg-kms-cli, or set CYBORG_KMS_COMMAND")
        return 1
    loaded = {name: importlib.import_module(f"tests.command.{name}") for name in MODULES}
    tests = {f"{name}.{test}": value for name, module in loaded.items() for test, value in vars(module).items()}
    return run(tests, Place)


if __name__ == "__main__":
    sys.exit(main())
