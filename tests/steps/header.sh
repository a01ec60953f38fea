#!/usr/bin/env bash
# The committed header is what the source makes, and tests/c/exports.txt is what it declares. Nothing in it but ours.
. "$(dirname "$0")/../../scripts/common.sh"

scripts/header.sh "$BUILD/cyborg_kms.h"
diff -u include/cyborg_kms.h "$BUILD/cyborg_kms.h" || die "include/cyborg_kms.h is not what src/ffi makes: run make header"
diff -u tests/c/exports.txt <(scripts/exports.sh include/cyborg_kms.h) || die "tests/c/exports.txt is old: run make header"
foreign=$(grep -E '^#define ' include/cyborg_kms.h | grep -v '^#define CYBORG_KMS_' || true)
[ -z "$foreign" ] || die "the header defines foreign names: $foreign"
say "the header is up to date, $(wc -l <tests/c/exports.txt) functions"
