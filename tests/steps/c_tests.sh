#!/usr/bin/env bash
# The C tests against the installed library.
. "$(dirname "$0")/../../scripts/common.sh"

cmake -S tests/c -B "$BUILD/c_tests" -DCMAKE_PREFIX_PATH="$PREFIX"
cmake --build "$BUILD/c_tests" --parallel 2
ctest --test-dir "$BUILD/c_tests" --output-on-failure --output-log "$BUILD/logs/ctest.out"
sed -n 's/^100% tests passed, 0 tests failed out of \(.*\)$/\1 programs passed/p' "$BUILD/logs/ctest.out" | grep .
