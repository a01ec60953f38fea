#!/usr/bin/env bash
# Engines on a disk that is full, read-only or gone: file systems of its own, in a mount namespace.
. "$(dirname "$0")/../../scripts/common.sh"

export CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(--map-root-user)
unshare --mount "${as_root[@]}" "$BUILD/venv/bin/python" -m tests.storage | tee "$BUILD/logs/storage.out"
tail -n 1 "$BUILD/logs/storage.out" | grep -q ' 0 failed'
