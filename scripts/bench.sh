#!/usr/bin/env bash
# bench.sh [GROUP…]: the benchmarks, each figure beside the limit that was measured in the same run. The groups are those
# of benches/bench, and go: a call from that language over the same call from C.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc
groups=() languages=()
for group in "$@"; do
    case $group in
    go) languages+=("$group") ;;
    *) groups+=("$group") ;;
    esac
done
[ $# -gt 0 ] || languages=(go)
if [ $# -eq 0 ] || [ ${#groups[@]} -gt 0 ]; then
    say "Building with optimisation (some minutes the first time)"
    cargo bench --locked --bench bench -- "${groups[@]}"
fi

# What a call of each language costs over C's, of the library as it is installed.
if [ ${#languages[@]} -gt 0 ]; then
    need_commands cmake pkg-config "${languages[@]}"
    tests/steps/install.sh >"$BUILD/logs/install.log" 2>&1 || die "the library could not be installed: $BUILD/logs/install.log"
    export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig LD_LIBRARY_PATH=$PREFIX/lib
fi
for language in "${languages[@]}"; do
    case $language in
    go) go run -C benches/go . ;;
    esac
done
say "Benchmarks done; docs/benchmarks.md explains the columns."
