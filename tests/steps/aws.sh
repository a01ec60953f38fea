#!/usr/bin/env bash
# AWS KMS, Secrets Manager, roles and credentials against moto, LocalStack and ministack, with the installed library.
. "$(dirname "$0")/../../scripts/common.sh"

export CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so
"$BUILD/venv/bin/python" -m tests.cloud.run aws_kms aws_states aws_secret aws_roles aws_credentials aws_errors \
    aws_hostile aws_processes aws_memory aws_docs | tee "$BUILD/logs/aws.out"
tail -n 1 "$BUILD/logs/aws.out" | grep ' 0 failed'
