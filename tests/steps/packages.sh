#!/usr/bin/env bash
# A user's project, outside the tree, against the installed library after it was moved: find_package and pkg-config,
# shared and static each.
. "$(dirname "$0")/../../scripts/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -a "$PREFIX" "$work/moved"
cp tests/packages/* "$work"
cd "$work"
! grep -rIl "$PREFIX" moved || die "these files name the place of installation, so the tree can't be moved"

static() { ! ldd "$1" | grep libcyborg_kms || die "$1 should not need the shared library"; }
shared() { ldd "$1" | grep "=> $work/moved/lib/libcyborg_kms.so.0 " || die "$1 does not use the moved library"; }

say "--- find_package"
cmake -S . -B build -DCMAKE_PREFIX_PATH="$work/moved"
cmake --build build
build/consumer_shared
build/consumer_static
shared build/consumer_shared
static build/consumer_static

say "--- pkg-config"
export PKG_CONFIG_PATH=$work/moved/lib/pkgconfig
# shellcheck disable=SC2046
gcc -o pc_shared consumer.c $(pkg-config --cflags --libs cyborg_kms) -Wl,-rpath,"$work/moved/lib"
# shellcheck disable=SC2046
gcc -o pc_static consumer.c $(pkg-config --cflags --libs --static cyborg_kms | sed 's/-lcyborg_kms/-l:libcyborg_kms.a/')
./pc_shared
./pc_static
shared pc_shared
static pc_static
say "find_package and pkg-config, shared and static, moved"
