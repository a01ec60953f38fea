#!/usr/bin/env bash
# The servers of the tests and the proxy before them do what the tests of the clouds rely on. Needs no library.
. "$(dirname "$0")/../../scripts/common.sh"

"$BUILD/venv/bin/python" -m tests.cloud.run services proxy processes | tee "$BUILD/logs/services.out"
tail -n 1 "$BUILD/logs/services.out" | grep ' 0 failed'
