#!/usr/bin/env bash
# The demo of AWS: records in S3, the key in KMS, both by LocalStack on this machine. No account, nothing leaves it.
# CYBORG_KMS_LIBRARY: a library that is there already; without it one is built.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc python3
DEMO=$BUILD/demo_aws
if [ ! -x "$BUILD/venv/bin/python" ] || [ ! -x "$BUILD/services/localstack/bin/python" ]; then
    say "0. Installing what it runs on into build/ (some minutes, once)"
    scripts/setup.sh
fi

say "1. The library, with AWS KMS and S3"
library=${CYBORG_KMS_LIBRARY:-}
if [ -z "$library" ]; then
    say "     Building it (about five minutes the first time: the AWS SDK is compiled too)"
    cargo rustc --release --features wipe-freed --lib --crate-type cdylib,staticlib --locked
    library=$CARGO_TARGET_DIR/release/libcyborg_kms.so
fi
rm -rf "$DEMO"
mkdir -p "$DEMO"
cp -L "$library" "$DEMO/libcyborg_kms.so.0"

say "2. Compiling examples/pagestore against include/cyborg_kms.h"
gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -Iinclude -o "$DEMO/pagestore" examples/pagestore/*.c \
    "$DEMO/libcyborg_kms.so.0" -Wl,-rpath,'$ORIGIN'

"$BUILD/venv/bin/python" -m examples.aws.demo "$DEMO/pagestore" "$DEMO"
