#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a C file or function is longer than its budget.

    check_budget.py [ROOT]

A file has 1200 lines, a function 100 from its opening brace to its closing one.
A comment  /* long: reason */  above or inside a function lifts its budget.
Tables (.def) have none. Relies on the layout that clang-format makes: the braces
of a function stand in the first column.
"""
import pathlib
import re
import sys

FILE_LINES = 1200
FUNCTION_LINES = 100
FOLDERS = ("src", "tests", "tools")
REASON = re.compile(r"/\* long: [^*\s]")


def check_file(path, name):
    lines = path.read_text().splitlines()
    if len(lines) > FILE_LINES:
        yield f"{name}: {len(lines)} lines, at most {FILE_LINES}"
    start = above = 0
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}"):
            length = number - start
            if start and length > FUNCTION_LINES and not REASON.search(
                    "\n".join(lines[above:number])):
                yield (f"{name}:{start}: a function of {length} lines, at most {FUNCTION_LINES} "
                       "without a comment /* long: reason */")
            start, above = 0, number


def check(root):
    faults = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.[ch]")):
            faults += check_file(path, path.relative_to(root))
    return faults


def main():
    faults = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(faults) or "budget: ok")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
