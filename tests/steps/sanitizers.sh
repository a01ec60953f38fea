#!/usr/bin/env bash
# The C tests once more, with ASan and UBSan in the tests and ASan in the Rust library; leaks count, too.
. "$(dirname "$0")/../../scripts/common.sh"

TARGET=x86_64-unknown-linux-gnu
[ "$(uname -m)" = x86_64 ] || TARGET=$(rustc -vV | sed -n 's/^host: //p')

# The installed tree with another library in it. rustc puts no sanitizer runtime into a library: the test programs
# bring gcc's, whose interface (version 8) is LLVM's.
# The sanitizer's switch is an unstable one, which a stable compiler takes with RUSTC_BOOTSTRAP.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes" \
    cargo build --lib --locked "${LOCAL_FEATURES[@]}" --target "$TARGET" --target-dir "$CARGO_TARGET_DIR/sanitized"
sanitized=$BUILD/prefix_sanitized
rm -rf "$sanitized"
cp -a "$PREFIX" "$sanitized"
library=$sanitized/lib/libcyborg_kms.so.$(version)
cp "$CARGO_TARGET_DIR/sanitized/$TARGET/debug/libcyborg_kms.so" "$library"

cmake -S tests/c -B "$BUILD/c_tests_sanitized" -DCMAKE_PREFIX_PATH="$sanitized" -DSANITIZE=ON
cmake --build "$BUILD/c_tests_sanitized" --parallel 2
# Not by `nm | grep -q`: with pipefail, nm dies of SIGPIPE where grep finds it early.
has() { nm -D "$1" >"$BUILD/logs/nm.out" && grep -q "$2" "$BUILD/logs/nm.out" || die "$1 has no $2: the sanitizer is not on"; }
has "$library" __asan_init
has "$BUILD/c_tests_sanitized/pages" __asan_init
has "$BUILD/c_tests_sanitized/pages" __ubsan
ldd "$BUILD/c_tests_sanitized/pages" | grep "$sanitized/lib" >/dev/null || die "the tests do not use the sanitized library"

ASAN_OPTIONS=detect_leaks=1 ctest --test-dir "$BUILD/c_tests_sanitized" --output-on-failure --output-log "$BUILD/logs/ctest_sanitized.out"
sed -n 's/^100% tests passed, 0 tests failed out of \(.*\)$/\1 programs passed, library and tests sanitized/p' "$BUILD/logs/ctest_sanitized.out" | grep .
