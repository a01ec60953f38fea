#!/usr/bin/env bash
# The C code is formatted.
. "$(dirname "$0")/../../scripts/common.sh"

scripts/lint.sh check
say "as clang-format has it"
