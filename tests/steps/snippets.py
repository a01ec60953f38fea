"""snippets.py OUT FILE...: writes each ```c block of the files to OUT/NAME-LINE.c.

A block with an #include is a whole file; any other becomes the body of a function. In a header the blocks stand in
comments, whose `//` or `*` is taken off.
"""

import pathlib
import re
import shutil
import sys


def blocks(path):
    lines, start = [], None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if path.suffix == ".h":
            line = re.sub(r"^\s*(//|\*) ?", "", line)
        if start is None and line.strip() == "```c":
            lines, start = [], number
        elif start is not None and line.strip() == "```":
            yield start, lines
            start = None
        elif start is not None:
            lines.append(line)
    if start is not None:
        sys.exit(f"{path}:{start}: the block does not end")


def main(out, *files):
    out = pathlib.Path(out)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for file in map(pathlib.Path, files):
        for line, block in blocks(file):
            text = "\n".join(block) + "\n"
            if "#include" not in text:
                text = (
                    "#include <cyborg_kms.h>\n#include <stdio.h>\n#include <string.h>\n"
                    f'void snippet(void);\nvoid snippet(void) {{\n#line {line + 1} "{file}"\n{text}}}\n'
                )
            (out / f"{file.stem}-{line}.c").write_text(text)
        if file.name == "README.md" and not list(out.glob("README-*.c")):
            sys.exit("README.md has no C example, and a newcomer looks for one")


main(*sys.argv[1:])
