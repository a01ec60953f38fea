# Sourced by the scripts: where things are, and what must be there.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
export PATH=$PATH:$HOME/.cargo/bin
PREFIX=$BUILD/prefix # where the tests install the library
cd "$ROOT"
mkdir -p "$BUILD/logs"

# What needs no network is built and tested without the SDKs of the clouds: each program would link them.
LOCAL_FEATURES=(--no-default-features --features aws-lc)

CARGO_ABOUT_VERSION=0.9.3
CARGO_CYCLONEDX_VERSION=0.5.9
CARGO_FUZZ_VERSION=0.13.2
CBINDGEN_VERSION=0.29.4

say() { printf '%s\n' "$*"; }
die() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# version: the crate's, from Cargo.toml.
version() { sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1; }

# need_packages PACKAGE...: installs the Debian packages that are missing.
need_packages() {
    local missing=() package sudo=()
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "these packages are missing: ${missing[*]}; install them as root"
        sudo=(sudo)
    fi
    say "Installing from Debian: ${missing[*]}"
    ${sudo[@]+"${sudo[@]}"} apt-get update -qq &&
        ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$BUILD/logs/apt.log" 2>&1 ||
        { tail -n 20 "$BUILD/logs/apt.log" >&2; die "apt-get could not install ${missing[*]}"; }
}

# need_commands COMMAND...: what a machine must bring.
need_commands() {
    local command missing=()
    for command in "$@"; do
        command -v "$command" >/dev/null || missing+=("$command")
    done
    [ ${#missing[@]} -eq 0 ] || die "these commands are missing: ${missing[*]} (Rust: https://rustup.rs; the rest: apt-get install build-essential cmake python3 python3-venv nodejs npm; Go: https://go.dev/dl)"
}

# install_tool NAME VERSION ARGUMENT…: a command of crates.io's in build/tools, where that version is not there.
install_tool() {
    local name=$1 version=$2
    shift 2
    [ "$(cat "$BUILD/tools/$name.installed" 2>/dev/null)" = "$version" ] && [ -x "$BUILD/tools/bin/$name" ] && return
    say "Installing from crates.io into build/tools: $name $version (one to four minutes)"
    # Quickly compiled rather than fast: each runs a few times. But cargo-about looks through some 10,000 files.
    local quickly=(--debug)
    [ "$name" != cargo-about ] || quickly=()
    cargo install --quiet --locked --force --root "$BUILD/tools" --target-dir "$CARGO_TARGET_DIR/tools" "${quickly[@]}" "$@" "$name@$version"
    printf '%s\n' "$version" >"$BUILD/tools/$name.installed"
}
