"""Runs a program's tests, each in a fresh place, and counts."""

import sys
import traceback


def run(names, place_of):
    """Every `test_…` among `names`, in order; gives the exit code. A name may have its module and a dot before it."""
    tests = [(name, test) for name, test in names.items() if name.rpartition(".")[2].startswith("test_")]
    failed = 0
    for name, test in tests:
        try:
            with place_of() as place:
                test(place)
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0
