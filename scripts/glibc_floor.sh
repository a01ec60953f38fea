#!/usr/bin/env bash
# glibc_floor.sh LIBRARY…: the oldest glibc that has all that they need.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: glibc_floor.sh LIBRARY..." >&2; exit 2; }
objdump -T "$@" | grep -oE 'GLIBC_[0-9]+(\.[0-9]+)+' | sed 's/GLIBC_//' | sort -uV | tail -n 1
