#!/usr/bin/env bash
# cmake builds the library and installs it to build/prefix, which the steps behind this one use.
. "$(dirname "$0")/../../scripts/common.sh"

rm -rf "$PREFIX"
cmake -S . -B "$BUILD/cmake" -DCMAKE_INSTALL_LIBDIR=lib
cmake --build "$BUILD/cmake"
cmake --install "$BUILD/cmake" --prefix "$PREFIX"
lib=$PREFIX/lib v=$(version)
[ "$(readlink "$lib/libcyborg_kms.so")" = libcyborg_kms.so.0 ] || die "libcyborg_kms.so does not point to libcyborg_kms.so.0"
[ "$(readlink "$lib/libcyborg_kms.so.0")" = "libcyborg_kms.so.$v" ] || die "libcyborg_kms.so.0 does not point to libcyborg_kms.so.$v"
[ -f "$lib/libcyborg_kms.so.$v" ] && [ -f "$lib/libcyborg_kms.a" ] || die "a library is missing in $lib"
say "installed, the shared library has $(stat -c %s "$lib/libcyborg_kms.so.$v") bytes"
