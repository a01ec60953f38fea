#!/usr/bin/env bash
# The tests whose luck changes from run to run, for MINUTES: threads, forks, races between processes, random inputs, fuzzing.
. "$(dirname "$0")/common.sh"

minutes=${MINUTES:-60}
end=$((SECONDS + minutes * 60))
rounds=0
tests/run.sh install c_tests
while [ $SECONDS -lt $end ]; do
    rounds=$((rounds + 1))
    say "Round $rounds, $(((end - SECONDS) / 60)) minutes left"
    PROPTEST_CASES=20000 cargo test --locked --quiet "${LOCAL_FEATURES[@]}"
    FUZZ_SECONDS=120 bash tests/steps/fuzz.sh
    KILLS=1000 bash tests/steps/crash.sh
    ctest --test-dir "$BUILD/c_tests" --output-on-failure --repeat until-fail:10 --tests-regex 'processes|provider|store'
done
say "SOAK PASSED: $rounds rounds in $minutes minutes without a failure."
