#!/usr/bin/env bash
# No key in a core dump, and none in memory once it was evicted or freed.
. "$(dirname "$0")/../../scripts/common.sh"

export CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so
"$BUILD/venv/bin/python" -m tests.memory "$BUILD/c_tests/memory"
