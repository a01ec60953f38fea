#!/usr/bin/env bash
# Creating an index, rotating its keys, disabling it, killed at each system call that changes something, and KILLS (50)
# times at some moment: the index is there and every page reads, or it was not there yet.
. "$(dirname "$0")/../../scripts/common.sh"

python3 tests/crash.py "$BUILD/c_tests/crash"
