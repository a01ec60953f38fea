#!/usr/bin/env bash
# What the tests and the checks of the source need: Debian packages, a Python environment in build/venv, cbindgen and
# cargo-fuzz in build/tools. Looks first, installs only what is missing; nothing outside build/ but the packages.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc g++ cmake python3
need_packages faketime gdb libsqlite3-dev pkg-config strace valgrind python3-venv binutils

VENV=$BUILD/venv
# The mark is a copy of the requirements, so that another version is noticed.
wanted=$(cat tests/requirements.txt tests/interop/requirements.txt | grep -vE '^(#|-r|$)')
if [ "$wanted" != "$(cat "$VENV/installed.txt" 2>/dev/null)" ]; then
    say "Installing from PyPI into build/venv: ${wanted//$'\n'/ }"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
    printf '%s\n' "$wanted" >"$VENV/installed.txt"
fi

if [ "$("$BUILD/tools/bin/cbindgen" --version 2>/dev/null)" != "cbindgen $CBINDGEN_VERSION" ]; then
    say "Installing from crates.io into build/tools: cbindgen $CBINDGEN_VERSION (about a minute)"
    cargo install --quiet --locked --root "$BUILD/tools" --target-dir "$CARGO_TARGET_DIR/tools" "cbindgen@$CBINDGEN_VERSION"
fi
if [ "$("$BUILD/tools/bin/cargo-fuzz" --version 2>/dev/null)" != "cargo-fuzz $CARGO_FUZZ_VERSION" ]; then
    say "Installing from crates.io into build/tools: cargo-fuzz $CARGO_FUZZ_VERSION (about a minute)"
    cargo install --quiet --locked --root "$BUILD/tools" --target-dir "$CARGO_TARGET_DIR/tools" "cargo-fuzz@$CARGO_FUZZ_VERSION"
fi
say "Set-up: everything that the tests need is there."
