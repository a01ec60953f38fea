#!/usr/bin/env bash
# The example that gets rid of a data key: killed midway, run again, every page readable, the key retired.
. "$(dirname "$0")/../../scripts/common.sh"

work=$BUILD/reencrypt
rm -rf "$work"
mkdir -p "$work"
export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig
pagestore=examples/pagestore
compile() {
    local program=$1
    shift
    # shellcheck disable=SC2046
    gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -I$pagestore -o "$work/$program" "$@" \
        $(pkg-config --cflags --libs cyborg_kms) -Wl,-rpath,"$PREFIX/lib" -pthread
}
compile pagestore $pagestore/*.c
compile reencrypt examples/reencrypt/*.c $pagestore/pagestore.c $pagestore/files.c
cat >"$work/db.yaml" <<'YAML'
storage: {url: keys}
cache: {max_record_age: 1s}
kms:
  registry:
    prod: {provider: local, key_id: prod.key, create: true}
YAML
reencrypt() { "$work/reencrypt" "$1" "$work/db.yaml" "$work/accounts.pages" "${@:2}"; }
# expect WHAT PATTERN FILE: the file has such a line.
expect() { grep -E "$2" "$3" >/dev/null || { cat "$3"; die "$1: no line like $2"; }; }

"$work/pagestore" write "$work/db.yaml" "$work/accounts.pages"
reencrypt count 1 >"$work/before"
expect "at first" '^1000 pages of data key 1, 0 of others' "$work/before"
reencrypt retire 1 2>"$work/current" && die "the current key was retired"
expect "the current key" 'NOT_FOUND: .*current' "$work/current"

# Killed midway, some times: each goes on where the one before was stopped.
for round in 1 2 3; do
    log=$work/killed.$round
    # Not by the function: $! would be a shell of its own, and the program would go on.
    "$work/reencrypt" replace "$work/db.yaml" "$work/accounts.pages" 1 200 >"$log" &
    pid=$!
    for _ in $(seq 600); do
        ! grep 're-sealed, at page' "$log" >/dev/null || break
        sleep 0.1
    done
    kill -9 $pid || { cat "$log"; die "round $round ended before it was killed"; }
    wait $pid 2>/dev/null || true
    reencrypt count 1 >"$work/midway"
    expect "killed in round $round" '^[1-9][0-9]* pages of data key 1, [1-9][0-9]* of others' "$work/midway"
    cat "$work/midway"
done
expect "the second run" '^New pages are sealed with data key 2 already' "$work/killed.2"
reencrypt replace 1 >"$work/done"
reencrypt count 1 >"$work/after"
expect "after all" '^0 pages of data key 1, 1000 of others' "$work/after"

# Not before other processes must have heard of the rotation: five minutes and max_record_age.
status=0
reencrypt retire 1 >"$work/early" || status=$?
[ $status = 3 ] || die "an early retirement ends with $status, not 3"
expect "early" '^Not yet: .* until 20..-..-..T..:..:..Z' "$work/early"
cat "$work/early"
# The same ten minutes later, by a clock that is ahead.
faketime -f +10m "$work/reencrypt" retire "$work/db.yaml" "$work/accounts.pages" 1 | tee "$work/retired"
expect "ten minutes later" '^0 pages were left. Data key 1 is retired' "$work/retired"
reencrypt count 1 >"$work/end"
expect "at the end" '^0 pages of data key 1, 1000 of others' "$work/end"
"$work/pagestore" verify "$work/db.yaml" "$work/accounts.pages" "$work/prod.key"
say "1,000 pages re-sealed while in use, killed three times, the old key retired"
