#!/usr/bin/env bash
# No warning of clippy, with the default features and with none.
. "$(dirname "$0")/../../scripts/common.sh"

cargo clippy --locked --all-targets -- -D warnings
cargo clippy --locked --no-default-features --lib -- -D warnings
say "no warnings"
