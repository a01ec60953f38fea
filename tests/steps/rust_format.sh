#!/usr/bin/env bash
# The Rust code is formatted.
. "$(dirname "$0")/../../scripts/common.sh"

cargo fmt --all --check
say "as rustfmt has it"
