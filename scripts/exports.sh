#!/usr/bin/env bash
# exports.sh HEADER: the functions that a header declares, one a line.
set -euo pipefail
grep -vE '^ *(//|\*|/\*)' "${1:?usage: exports.sh HEADER}" | grep -oE '\bcyborg_kms_[a-z0-9_]+ *\(' | tr -d ' (' | LC_ALL=C sort -u
