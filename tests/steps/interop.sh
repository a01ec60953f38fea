#!/usr/bin/env bash
# The real cyborgdb-core, a reader made from docs/format.md alone and Prometheus' own parser of metrics, against the
# installed library.
. "$(dirname "$0")/../../scripts/common.sh"

export CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so
"$BUILD/venv/bin/python" -m tests.interop.cyborgdb | tee "$BUILD/logs/interop.out"
"$BUILD/venv/bin/python" -m tests.interop.format | tee -a "$BUILD/logs/interop.out"
"$BUILD/venv/bin/python" -m tests.interop.metrics | tee -a "$BUILD/logs/interop.out"
awk '/passed,/ { passed += $1 } END { print passed " tests passed"; exit passed == 0 }' "$BUILD/logs/interop.out"
