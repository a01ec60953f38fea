#!/bin/sh
# The committed src/generated/kms_blob.rs is what schema/kms_blob.fbs gives, and the schema
# reads what CyborgDB wrote. FLATC: see schema/generate.sh. PYTHON: any Python 3.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
flatc=${FLATC:-flatc}
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

FLATC=$flatc "$root/schema/generate.sh" "$scratch/generated"
if ! diff -u "$root/src/generated/kms_blob.rs" "$scratch/generated/kms_blob.rs"; then
    echo "schema.sh: src/generated/kms_blob.rs is not what the schema gives: run schema/generate.sh" >&2
    exit 1
fi

vectors=$root/tests/vectors/cyborgdb-0.18
"$python" - "$flatc" "$root/schema/kms_blob.fbs" "$vectors" "$scratch" <<'PYTHON'
import json, pathlib, shutil, subprocess, sys

flatc, schema, vectors, scratch = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
cases = json.loads((vectors / "expected.json").read_text())
assert cases, "no vectors"
for number, case in enumerate(cases):
    record = scratch / f"{number}.bin"
    shutil.copy(vectors / case["file"], record)
    command = [flatc, "--json", "--strict-json", "--raw-binary", "--defaults-json", "-o", scratch]
    subprocess.run([*command, schema, "--", record], check=True)
    got = json.loads((scratch / f"{number}.json").read_text())
    for field in ("kms_name", "provider", "key_id", "region"):
        assert got.get(field, "") == case[field], (case["file"], field, got)
    assert bytes(got.get("wrapped_kek", [])).hex() == case["wrapped_kek_hex"], case["file"]
    for field in ("version", "created_at"):
        assert got[field] == case[field], (case["file"], field, got)
    assert got["envelope_version"] == 0 and "data_keys" not in got, case["file"]
print(f"schema.sh: {len(cases)} records of CyborgDB read, 0 failed; the generated code is up to date")
PYTHON
