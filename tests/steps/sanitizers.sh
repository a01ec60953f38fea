#!/usr/bin/env bash
# The C tests once more, built with ASan and UBSan; leaks count, too.
. "$(dirname "$0")/../../scripts/common.sh"

cmake -S tests/c -B "$BUILD/c_tests_sanitized" -DCMAKE_PREFIX_PATH="$PREFIX" -DSANITIZE=ON
cmake --build "$BUILD/c_tests_sanitized" --parallel 2
nm -D "$BUILD/c_tests_sanitized/pages" | grep -q __asan_init || die "the sanitizer is not on"
nm -D "$BUILD/c_tests_sanitized/pages" | grep -q __ubsan || die "the undefined-behaviour sanitizer is not on"
ASAN_OPTIONS=detect_leaks=1 ctest --test-dir "$BUILD/c_tests_sanitized" --output-on-failure --output-log "$BUILD/logs/ctest_sanitized.out"
sed -n 's/^100% tests passed, 0 tests failed out of \(.*\)$/\1 programs passed/p' "$BUILD/logs/ctest_sanitized.out" | grep .
