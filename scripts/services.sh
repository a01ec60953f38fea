#!/usr/bin/env bash
# services.sh [NAME…]: installs the servers that the tests talk to into build/services, all or those named (moto,
# localstack, ministack, npm, gcs), exactly as the lock files of tests/services say. Needs build/venv (setup.sh).
. "$(dirname "$0")/common.sh"

# stale NAME FILE...: whether build/services/NAME is not what the files ask for. The mark is a copy of them.
stale() { ! cat "${@:2}" | cmp -s - "$BUILD/services/$1/installed.txt"; }
mark() { cat "${@:2}" >"$BUILD/services/$1/installed.txt"; }

# failed NAME LOG: the end of the log, and the end.
failed() {
    tail -n 20 "$2" >&2
    die "$1 could not be installed, so nothing can be tested with it; the whole output: $2"
}

# python_server NAME: a virtual environment of its own, since their dependencies contradict each other.
python_server() {
    local lock=tests/services/locks/$1.txt place=$BUILD/services/$1 log=$BUILD/logs/install_$1.log
    stale "$1" "$lock" || return 0
    say "Installing from PyPI into build/services/$1: $(grep -E "^$1(-core)?==" "$lock") and what it needs"
    rm -rf "$place"
    python3 -m venv --without-pip "$place"
    "$BUILD/venv/bin/python" -m pip --disable-pip-version-check --python "$place/bin/python" install --no-deps -r "$lock" >"$log" 2>&1 ||
        failed "$1" "$log"
    mark "$1" "$lock"
}

npm_servers() {
    local from=tests/services/npm place=$BUILD/services/npm log=$BUILD/logs/install_npm.log
    stale npm $from/package.json $from/package-lock.json || return 0
    say "Installing from npm into build/services/npm: azurite, s3rver and what they need"
    need_commands node npm
    rm -rf "$place"
    mkdir -p "$place"
    cp $from/package.json $from/package-lock.json "$place"
    npm ci --prefix "$place" --ignore-scripts --no-audit --no-fund --no-progress >"$log" 2>&1 || failed "azurite and s3rver" "$log"
    mark npm $from/package.json $from/package-lock.json
}

gcs_server() {
    local from=tests/services/gcs_front place=$BUILD/services/gcs log=$BUILD/logs/install_gcs.log
    stale gcs $from/go.mod $from/go.sum $from/*.go || return 0
    say "Building build/services/gcs with go: fake-gcs-server and our front (a minute or two)"
    need_commands go
    mkdir -p "$place"
    go build -C $from -mod=readonly -o "$place/gcs_front" . >"$log" 2>&1 || failed "the front of fake-gcs-server" "$log"
    mark gcs $from/go.mod $from/go.sum $from/*.go
}

[ $# -gt 0 ] || set -- moto localstack ministack npm gcs
for name in "$@"; do
    case $name in
    moto | localstack | ministack) python_server "$name" ;;
    npm) npm_servers ;;
    gcs) gcs_server ;;
    *) die "there is no server $name; there are: moto localstack ministack npm gcs" ;;
    esac
done
