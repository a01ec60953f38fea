#!/usr/bin/env bash
# One version everywhere: Cargo.toml, the header, the library, the CMake package, pkg-config, the soname.
. "$(dirname "$0")/../../scripts/common.sh"

v=$(version)
gcc -o "$BUILD/version" tests/c/version.c -I"$PREFIX/include" "$PREFIX/lib/libcyborg_kms.so" -Wl,-rpath,"$PREFIX/lib"
said=$("$BUILD/version")
check() { [ "$2" = "$3" ] || die "$1 says $2, not $3"; }
check "the header's CYBORG_KMS_VERSION" "$(awk '/^header/ { print $2 }' <<<"$said")" "$v"
check "the header's MAJOR, MINOR, PATCH" "$(awk '/^parts/ { print $2 }' <<<"$said")" "$v"
check "cyborg_kms.hpp's MAJOR, MINOR, PATCH" "$(sed -n 's/^#define CYBORG_KMS_HPP_VERSION_[A-Z]* //p' "$PREFIX/include/cyborg_kms/library.hpp" | paste -sd.)" "$v"
check "cyborg_kms_version()" "$(awk '/^library/ { print $2 }' <<<"$said")" "$v"
check "pkg-config" "$(PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig pkg-config --modversion cyborg_kms)" "$v"
check "the CMake package" "$(sed -n 's/^set(PACKAGE_VERSION "\(.*\)")$/\1/p' "$PREFIX/lib/cmake/cyborg_kms/cyborg_kms-config-version.cmake")" "$v"
check "the soname" "$(readelf -d "$PREFIX/lib/libcyborg_kms.so" | sed -n 's/.*SONAME.*\[libcyborg_kms\.so\.\(.*\)\]/\1/p')" \
    "$(awk '/^abi/ { print $2 }' <<<"$said")"
say "$v everywhere"
