#!/usr/bin/env bash
# run.sh [STEP…]: all steps, or those named. One line each, its output in build/logs/STEP.log, the end of that when it
# fails. A failed step does not stop the others.
. "$(dirname "$0")/../scripts/common.sh"

ALL=(rust_format c_format header schema clippy rust rust_core command install symbols version c_tests sanitizers
    valgrind packages go node cpp interop memory crash storage services stores aws outage fuzz snippets sqlite_store rocksdb reencrypt
    demo demo_aws dist)
[ $# -gt 0 ] || set -- "${ALL[@]}"

scripts/setup.sh || die "the set-up did not work, so nothing was tested"
begin() { bash "tests/steps/$1.sh" >"$BUILD/logs/$1.log" 2>&1 </dev/null; }
# The library's link-time optimisation keeps one core busy for minutes: the steps that stand before it run beside it.
ahead=
[[ " $* " != *" install "* ]] || { begin install & ahead=$!; }
trap '[ -z "$ahead" ] || kill "$ahead" 2>/dev/null || true' EXIT
finish() { if [ "$1" = install ]; then wait "$ahead"; else begin "$1"; fi; }
passed=0 failed=()
for step in "$@"; do
    [ -f "tests/steps/$step.sh" ] || die "there is no step $step; there are: ${ALL[*]}"
    printf '[%2d/%d] %-14s ' $((passed + ${#failed[@]} + 1)) $# "$step"
    start=$SECONDS log=$BUILD/logs/$step.log
    if finish "$step"; then
        passed=$((passed + 1))
        printf 'ok      %4d s  %s\n' $((SECONDS - start)) "$(tail -n 1 "$log")"
    else
        failed+=("$step")
        printf 'FAILED  %4d s  the end of %s:\n' $((SECONDS - start)) "$log"
        tail -n 40 "$log" | sed 's/^/      | /'
    fi
done
say "$passed passed, ${#failed[@]} failed${failed[*]:+: ${failed[*]}}"
[ ${#failed[@]} -eq 0 ]
