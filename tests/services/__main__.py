"""Starts servers for a human, until Ctrl-C: build/venv/bin/python -m tests.services NAME…

Prints the environment and the lines of a configuration to paste; what they name exists on the servers.
"""

import signal
import sys

from . import SERVERS, ServiceError, started


def tell(server):
    """Where it is, and what to paste."""
    print(f"\n# {server.name}: {server.url}")
    for name, value in server.variables().items():
        print(f"export {name}={value}")
    print("\n".join(server.sample()), flush=True)


def main(names):
    unknown = [name for name in names if name not in SERVERS]
    if unknown or not names:
        what = f"there is no server {', '.join(unknown)}" if unknown else "say which servers"
        print(f"{what}; there are: {', '.join(SERVERS)}", file=sys.stderr)
        return 2
    # A shell's `&` leaves SIGINT ignored: take both, so that the servers end with this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with started(*(SERVERS[name]() for name in names)) as servers:
            for server in servers:
                tell(server)
            print("\n# Running until Ctrl-C.", flush=True)
            signal.pause()
    except ServiceError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
