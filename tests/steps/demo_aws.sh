#!/usr/bin/env bash
# make demo-aws, with the installed library: what it says is so, and no page or key is in what it stored.
. "$(dirname "$0")/../../scripts/common.sh"

CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so scripts/demo_aws.sh | tee "$BUILD/logs/demo_aws.out"
tail -n 1 "$BUILD/logs/demo_aws.out" | grep '^DEMO PASSED'
[ "$(grep -c 'KEY_DISABLED' "$BUILD/logs/demo_aws.out")" -eq 2 ] || die "the disabled key was not told twice"
[ "$(grep -c 'Opened the store.*all 1000 pages decrypt' "$BUILD/logs/demo_aws.out")" -eq 2 ] || die "the pages were not read twice"
! grep -r 'Balance of account' "$BUILD/demo_aws" --include=accounts.pages || die "a page is readable"
say "the demo runs, and the index stops with its key"
