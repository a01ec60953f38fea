#!/usr/bin/env bash
# dist.sh: what is given to users, in build/dist: a tarball, Debian packages, the package for Node, the Go module; each with
# the licenses of all that is linked in and a bill of materials. docs/packages.md says what holds what.
#
# The same commit and the same built library give the same files, byte for byte: their times are the commit's.
. "$(dirname "$0")/common.sh"

need_commands cargo cmake node npm strip tar gzip
need_packages binutils dpkg-dev
[ -x "$BUILD/tools/bin/cargo-cyclonedx" ] || scripts/setup.sh

VERSION=$(version)
ARCH=$(uname -m)
DEB_ARCH=$(dpkg --print-architecture)
MULTIARCH=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
DIST=$BUILD/dist
WORK=$BUILD/dist_work
rm -rf "$DIST" "$WORK"
mkdir -p "$DIST" "$WORK"

# installed PREFIX LIBDIR: the library, built where it is not, under that prefix, without symbols.
installed() {
    local prefix=$1 libdir=$2 tree=$BUILD/cmake_dist/$2
    cmake -S . -B "$tree" -DCMAKE_INSTALL_LIBDIR="$libdir" >/dev/null
    env -u SOURCE_DATE_EPOCH cmake --build "$tree" # AWS-LC would be compiled anew for it
    cmake --install "$tree" --prefix "$prefix" >/dev/null
    strip --strip-unneeded "$prefix/$libdir/libcyborg_kms.so.$VERSION"
    strip --strip-debug --enable-deterministic-archives "$prefix/$libdir/libcyborg_kms.a"
}

# What goes with every package. Only what is linked into the library: no tools, no tests, no other platform.
notices() {
    local features=(--features wipe-freed)
    [ "$(scripts/licenses.sh inputs)" = "$(cat packaging/THIRD-PARTY-LICENSES.inputs)" ] ||
        die "packaging/THIRD-PARTY-LICENSES.txt is not of what is linked in now: run make licenses"
    cp packaging/THIRD-PARTY-LICENSES.txt "$WORK"
    say "The bill of materials"
    # It writes beside each manifest, so it gets a copy of them.
    mkdir -p "$WORK/sbom"
    git ls-files -z Cargo.toml Cargo.lock cli/Cargo.toml 'src/*' 'cli/src/*' build.rs benches examples 'tests/*.rs' 'tests/vectors/*.rs' |
        tar -c --null -T - | tar -x -C "$WORK/sbom"
    "$BUILD/tools/bin/cargo-cyclonedx" cyclonedx --manifest-path "$WORK/sbom/Cargo.toml" --format json --spec-version 1.5 \
        --target "$ARCH-unknown-linux-gnu" --no-build-deps "${features[@]}" --override-filename sbom.cdx
    # Where it was made is nobody's business, and would make each machine's another.
    sed "s|file://$WORK/sbom|file:///cyborg_kms|g" "$WORK/sbom/sbom.cdx.json" >"$WORK/sbom.cdx.json"
}

# archive FOLDER FILE: a tarball of a folder, the same each time.
archive() {
    tar -C "$(dirname "$1")" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode='u+rw,go+r-w,a+X' -c "$(basename "$1")" | gzip -9n >"$2"
}

tarball() {
    local folder=$WORK/cyborg_kms-$VERSION-linux-$ARCH
    say "The tarball"
    installed "$folder" lib
    cp LICENSE README.md "$WORK/THIRD-PARTY-LICENSES.txt" "$WORK/sbom.cdx.json" "$folder"
    archive "$folder" "$DIST/$(basename "$folder").tar.gz"
}

# The Go module alone: a program names the folder in its go.mod, and brings the library by itself.
go_module() {
    local folder=$WORK/cyborg_kms-go-$VERSION
    say "The Go module"
    mkdir -p "$folder"
    cp -a "$WORK/cyborg_kms-$VERSION-linux-$ARCH/share/cyborg_kms/go/." "$folder"
    cp LICENSE "$folder"
    archive "$folder" "$DIST/$(basename "$folder").tar.gz"
}

npm_package() {
    say "The package for Node"
    scripts/npm_package.sh "$WORK/cyborg_kms-$VERSION-linux-$ARCH/lib/libcyborg_kms.so.$VERSION" "$DIST" \
        "$WORK/THIRD-PARTY-LICENSES.txt" "$WORK/sbom.cdx.json"
}

# control PACKAGE DEPENDS: its control file, with the description that stands in packaging/debian.
control() {
    local root=$WORK/deb/$1
    mkdir -p "$root/DEBIAN" "$root/usr/share/doc/$1"
    sed -e "s/@VERSION@/$VERSION/; s/@ARCH@/$DEB_ARCH/; s/@DEPENDS@/$2/" \
        -e "s/@SIZE@/$(du -sk --apparent-size "$root/usr" | cut -f 1)/" "packaging/debian/$1.control" >"$root/DEBIAN/control"
    cp packaging/debian/copyright "$root/usr/share/doc/$1/copyright"
    gzip -9nc packaging/debian/changelog >"$root/usr/share/doc/$1/changelog.gz"
}

# deb PACKAGE: the file.
deb() {
    local root=$WORK/deb/$1
    find "$root" -type d -exec chmod 755 {} +
    find "$root" -type f ! -path '*/DEBIAN/*' -exec chmod 644 {} +
    (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    chmod 644 "$root"/DEBIAN/*
    find "$root" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group --build "$root" "$DIST" >/dev/null
}

debs() {
    local runtime=$WORK/deb/libcyborg-kms0 dev=$WORK/deb/libcyborg-kms-dev lib=usr/lib/$MULTIARCH depends
    say "The Debian packages"
    installed "$dev/usr" "lib/$MULTIARCH"
    mkdir -p "$runtime/$lib" "$runtime/usr/share/doc/libcyborg-kms0" "$WORK/shlibdeps/debian"
    mv "$dev/$lib/libcyborg_kms.so.$VERSION" "$dev/$lib/libcyborg_kms.so.0" "$runtime/$lib"
    cp "$WORK/sbom.cdx.json" "$WORK/THIRD-PARTY-LICENSES.txt" "$runtime/usr/share/doc/libcyborg-kms0"
    printf 'Source: cyborg-kms\nPackage: libcyborg-kms0\nArchitecture: any\n' >"$WORK/shlibdeps/debian/control"
    depends=$(cd "$WORK/shlibdeps" && dpkg-shlibdeps -O "$runtime/$lib/libcyborg_kms.so.$VERSION" | sed 's/^shlibs:Depends=//')
    control libcyborg-kms0 "$depends"
    # Before 1.0 a minor version may change the ABI: programs ask for the one that they were linked with, or newer.
    printf 'libcyborg_kms 0 libcyborg-kms0 (>= %s)\n' "$VERSION" >"$runtime/DEBIAN/shlibs"
    printf 'activate-noawait ldconfig\n' >"$runtime/DEBIAN/triggers"
    deb libcyborg-kms0
    control libcyborg-kms-dev "libcyborg-kms0 (= $VERSION)"
    deb libcyborg-kms-dev
}

notices
tarball
go_module
npm_package
debs
(cd "$DIST" && sha256sum -- * >"$WORK/SHA256SUMS" && mv "$WORK/SHA256SUMS" .)
floor=$(scripts/glibc_floor.sh "$WORK/cyborg_kms-$VERSION-linux-$ARCH/lib/libcyborg_kms.so.$VERSION")
(cd "$DIST" && ls -l -- * | awk '{ printf "  %10d bytes  %s\n", $5, $9 }')
say "Made build/dist: needs glibc $floor or newer. docs/packages.md says how each is installed."
