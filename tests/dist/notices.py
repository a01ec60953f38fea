"""notices.py LINKED SBOM LICENSES: that both have the crates of LINKED (lines "name vVERSION"), and the SBOM nothing else.

The SBOM is held against CycloneDX's own schema.
"""

import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(linked, sbom, licenses):
    text = pathlib.Path(sbom).read_text()
    fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if fault:
        sys.exit(f"{sbom} is no CycloneDX: {fault}")
    crates = {tuple(line.split(" v")) for line in pathlib.Path(linked).read_text().splitlines()}
    crates = {crate for crate in crates if crate[0] != "cyborg_kms"}
    found = json.loads(text)
    if found["metadata"]["component"]["name"] != "cyborg_kms":
        sys.exit(f"{sbom} is of {found['metadata']['component']['name']}")
    components = {(part["name"], part["version"]) for part in found["components"]}
    if len(crates) < 150 or not crates <= components:
        sys.exit(f"{sbom} lacks {sorted(crates - components)} of {len(crates)} crates")
    more = components - crates
    # Macros run in the compiler; what they write is in the library.
    if len(more) > len(crates) / 5:
        sys.exit(f"{sbom} has more than is linked: {sorted(more)}")
    notices = pathlib.Path(licenses).read_text()
    missing = [f"{name} {version}" for name, version in sorted(crates) if f"  {name} {version}" not in notices]
    if missing:
        sys.exit(f"{licenses} lacks {missing}")
    if notices.count("Permission is hereby granted") < 20 or "Apache License" not in notices:
        sys.exit(f"{licenses} has names, but no texts")
    print(f"{len(crates)} crates, each in the bill of materials and with its license")


main(*sys.argv[1:])
