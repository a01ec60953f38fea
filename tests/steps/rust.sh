#!/usr/bin/env bash
# The Rust tests: all of them without the clouds, then the library's own and the command's with the default features.
. "$(dirname "$0")/../../scripts/common.sh"

cargo test --locked "${LOCAL_FEATURES[@]}" 2>&1 | tee "$BUILD/logs/cargo_test.out"
cargo test --locked --workspace --lib --bins 2>&1 | tee -a "$BUILD/logs/cargo_test.out"
awk '/^test result:/ { passed += $4; failed += $6 } END { print passed " tests passed, " failed " failed"; exit passed == 0 || failed > 0 }' \
    "$BUILD/logs/cargo_test.out"
