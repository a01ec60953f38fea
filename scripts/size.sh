#!/usr/bin/env bash
# The size of the shared library without symbols, what each feature adds to it, and how long a fresh process takes to
# load it. One after the other in one folder, so that a feature compiles only what the ones before it did not.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc strip
SIZE=$BUILD/size
mkdir -p "$SIZE"
gcc -O2 -Wall -Wextra -Werror -o "$SIZE/load_time" benches/load_time.c -ldl

# build NAME FEATURES: as `make demo` and CMake build it, then a copy without symbols.
build() {
    say "Building $1"
    cargo rustc --release --lib --crate-type cdylib --locked --no-default-features --features "wipe-freed$2" \
        --target-dir "$CARGO_TARGET_DIR/core"
    strip --strip-all -o "$SIZE/$1.so" "$CARGO_TARGET_DIR/core/release/libcyborg_kms.so"
}

# load_time LIBRARY: the median of 101 fresh processes, in microseconds.
load_time() {
    for _ in $(seq 101); do "$SIZE/load_time" "$1"; done | sort -n | sed -n 51p
}

# row NAME WHAT MOST BEFORE: the table's line of a library; MOST is how many kB it may have, "-" for no limit.
row() {
    local library=$SIZE/$1.so bytes load verdict=""
    bytes=$(stat -c %s "$library") load=$(load_time "$library")
    [ "$3" = - ] || verdict=$(verdict $((bytes / 1000)) "$3")
    say "| $2 | $((bytes / 1000)) kB | $(((bytes - $4) / 1000)) kB | $3 | $verdict | $load us | $(verdict "$load" 1000) |"
}

verdict() { if [ "$1" -le "$2" ]; then echo met; else echo "NOT MET"; fi; }

# Each has all that stands before it; the last is the default build.
read -ra DEFAULT <<<"$(sed -n 's/^default = \[\(.*\)\]$/\1/p' Cargo.toml | tr -d '",')"
FEATURES=(core "${DEFAULT[@]}")
last=${DEFAULT[-1]}
features=""
for name in "${FEATURES[@]}"; do
    [ "$name" = core ] || features+=",$name"
    build "$name" "$features"
done

say "
| with | size, stripped | more than before | kB asked, at most | | dlopen in a fresh process | asked: <= 1000 us |
| --- | ---: | ---: | ---: | --- | ---: | --- |"
before=0
for name in "${FEATURES[@]}"; do
    case $name in
        core) row core "core (no default features)" 1000 $before ;;
        "$last") row "$last" "$last: everything, the default" 9000 $before ;;
        *) row "$name" "$name" - $before ;;
    esac
    before=$(stat -c %s "$SIZE/$name.so")
done
