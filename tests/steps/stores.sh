#!/usr/bin/env bash
# Records on object stores: S3, Google Cloud Storage, Azure Blob Storage on their emulators, with the faults of the way
# there, many processes, and the real cyborgdb-core, against the installed library.
. "$(dirname "$0")/../../scripts/common.sh"

export CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so
"$BUILD/venv/bin/python" -m tests.cloud.run stores store_faults store_refusals store_processes store_cyborgdb |
    tee "$BUILD/logs/stores.out"
tail -n 1 "$BUILD/logs/stores.out" | grep ' 0 failed'
