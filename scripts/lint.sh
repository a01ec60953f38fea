#!/usr/bin/env bash
# lint.sh check|fix: the format of the C and C++ code, and with fix of the Rust and Go code too.
. "$(dirname "$0")/common.sh"

[ -x "$BUILD/venv/bin/clang-format" ] || scripts/setup.sh
mapfile -t files < <(git ls-files --cached --others --exclude-standard 'examples/*.[ch]' 'tests/*.[ch]' 'benches/*.[ch]' 'bindings/*.[ch]' '*.hpp' '*.cpp')
case ${1:-} in
check) "$BUILD/venv/bin/clang-format" --dry-run --Werror "${files[@]}" ;;
fix)
    cargo fmt --all
    "$BUILD/venv/bin/clang-format" -i "${files[@]}"
    gofmt -w bindings/go examples/tenants benches/go
    say "Formatted the Rust code, the Go code and ${#files[@]} C and C++ files."
    ;;
*) die "usage: lint.sh check|fix" ;;
esac
