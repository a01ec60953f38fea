#!/usr/bin/env bash
# The command cyborg-kms, as built: each subcommand, docs/command.md, signals and terminals; with a KMS of moto's, too.
. "$(dirname "$0")/../../scripts/common.sh"

# With a test, and of all packages: so cargo takes the features of `cargo test --workspace`, and compiles nothing twice.
cargo build --locked --workspace --bins --test registry
"$BUILD/venv/bin/python" -m tests.command.run | tee "$BUILD/logs/command.out"
"$BUILD/venv/bin/python" -m tests.cloud.run command | tee -a "$BUILD/logs/command.out"
awk '/ passed, / { passed += $1; failed += $3 } END { print passed " tests passed, " failed " failed"; exit passed == 0 || failed > 0 }' \
    "$BUILD/logs/command.out"
