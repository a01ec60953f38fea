#!/usr/bin/env bash
# Each fuzz target for FUZZ_SECONDS (15), from the committed corpus; through the C API, with ASan. What libFuzzer finds
# new goes to build/fuzz; an input that breaks something is named in the log: keep it in fuzz/corpus.
. "$(dirname "$0")/../../scripts/common.sh"

# Coverage and sanitizer are unstable switches, which a stable compiler takes with RUSTC_BOOTSTRAP.
export RUSTC_BOOTSTRAP=1
export PATH=$BUILD/tools/bin:$PATH CARGO_TARGET_DIR=$CARGO_TARGET_DIR/fuzz
seconds=${FUZZ_SECONDS:-15} runs=0
targets=(record page config wrapped provider audit)
cargo fuzz build --dev
for target in "${targets[@]}"; do
    say "--- $target"
    found=$BUILD/fuzz/$target
    mkdir -p "$found"
    log=$BUILD/logs/fuzz_$target.out
    cargo fuzz run --dev "$target" "$found" "$ROOT/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 -verbosity=1 2>&1 | tee "$log"
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    # Without coverage feedback a fuzzer only guesses: it must see the library's code, and sanitized.
    grep -Eq 'INFO: Loaded .* inline 8-bit counters' "$log" || die "$target runs without coverage"
    [ "${count:-0}" -gt 20 ] || die "$target ran ${count:-0} inputs only"
    runs=$((runs + count))
done
nm "$CARGO_TARGET_DIR"/*/debug/page >"$BUILD/logs/nm.out"
grep -q __asan_init "$BUILD/logs/nm.out" || die "the targets are not sanitized"
say "${#targets[@]} targets, $runs inputs, nothing found"
