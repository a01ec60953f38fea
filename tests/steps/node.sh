#!/usr/bin/env bash
# The package for Node as a user gets it: packed with the library inside, installed into an empty folder. There its tests
# run, its page's programs, the document store; and the library reads in another process what it wrote.
. "$(dirname "$0")/../../scripts/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
library=$PREFIX/lib/libcyborg_kms.so
tools=$BUILD/node/node_modules # of setup.sh

say "--- npm pack, npm install"
mkdir "$work/user"
scripts/npm_package.sh "$library" "$work"
cd "$work/user"
npm install --ignore-scripts --no-audit --no-fund --prefer-offline "$work"/cyborg-kms-*.tgz
[ ! -e node_modules/typescript ] || die "the package brings what only its tests need"
cat >program.mjs <<'JS'
import { version } from 'cyborg-kms';
console.log(version());
JS
said=$(env -u CYBORG_KMS_LIBRARY node program.mjs)
[ "$said" = "$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)" ] || die "the package's own library says $said"

say "--- tests"
export CYBORG_KMS_TREE=$ROOT CYBORG_KMS_LIBRARY=$library CYBORG_KMS_WRITE=$work/written
mkdir "$CYBORG_KMS_WRITE"
if [ -z "${CYBORG_KMS_EXCHANGE:-}" ]; then
    cargo build --locked "${LOCAL_FEATURES[@]}" --manifest-path "$ROOT/Cargo.toml" --example exchange
    export CYBORG_KMS_EXCHANGE=$CARGO_TARGET_DIR/debug/examples/exchange
fi
cp -R "$ROOT/bindings/node/test" .
# The tests find the koffi that the package uses, and tsc.
ln -s "$tools/typescript" "$tools/@types" "$tools/undici-types" node_modules
rm -rf node_modules/cyborg-kms/native
node --test test/*.test.?js | tee "$BUILD/logs/node.out"
passed=$(sed -n 's/^# pass //p' "$BUILD/logs/node.out")
[ "$passed" -gt 60 ] || die "only $passed tests ran"

say "--- the library reads what the package wrote"
# Its records name the key file by the folder that the process is in.
(cd "$CYBORG_KMS_WRITE" && PYTHONPATH=$ROOT python3 -m tests.vectors.read "$CYBORG_KMS_WRITE")

say "--- the document store"
cp -R "$ROOT/examples/documents" .
printf '%s\n' "storage: {url: $work/keys}" \
    "kms: {registry: {prod: {provider: local, key_id: $work/prod.key, create: true}}}" >db.yaml
status=/var/lib/dpkg/status
node documents/main.mjs import db.yaml "$work/data" $status
node documents/main.mjs verify db.yaml "$work/data" $status
node documents/main.mjs find db.yaml "$work/data" "GNU C" | tee found
[ -s found ] || die "no package has GNU C in its description"
words=("Description" "Maintainer" "GNU C" "libc6" "debian.org")
for word in "${words[@]}"; do
    [ "$(grep -c "$word" $status)" -gt 0 ] || die "$status has no $word, so its absence says nothing"
    ! grep -rlF "$word" "$work/data" "$work/keys" || die "the files have \"$word\" in plaintext"
done
mv "$work/prod.key" "$work/away"
if node documents/main.mjs find db.yaml "$work/data" "GNU C" >found 2>&1; then die "the documents open without the key"; fi
[ "$(grep -c "code: 'KEY_NOT_FOUND'" found)" -gt 0 ] || die "without the key it fails otherwise: $(cat found)"
say "$passed tests passed, installed from the packed package; the document store holds no plaintext"
