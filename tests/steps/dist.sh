#!/usr/bin/env bash
# make dist, and each thing that it made as a user installs it: in an empty prefix, an empty folder, or a Debian of its own
# that debootstrap made. The examples of the documentation run there.
. "$(dirname "$0")/../../scripts/common.sh"

[ "$(id -u)" -eq 0 ] || die "debootstrap and chroot need root"
need_packages debootstrap lintian
v=$(version) arch=$(uname -m) source=$ROOT
dist=$BUILD/dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "--- make dist, twice: the same files"
scripts/dist.sh
cp "$dist/SHA256SUMS" "$work/first"
scripts/dist.sh
diff -u "$work/first" "$dist/SHA256SUMS" || die "what is built twice differs"
(cd "$dist" && sha256sum --check --strict SHA256SUMS && [ "$(wc -l <SHA256SUMS)" -eq $(($(ls | wc -l) - 1)) ]) || die "SHA256SUMS lacks files"

# customers FOLDER: README's program and configuration, from its text.
customers() {
    mkdir -p "$1"
    awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/README.md" >"$1/customers.c"
    awk '/^```yaml$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/README.md" >"$1/db.yaml"
    grep -q 'cyborg_kms_engine_open("db.yaml"' "$1/customers.c" || die "README.md has no program"
}
# twice COMMAND...: what README says of the program: created once, opened ever after.
twice() {
    "$@" | tee "$work/said"
    "$@" | tee -a "$work/said"
    [ "$(grep -c 'bytes sealed into .* and opened again: the same' "$work/said")" = 2 ] || die "the program does not say what README has"
}

say "--- the tarball, in an empty prefix"
tar -xzf "$dist/cyborg_kms-$v-linux-$arch.tar.gz" -C "$work"
prefix=$work/cyborg_kms-$v-linux-$arch
for file in LICENSE README.md THIRD-PARTY-LICENSES.txt sbom.cdx.json include/cyborg_kms.h include/cyborg_kms.hpp lib/libcyborg_kms.a \
    lib/libcyborg_kms.so.0 lib/pkgconfig/cyborg_kms.pc lib/cmake/cyborg_kms/cyborg_kms-config.cmake share/cyborg_kms/go/go.mod; do
    [ -s "$prefix/$file" ] || die "the tarball has no $file"
done
! grep -rIl "$source" "$prefix" || die "these files name the place where it was built"
customers "$work/tarball"
cd "$work/tarball"
# shellcheck disable=SC2046
PKG_CONFIG_PATH=$prefix/lib/pkgconfig cc -o customers customers.c $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs cyborg_kms)
LD_LIBRARY_PATH=$prefix/lib ldd customers | grep "=> $prefix/lib/libcyborg_kms.so.0 " || die "it does not use the tarball's library"
LD_LIBRARY_PATH=$prefix/lib twice ./customers
cp "$source"/tests/packages/* .
cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build build
build/consumer_shared
build/consumer_static

say "--- the licenses and the bill of materials have all that is linked in, and nothing else"
cd "$source"
cargo tree --locked --edges normal,no-proc-macro --features wipe-freed --target "$arch-unknown-linux-gnu" --prefix none --format '{p}' |
    sed 's/ (.*//' | sort -u >"$work/linked"
"$BUILD/venv/bin/python" tests/dist/notices.py "$work/linked" "$prefix/sbom.cdx.json" "$prefix/THIRD-PARTY-LICENSES.txt"

say "--- the glibc that it needs is the one that docs/packages.md and the package name"
floor=$(scripts/glibc_floor.sh "$prefix/lib/libcyborg_kms.so.$v")
grep -q "glibc $floor or newer" docs/packages.md || die "the library needs glibc $floor, docs/packages.md says otherwise"
dpkg-deb -f "$dist"/libcyborg-kms0_*.deb Depends | grep -F "libc6 (>= $floor)" || die "the package does not ask for glibc $floor"

say "--- the Debian packages, in a Debian of their own"
root=$BUILD/debian_root
if [ ! -f "$root/made" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config bookworm "$root" >"$BUILD/logs/debootstrap.log" 2>&1 ||
        { tail -n 20 "$BUILD/logs/debootstrap.log"; die "debootstrap made no Debian"; }
    touch "$root/made"
fi
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"; }
! find "$root" -name '*cyborg*' | grep . || in_root dpkg --purge libcyborg-kms-dev libcyborg-kms0 || true
rm -rf "$root/root/try" "$root"/root/*.deb
! find "$root" -name '*cyborg*' | grep . || die "the Debian is not an empty one"
cp "$dist"/*.deb "$root/root"
# Without the library its development package is refused.
! in_root sh -c 'dpkg --install /root/libcyborg-kms-dev_*.deb' || die "libcyborg-kms-dev installs without the library"
in_root dpkg --purge libcyborg-kms-dev
in_root sh -c 'dpkg --install /root/libcyborg-kms0_*.deb /root/libcyborg-kms-dev_*.deb'
customers "$root/root/try"
# shellcheck disable=SC2016
in_root sh -ec 'cd /root/try && cc -o customers customers.c $(pkg-config --cflags --libs cyborg_kms)'
in_root sh -c 'cd /root/try && ldd customers' | grep "=> .*/lib/$arch-linux-gnu/libcyborg_kms.so.0 " || die "it does not use the package's library"
twice in_root sh -c 'cd /root/try && ./customers'
in_root dpkg --verify libcyborg-kms0 libcyborg-kms-dev
in_root dpkg --purge libcyborg-kms-dev libcyborg-kms0
rm -rf "$root/root/try" "$root"/root/*.deb
! find "$root" -name '*cyborg*' | grep . || die "these are left behind"
# The maintainers have no address yet that mail reaches.
lintian --tag-display-limit 0 --allow-root --fail-on error \
    --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$dist"/*.deb

say "--- the package for Node, in an empty folder"
mkdir "$work/node"
cd "$work/node"
awk '/^```yaml$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/docs/languages/node.md" >db.yaml
awk '/^```js$/ { n++; on = n == 1; next } /^```$/ { on = 0 } on' "$source/docs/languages/node.md" >program.mjs
npm install --ignore-scripts --no-audit --no-fund --prefer-offline "$dist/cyborg-kms-$v.tgz"
[ -s node_modules/cyborg-kms/THIRD-PARTY-LICENSES.txt ] && [ -s node_modules/cyborg-kms/sbom.cdx.json ] || die "the package lacks its notices"
env -u CYBORG_KMS_LIBRARY node program.mjs | tee said
grep -F 'opened again: what nobody else may read' said || die "the program of docs/languages/node.md does not say what it should"

say "--- the Go module: of its own archive, the tarball, the Debian package"
export GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
tar -xzf "$dist/cyborg_kms-go-$v.tar.gz" -C "$work"
dpkg-deb -x "$dist"/libcyborg-kms-dev_*.deb "$work/deb"
for module in "$work/cyborg_kms-go-$v" "$prefix/share/cyborg_kms/go" "$work/deb/usr/share/cyborg_kms/go"; do
    rm -rf "$work/go"
    mkdir "$work/go"
    cd "$work/go"
    awk '/^```go$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/docs/languages/go.md" >main.go
    awk '/^```yaml$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/docs/languages/go.md" >db.yaml
    go mod init customers
    go mod edit -require "cyborg-kms.internal/cyborgkms@v$v" -replace "cyborg-kms.internal/cyborgkms=$module"
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig go build
    LD_LIBRARY_PATH=$prefix/lib ./customers | grep 'opened again: what nobody else may read' || die "the program over $module does not run"
done
say "$(wc -l <"$dist/SHA256SUMS") files, the same twice; each installed where nothing was, and its example ran"
