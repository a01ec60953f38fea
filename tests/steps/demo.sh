#!/usr/bin/env bash
# make demo, twice: it can be run again.
. "$(dirname "$0")/../../scripts/common.sh"

scripts/demo.sh
scripts/demo.sh | tee "$BUILD/logs/demo.out"
tail -n 1 "$BUILD/logs/demo.out" | grep '^DEMO PASSED'
say "the demo runs, and runs again"
