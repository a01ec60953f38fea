#!/usr/bin/env bash
# The shared library exports what the header declares and nothing else; its soname and flags are as promised.
. "$(dirname "$0")/../../scripts/common.sh"

library=$PREFIX/lib/libcyborg_kms.so
# A version script's node is an absolute symbol (A), not an export.
diff -u tests/c/exports.txt <(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort -u) ||
    die "the exports (right) are not those of tests/c/exports.txt (left)"
readelf -d "$library" | grep 'SONAME.*\[libcyborg_kms\.so\.0\]' >/dev/null || die "the soname is not libcyborg_kms.so.0"
readelf -d "$library" | grep 'FLAGS_1.*NODELETE' >/dev/null || die "the library is not linked with -z nodelete"
say "$(wc -l <tests/c/exports.txt) exports, soname and nodelete"
