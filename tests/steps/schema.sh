#!/usr/bin/env bash
# The generated FlatBuffers code is what the schema gives, and the schema reads CyborgDB's records.
. "$(dirname "$0")/../../scripts/common.sh"

FLATC=$BUILD/venv/bin/flatc PYTHON=$BUILD/venv/bin/python tests/schema.sh
