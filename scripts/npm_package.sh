#!/usr/bin/env bash
# npm_package.sh LIBRARY FOLDER [NOTICE…]: packs bindings/node with the library inside, and with further files, into FOLDER.
. "$(dirname "$0")/common.sh"

[ $# -ge 2 ] || die "usage: npm_package.sh LIBRARY FOLDER [NOTICE...]"
library=$1 folder=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/native"
cp -R bindings/node/lib bindings/node/package.json bindings/node/README.md LICENSE "$@" "$work"
cp -L "$library" "$work/native/libcyborg_kms.so.0"
cd "$work"
# The library inside is of one kind of machine only, which npm then looks at.
case $(uname -m) in
x86_64) cpu=x64 ;;
aarch64) cpu=arm64 ;;
*) die "Node has no name for $(uname -m)" ;;
esac
npm pkg set "cpu[0]=$cpu" 'libc[0]=glibc'
npm pack --silent --pack-destination "$folder"
