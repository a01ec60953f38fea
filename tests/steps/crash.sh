#!/usr/bin/env bash
# Creating an index, killed at each system call that changes something: the index is there and works, or it is not there.
. "$(dirname "$0")/../../scripts/common.sh"

python3 tests/crash.py "$BUILD/c_tests/crash"
