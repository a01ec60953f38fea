#!/usr/bin/env bash
# The library's own tests without any feature: the core in pure Rust.
. "$(dirname "$0")/../../scripts/common.sh"

cargo test --locked --no-default-features --lib 2>&1 | tee "$BUILD/logs/cargo_test_core.out"
awk '/^test result:/ { passed += $4; failed += $6 } END { print passed " tests passed, " failed " failed"; exit passed == 0 || failed > 0 }' \
    "$BUILD/logs/cargo_test_core.out"
