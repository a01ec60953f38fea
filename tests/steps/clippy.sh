#!/usr/bin/env bash
# No warning of clippy, with the default features and with none.
. "$(dirname "$0")/../../scripts/common.sh"

cargo clippy --locked --workspace --all-targets -- -D warnings
cargo clippy --locked --workspace --no-default-features --lib --bins -- -D warnings
say "no warnings"
