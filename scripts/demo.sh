#!/usr/bin/env bash
# The demo: a page store in C keeps its pages encrypted. No network service, no account, no cloud crates.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc
DEMO=$BUILD/demo
# A target directory of its own: the core and the full library bear the same file name.
CORE=$CARGO_TARGET_DIR/core

say "1. Building the library's core, in pure Rust (about a minute the first time)"
cargo rustc --release --lib --crate-type cdylib --no-default-features --features wipe-freed --locked --target-dir "$CORE"
rm -rf "$DEMO"
mkdir -p "$DEMO"
cp "$CORE/release/libcyborg_kms.so" "$DEMO/libcyborg_kms.so.0"

say "2. Compiling examples/pagestore against include/cyborg_kms.h"
gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -Iinclude -o "$DEMO/pagestore" examples/pagestore/*.c \
    "$DEMO/libcyborg_kms.so.0" -Wl,-rpath,'$ORIGIN'

cat >"$DEMO/db.yaml" <<YAML
storage: {url: "$DEMO/keys"}
kms:
  registry:
    prod: {provider: local, key_id: "$DEMO/prod.key", create: true}
YAML
say "3. The configuration, $DEMO/db.yaml:"
sed 's/^/     /' "$DEMO/db.yaml"

say "4. The first process"
"$DEMO/pagestore" write "$DEMO/db.yaml" "$DEMO/accounts.pages"
say "5. The second process: verifies each page, then attacks the file"
"$DEMO/pagestore" verify "$DEMO/db.yaml" "$DEMO/accounts.pages" "$DEMO/prod.key"

say "6. What is on disk"
(cd "$DEMO" && find accounts.pages prod.key keys -type f ! -name 'lock-*' -printf '     %8s bytes, mode %m  %p\n')
say "DEMO PASSED: 1,000 pages written encrypted, read back in another process, and every attack refused."
