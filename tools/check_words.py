#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a text of the project names a package archive or a home folder.

    check_words.py [ROOT]

Packages come from the archive that the machine's own apt uses; a host name in
the tree would tie the project to one mirror. Build folders are not looked at.
"""
import os
import pathlib
import re
import sys

SKIPPED = re.compile(r"^(build.*|\.git|__pycache__)$")
FORBIDDEN = [
    (re.compile(r"\b[a-z0-9.-]+\.(debian|ubuntu|debian-ports|kernel)\.(org|net|com)\b", re.I),
     "the host name of an archive"),
    (re.compile(r"\b(pypi|files\.pythonhosted|registry\.npmjs|static\.crates)\.(org|io)\b", re.I),
     "the host name of a package registry"),
    (re.compile(r"(?<![\w.])/(home|root)/[\w.]"), "a path of somebody's machine"),
]


def text_files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not SKIPPED.match(name))
        for name in sorted(names):
            path = pathlib.Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path


def check_file(path, name):
    data = path.read_bytes()
    if b"\0" in data:
        return
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        for pattern, what in FORBIDDEN:
            match = pattern.search(line)
            if match:
                yield f"{name}:{number}: {what}: {match.group()}"


def check(root):
    faults = []
    for path in text_files(root):
        faults += check_file(path, path.relative_to(root))
    return faults


def main():
    faults = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(faults) or "words: ok")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
