#!/usr/bin/env bash
# Every C example in the documentation and the header compiles.
. "$(dirname "$0")/../../scripts/common.sh"

python3 tests/steps/snippets.py "$BUILD/snippets" README.md docs/*.md docs/*/*.md include/cyborg_kms.h
for file in "$BUILD"/snippets/*.c; do
    gcc -std=c11 -Wall -Wextra -Wno-unused-variable -Werror -fsyntax-only -I"$PREFIX/include" "$file"
done
say "$(ls "$BUILD"/snippets/*.c | wc -l) examples compile"
