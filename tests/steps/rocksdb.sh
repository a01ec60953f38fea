#!/usr/bin/env bash
# The example that encrypts RocksDB's files: real rows, each command a process of its own.
. "$(dirname "$0")/../../scripts/common.sh"

work=$BUILD/rocksdb
rm -rf "$work"
mkdir -p "$work"
status=/var/lib/dpkg/status program=$work/rocksdb_kms config=$work/db.yaml
export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig
# shellcheck disable=SC2046
g++ -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror -Wconversion -Wshadow -o "$program" examples/rocksdb/*.cpp \
    $(pkg-config --cflags --libs cyborg_kms rocksdb libcrypto) -Wl,-rpath,"$PREFIX/lib"
printf '%s\n' "storage: {url: keys}" \
    "kms: {registry: {prod: {provider: local, key_id: prod.key, create: true}}}" >"$config"

verify() { "$program" verify "$config" "$work/sealed" $status; }
# refused WHAT TEXT: the database does not open, and says so by TEXT.
refused() {
    if verify >"$work/said" 2>&1; then die "it opens $1"; fi
    grep -qF "$2" "$work/said" || die "$1 it fails otherwise: $(cat "$work/said")"
    say "$1: $(cut -c1-160 "$work/said")"
}
# altered FILE OFFSET: one bit of a byte is flipped.
altered() {
    python3 -c 'import sys; f = open(sys.argv[1], "r+b"); at = int(sys.argv[2]); f.seek(at); b = f.read(1)[0]; f.seek(at); f.write(bytes([b ^ 1]))' "$1" "$2"
}

say "--- in plaintext and sealed"
"$program" plain "$work/plain" $status
"$program" fill "$config" "$work/sealed" $status
rows=$(verify)
say "$rows"
[ "${rows%% *}" -gt 1000 ] || die "$rows are too few for a test"
words=("Description" "Maintainer" "libc6" "debian.org" "in the log only")
for word in "${words[@]}"; do
    grep -rlF "$word" "$work/plain" >/dev/null || die "the files in plaintext have no \"$word\", so its absence says nothing"
    ! grep -rlF "$word" "$work/sealed" "$work/keys" || die "the files have \"$word\" in plaintext"
done

say "--- rotation"
"$program" rotate "$config"
verify # what was wrapped before is read; its compaction writes under the new key
verify

say "--- without the key"
"$program" disable "$config"
refused "while the index is disabled" KEY_DISABLED
"$program" enable "$config"
mv "$work/prod.key" "$work/away"
refused "without the wrapping key" KEY_NOT_FOUND
head -c 32 /dev/urandom >"$work/prod.key"
chmod 600 "$work/prod.key"
refused "with another wrapping key" AUTHENTICATION_FAILED
mv "$work/away" "$work/prod.key"
verify

say "--- altered files"
files=("$work"/sealed/*.sst)
file=${files[0]}
cp "$file" "$work/kept"
for at in 3 20 500; do # the mark, the wrapped key, the zeros behind it
    altered "$file" $at
    refused "with byte $at of a prefix altered" Corruption
    cp "$work/kept" "$file"
done
altered "$file" 6000
refused "with a byte of its contents altered" "checksum mismatch"
cp "$work/kept" "$file"
altered "$work/sealed/CURRENT" 30
refused "with the prefix of CURRENT altered" AUTHENTICATION_FAILED
altered "$work/sealed/CURRENT" 30
verify
say "$rows; no plaintext in the files, nothing without the key"
