#!/usr/bin/env bash
# bench.sh [GROUP…]: the benchmarks, each figure beside the limit that was measured in the same run.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc
say "Building with optimisation (some minutes the first time)"
cargo bench --locked --bench bench -- "$@"
say "Benchmarks done; docs/benchmarks.md explains the columns."
