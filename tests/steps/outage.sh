#!/usr/bin/env bash
# A KMS that is away, callers who wait for it, several KMSes for one key, sync; processes that race for the same indexes
# or are killed at it: on disk, in SQLite, on S3, by real servers behind proxies, with the installed library.
. "$(dirname "$0")/../../scripts/common.sh"

export CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so
"$BUILD/venv/bin/python" -m tests.cloud.run outage waits recipients sync races kills | tee "$BUILD/logs/outage.out"
tail -n 1 "$BUILD/logs/outage.out" | grep ' 0 failed'
