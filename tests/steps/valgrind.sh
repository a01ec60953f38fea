#!/usr/bin/env bash
# The C tests under Valgrind: no error, nothing definitely lost.
. "$(dirname "$0")/../../scripts/common.sh"

programs=(lifecycle pages keys rotation states provider store processes old_caller misuse)
for program in "${programs[@]}"; do
    arguments=() leaks=full
    # What the parent's threads held is lost in a child that fork made, by nature; the sanitizer counts its leaks.
    [ "$program" != processes ] || leaks=no
    [ "$program" != misuse ] || arguments=(tests/c/exports.txt)
    say "--- $program"
    valgrind --quiet --error-exitcode=99 --trace-children=yes --leak-check=$leaks --show-leak-kinds=definite \
        --errors-for-leak-kinds=definite \
        "$BUILD/c_tests/$program" "${arguments[@]}" || die "$program under Valgrind"
done
say "${#programs[@]} programs without an error or a leak"
