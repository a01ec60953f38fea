#!/usr/bin/env bash
# What the tests and the checks of the source need: Debian packages, a Python environment in build/venv, cbindgen and
# other commands in build/tools, the servers of the tests in build/services. Looks first, installs only what is missing;
# nothing outside build/ but the packages.
. "$(dirname "$0")/common.sh"

need_commands cargo gcc g++ cmake go node npm python3
need_packages faketime gdb libgtest-dev librocksdb-dev libsqlite3-dev libssl-dev nlohmann-json3-dev pkg-config strace valgrind python3-venv binutils

VENV=$BUILD/venv
[ ! -L "$VENV" ] || die "$VENV is a link: what is installed there would be another tree's"
# The mark is a copy of the requirements, so that another version is noticed.
wanted=$(cat tests/requirements.txt tests/*/requirements.txt | grep -vE '^(#|-r|$)')
wanted+=$(printf '\n\n' && cat tests/constraints.txt)
if [ "$wanted" != "$(cat "$VENV/installed.txt" 2>/dev/null)" ]; then
    named=${wanted%%$'\n\n'*}
    say "Installing from PyPI into build/venv: ${named//$'\n'/ }"
    # Anew, and by `python -m pip`: the scripts of an environment that was copied with its tree lead to the first one.
    python3 -m venv --clear "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt -c tests/constraints.txt
    printf '%s\n' "$wanted" >"$VENV/installed.txt"
fi

# Meanwhile, since it waits for the network: the servers of the tests.
scripts/services.sh >"$BUILD/logs/services.log" 2>&1 &
services=$!
install_tool cbindgen "$CBINDGEN_VERSION"
install_tool cargo-fuzz "$CARGO_FUZZ_VERSION"
install_tool cargo-cyclonedx "$CARGO_CYCLONEDX_VERSION" # for make dist
# What tests the package for Node, and what it needs.
if ! cat bindings/node/package.json bindings/node/package-lock.json | cmp -s - "$BUILD/node/installed.txt"; then
    say "Installing from npm into build/node: koffi, typescript and @types/node"
    rm -rf "$BUILD/node"
    mkdir -p "$BUILD/node"
    cp bindings/node/package.json bindings/node/package-lock.json "$BUILD/node"
    npm ci --prefix "$BUILD/node" --ignore-scripts --no-audit --no-fund --no-progress >"$BUILD/logs/install_node.log" 2>&1 ||
        { tail -n 20 "$BUILD/logs/install_node.log" >&2; die "the tools for the Node package could not be installed"; }
    cat bindings/node/package.json bindings/node/package-lock.json >"$BUILD/node/installed.txt"
fi
wait "$services" || { tail -n 20 "$BUILD/logs/services.log" >&2; die "the servers of the tests could not be installed"; }
cat "$BUILD/logs/services.log"
say "Set-up: everything that the tests need is there."
