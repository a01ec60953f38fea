#!/usr/bin/env bash
# The Go binding as a user has it: installed, outside the tree, against the installed library.
. "$(dirname "$0")/../../scripts/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$ROOT binding=$PREFIX/share/cyborg_kms/go
export CYBORG_KMS_SOURCE=$source PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig LD_LIBRARY_PATH=$PREFIX/lib
export GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-buildvcs=false # nothing is fetched
[ -f "$binding/go.mod" ] || die "$binding is missing: the step install puts it there"
if [ -z "${CYBORG_KMS_EXCHANGE:-}" ]; then
    cargo build --locked "${LOCAL_FEATURES[@]}" --example exchange
    export CYBORG_KMS_EXCHANGE=$CARGO_TARGET_DIR/debug/examples/exchange
fi

say "--- format"
unformatted=$(gofmt -l bindings/go examples/tenants benches/go)
[ -z "$unformatted" ] || die "not as gofmt has it: $unformatted"

say "--- tests, installed"
cp -a "$binding" "$work/go"
cp bindings/go/*_test.go "$work/go"
cd "$work/go"
go vet ./...
go test -count=1 -race -v ./... | tee "$BUILD/logs/go_test.out"
go test -count=1 -run '^TestPagesTakeNoMemoryOfGo$' ./... # the race detector has memory of its own

say "--- the page docs/languages/go.md"
page=$source/docs/languages/go.md
# block LANGUAGE: what stands in the page's blocks of that language.
block() { awk -v fence="\`\`\`$1" '$0 == fence { on = 1; next } /^```$/ { on = 0 } on' "$page"; }
mkdir "$work/customers"
cd "$work/customers"
block go >main.go
block yaml >db.yaml
block sh | sed "s|/usr/local|$PREFIX|" >build.sh
[ -s main.go ] && [ -s db.yaml ] && [ -s build.sh ] || die "$page lacks the program, its configuration or how to build it"
bash -e build.sh | tee said
[ "$(grep -c 'opened again: what nobody else may read' said)" = 2 ] || die "the program of $page does not say what it should"
ldd customers | grep "=> $PREFIX/lib/libcyborg_kms.so.0 " || die "it does not use the installed library"

say "--- flags in place of pkg-config, the static library"
static=$(pkg-config --libs --static cyborg_kms | sed 's/-lcyborg_kms/-l:libcyborg_kms.a/')
PKG_CONFIG=/bin/false CGO_CFLAGS=-I$PREFIX/include CGO_LDFLAGS=$static go build -tags cyborgkms_flags -o static .
! ldd static | grep libcyborg_kms || die "the static program needs the shared library"
./static

say "--- a library of another ABI"
sed 's/\(#define CYBORG_KMS_ABI_VERSION\) .*/\1 7/' "$PREFIX/include/cyborg_kms.h" >"$work/cyborg_kms.h"
CGO_CFLAGS=-I$work CGO_LDFLAGS="-L$PREFIX/lib -lcyborg_kms" go build -tags cyborgkms_flags -o other_abi .
! ./other_abi 2>refused || die "a program of another ABI runs"
grep -F 'built for ABI 7 of libcyborg_kms, but the library that it found' refused || die "it does not say why: $(cat refused)"
grep -F 'has ABI 0' refused || die "it does not name the library's ABI: $(cat refused)"

say "--- the example engine"
cp -a "$source/examples/tenants" "$work/tenants"
cd "$work/tenants"
go mod edit -replace "cyborg-kms.internal/cyborgkms=$binding"
go vet ./...
go test -count=1 -race ./...

say "--- the benchmark builds"
cp -a "$source/benches/go" "$work/bench"
cd "$work/bench"
go mod edit -replace "cyborg-kms.internal/cyborgkms=$binding"
go vet ./...
say "$(grep -c '^--- PASS' "$BUILD/logs/go_test.out") tests passed, installed; the page's program, its static twin and the example run"
