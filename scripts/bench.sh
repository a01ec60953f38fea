#!/usr/bin/env bash
# bench.sh [GROUP…]: the benchmarks, each figure beside the limit that was measured in the same run. The groups are those
# of benches/bench, and cpp, go and node: a call from that language over the same call from C.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc
groups=() languages=()
for group in "$@"; do
    case $group in
    cpp | go | node) languages+=("$group") ;;
    *) groups+=("$group") ;;
    esac
done
[ $# -gt 0 ] || languages=(cpp go node)
if [ $# -eq 0 ] || [ ${#groups[@]} -gt 0 ]; then
    say "Building with optimisation (some minutes the first time)"
    # Of the canned servers of the group cloud.
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true
    cargo bench --locked --bench bench -- "${groups[@]}"
fi

# cpp: the headers over the installed library.
bench_cpp() {
    local work=$BUILD/bench_cpp
    rm -rf "$work"
    mkdir -p "$work"
    gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -I"$PREFIX/include" -c -o "$work/c_api.o" benches/cpp/c_api.c
    g++ -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror -I"$PREFIX/include" -o "$work/bench" benches/cpp/main.cpp \
        "$work/c_api.o" -L"$PREFIX/lib" -lcyborg_kms -Wl,-rpath,"$PREFIX/lib"
    "$work/bench"
}

# go: cgo against the installed library.
bench_go() {
    PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig LD_LIBRARY_PATH=$PREFIX/lib go run -C benches/go .
}

# node: the package over the installed library, beside a library of C calls in the same process.
bench_node() {
    local work=$BUILD/bench_node
    need_commands npm
    [ -d "$BUILD/node/node_modules/koffi" ] || scripts/setup.sh
    rm -rf "$work"
    mkdir -p "$work"
    cp -R bindings/node/package.json bindings/node/lib "$work"
    ln -s "$BUILD/node/node_modules" "$work/node_modules"
    gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -I"$PREFIX/include" -o "$work/calls.so" \
        benches/node/calls.c -L"$PREFIX/lib" -lcyborg_kms -Wl,-rpath,"$PREFIX/lib"
    CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so node benches/node/bench.mjs "$work" "$work/calls.so" "$work"
}

# What a call of each language costs over C's, of the library as it is installed.
if [ ${#languages[@]} -gt 0 ]; then
    need_commands cmake pkg-config g++ "${languages[@]/#cpp/g++}"
    tests/steps/install.sh >"$BUILD/logs/install.log" 2>&1 || die "the library could not be installed: $BUILD/logs/install.log"
fi
for language in "${languages[@]}"; do "bench_$language"; done
say "Benchmarks done; docs/benchmarks.md explains the columns."
