#!/usr/bin/env bash
# The C++ binding as a user has it: installed, outside the tree, against the installed library; its tests with ASan and
# UBSan, its page's program by pkg-config and CMake.
. "$(dirname "$0")/../../scripts/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$ROOT
export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig
if [ -z "${CYBORG_KMS_EXCHANGE:-}" ]; then
    cargo build --locked "${LOCAL_FEATURES[@]}" --example exchange
    export CYBORG_KMS_EXCHANGE=$CARGO_TARGET_DIR/debug/examples/exchange
fi
[ -f "$PREFIX/include/cyborg_kms.hpp" ] || die "$PREFIX/include/cyborg_kms.hpp is missing: the step install puts it there"
strict=(-Wall -Wextra -Wpedantic -Werror -Wconversion -Wshadow)

say "--- the headers, every standard, every compiler, and each by itself"
for compiler in g++ clang++; do
    command -v $compiler >/dev/null || continue
    for standard in 17 20; do
        echo '#include <cyborg_kms.hpp>' |
            $compiler -std=c++$standard "${strict[@]}" -I"$PREFIX/include" -fsyntax-only -x c++ -
    done
done
(cd "$PREFIX/include" && ls cyborg_kms/*.hpp) | xargs -P 2 -I '{}' \
    sh -c "echo '#include <{}>' | g++ -std=c++17 ${strict[*]} -I$PREFIX/include -fsyntax-only -x c++ -"

say "--- tests"
mkdir "$work/written"
cp -R bindings/cpp/test "$work/test"
cmake -S "$work/test" -B "$work/tests" -DCMAKE_PREFIX_PATH="$PREFIX" -DSANITIZE=ON \
    -DCYBORG_KMS_SOURCE="$source" -DCYBORG_KMS_EXCHANGE="$CYBORG_KMS_EXCHANGE"
cmake --build "$work/tests" --parallel 2
nm -D "$work/tests/cpp_tests" >"$BUILD/logs/nm.out"
for sanitizer in __asan_init __ubsan; do
    grep -q $sanitizer "$BUILD/logs/nm.out" || die "the tests have no $sanitizer: the sanitizer is not on"
done
CYBORG_KMS_WRITE=$work/written ASAN_OPTIONS=detect_leaks=1 "$work/tests/cpp_tests" | tee "$BUILD/logs/cpp.out"
passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests*\.$/\1/p' "$BUILD/logs/cpp.out")
[ "$passed" -gt 60 ] || die "only $passed tests ran"
# The library reads in another process what C++ wrote; the records name the key by /proc/self/cwd.
(cd "$work/written" && CYBORG_KMS_LIBRARY=$PREFIX/lib/libcyborg_kms.so PYTHONPATH=$source \
    python3 -m tests.vectors.read "$work/written")

say "--- the page docs/languages/cpp.md"
page=$source/docs/languages/cpp.md
# block LANGUAGE NUMBER: what stands in that block of the page.
block() { awk -v fence="\`\`\`$1" -v wanted="$2" '$0 == fence { on = ++number == wanted; next } /^```$/ { on = 0 } on' "$page"; }
mkdir "$work/customers"
cd "$work/customers"
block cpp 1 >customers.cpp
block yaml 1 >db.yaml
block cmake 1 >CMakeLists.txt
block sh 1 | sed 's/c++ -std=c++17/c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -Wconversion -Wshadow/' >by_pkg_config.sh
block sh 2 | sed "s|/usr/local|$PREFIX|" >by_cmake.sh
for file in customers.cpp db.yaml CMakeLists.txt by_pkg_config.sh by_cmake.sh; do
    [ -s "$file" ] || die "$page lacks $file"
done
LD_LIBRARY_PATH=$PREFIX/lib bash -e by_pkg_config.sh | tee said
bash -e by_cmake.sh | tee -a said
[ "$(grep -c 'opened again: what nobody else may read' said)" = 3 ] || die "the program of $page does not say what it should"
ldd build/customers | grep "=> $PREFIX/lib/libcyborg_kms.so.0 " || die "it does not use the installed library"
sed -i 's/cyborg_kms::cpp)/cyborg_kms::cpp_static)/' CMakeLists.txt
cmake -S . -B static -DCMAKE_PREFIX_PATH="$PREFIX" && cmake --build static
! ldd static/customers | grep libcyborg_kms || die "the static program needs the shared library"
static/customers

say "--- headers of another version, a library of another ABI"
mkdir "$work/other"
cp -R "$PREFIX"/include/cyborg_kms.hpp "$PREFIX"/include/cyborg_kms "$work/other"
sed 's/\(#define CYBORG_KMS_VERSION_PATCH\) .*/\1 99/' "$PREFIX/include/cyborg_kms.h" >"$work/other/cyborg_kms.h"
if g++ -std=c++17 -fsyntax-only -I"$work/other" customers.cpp 2>refused; then die "headers of two versions compile"; fi
grep -F 'are of two versions' refused || die "it does not say why: $(cat refused)"
sed 's/\(#define CYBORG_KMS_ABI_VERSION\) .*/\1 7/' "$PREFIX/include/cyborg_kms.h" >"$work/other/cyborg_kms.h"
g++ -std=c++17 -I"$work/other" -o other_abi customers.cpp -L"$PREFIX/lib" -lcyborg_kms -Wl,-rpath,"$PREFIX/lib"
if ./other_abi 2>refused; then die "a program of another ABI runs"; fi
grep -F 'UNSUPPORTED: built for ABI 7 of libcyborg_kms' refused || die "it does not say why: $(cat refused)"
grep -F 'has ABI 0' refused || die "it does not name the library's ABI: $(cat refused)"

say "--- the benchmark builds"
g++ -std=c++17 -O2 "${strict[@]}" -I"$PREFIX/include" -fsyntax-only "$source"/benches/cpp/*.cpp
gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -I"$PREFIX/include" -fsyntax-only "$source"/benches/cpp/*.c
say "$passed tests passed, installed, sanitized; the page's program runs by pkg-config, CMake and static"
