#!/usr/bin/env bash
# header.sh OUT: makes the header of src/ffi/ by the pinned cbindgen.
. "$(dirname "$0")/common.sh"

out=${1:?usage: header.sh OUT}
[ -x "$BUILD/tools/bin/cbindgen" ] || scripts/setup.sh
IFS=. read -r major minor patch < <(version)
sed -e "s/@MAJOR@/$major/g; s/@MINOR@/$minor/g; s/@PATCH@/${patch%%-*}/g" cbindgen.toml >"$BUILD/cbindgen.toml"
"$BUILD/tools/bin/cbindgen" --quiet --config "$BUILD/cbindgen.toml" --output "$out" src/ffi/mod.rs
# rustdoc's heading for what a caller must see to has another name where there is nothing else than pointers.
sed -i -e 's|^// # Safety$|// Pointers:|' -e '/^\/\/ Pointers:$/{n;s|^//$||;/^$/d}' "$out"
