#!/usr/bin/env bash
# The Rust tests, the command's too, with the default features.
. "$(dirname "$0")/../../scripts/common.sh"

cargo test --locked --workspace 2>&1 | tee "$BUILD/logs/cargo_test.out"
awk '/^test result:/ { passed += $4; failed += $6 } END { print passed " tests passed, " failed " failed"; exit passed == 0 || failed > 0 }' \
    "$BUILD/logs/cargo_test.out"
