#!/usr/bin/env bash
# licenses.sh: packaging/THIRD-PARTY-LICENSES.txt anew, the licenses of all that is linked into the library, with their
# texts. It is kept in the repository, since looking through all the sources takes minutes, and what it was made of is
# kept beside it: make dist refuses to ship one that is not of what is linked in.
# licenses.sh inputs: the hash of what it is made of.
. "$(dirname "$0")/common.sh"

# inputs: of the crates that are linked in, with their versions, and of what says how they are told.
inputs() {
    local target
    for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
        cargo tree --quiet --locked --edges normal,no-proc-macro --features wipe-freed --target "$target" --prefix none --format '{p}' |
            sed 's/ (.*//' | grep -v '^cyborg_kms ' | LC_ALL=C sort -u
    done | cat - packaging/about.toml packaging/licenses.hbs | sha256sum | cut -d ' ' -f 1
}

if [ "${1:-}" = inputs ]; then
    inputs
    exit
fi
need_commands cargo
install_tool cargo-about "$CARGO_ABOUT_VERSION" --no-default-features --features cli
cargo fetch --quiet --locked # also what other platforms link, since cargo-about looks at all
say "Looking through the sources of all that is linked in (two minutes)"
"$BUILD/tools/bin/cargo-about" about generate --locked --offline --fail --config packaging/about.toml --features wipe-freed \
    packaging/licenses.hbs --output-file packaging/THIRD-PARTY-LICENSES.txt
inputs >packaging/THIRD-PARTY-LICENSES.inputs
say "Made packaging/THIRD-PARTY-LICENSES.txt: look through what changed, and commit it."
