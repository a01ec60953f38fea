#!/usr/bin/env bash
# The example that keeps its records in SQLite.
. "$(dirname "$0")/../../scripts/common.sh"

work=$BUILD/sqlite_store
rm -rf "$work"
mkdir -p "$work"
export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig
# shellcheck disable=SC2046
gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -o "$work/sqlite_store" examples/sqlite_store/*.c \
    $(pkg-config --cflags --libs cyborg_kms sqlite3) -Wl,-rpath,"$PREFIX/lib"
"$work/sqlite_store" "$work/catalog.db" "$work/catalog.key"
sqlite_rows=$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM cyborg_kms_record").fetchone()[0])' "$work/catalog.db")
[ "$sqlite_rows" = 2 ] || die "expected 2 records in the table, found $sqlite_rows"
say "records committed and rolled back with the host's rows"
