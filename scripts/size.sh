#!/usr/bin/env bash
# The size of the shared library without symbols, and how long a fresh process takes to load it: core and default build.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc strip
SIZE=$BUILD/size
mkdir -p "$SIZE"
gcc -O2 -Wall -Wextra -Werror -o "$SIZE/load_time" benches/load_time.c -ldl

# build NAME TARGET-DIR CARGO-ARGUMENT…: as `make demo` and CMake build it, then a copy without symbols.
build() {
    local name=$1 target=$2
    shift 2
    say "Building $name"
    cargo build --release --lib --locked --features wipe-freed --target-dir "$target" "$@"
    strip --strip-all -o "$SIZE/$name.so" "$target/release/libcyborg_kms.so"
}

# load_time LIBRARY: the median of 101 fresh processes, in microseconds.
load_time() {
    for _ in $(seq 101); do "$SIZE/load_time" "$1"; done | sort -n | sed -n 51p
}

# row NAME WHAT BYTES: the table's lines of a library that may have so many bytes.
row() {
    local library=$SIZE/$1.so what=$2 most=$3 bytes load
    bytes=$(stat -c %s "$library") load=$(load_time "$library")
    say "| $what: size, stripped | $((bytes / 1000)) kB | <= $((most / 1000)) kB | $(verdict "$bytes" "$most") |"
    say "| $what: dlopen in a fresh process | $load us | <= 1000 us | $(verdict "$load" 1000) |"
}

verdict() { if [ "$1" -le "$2" ]; then echo met; else echo "NOT MET"; fi; }

build core "$CARGO_TARGET_DIR/core" --no-default-features
build default "$CARGO_TARGET_DIR"
say "
| library | reached | asked | |
| --- | ---: | ---: | --- |"
row core "core (no default features)" 1000000
row default "default (AWS-LC)" 9000000
