#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a file under src/ includes what its layer may not see.

    check_layers.py [ROOT]

tools/layers.txt is the map. Refused: a folder that is not on the map, a map with
a cycle, an include of a folder that is not listed, an include without a folder,
and a header of the hosted C library in a freestanding ('-libc') layer.
"""
import fnmatch
import pathlib
import re
import sys

FREESTANDING = {"float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h",
                "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">\n]+)[">]', re.M)
SUFFIXES = {".c", ".h", ".S", ".def"}


class Layer:
    def __init__(self, freestanding, allowed):
        self.freestanding = freestanding
        self.allowed = allowed  # folders, or patterns of single headers

    def may_include(self, header):
        return any(fnmatch.fnmatch(header, word if "/" in word else word + "/*")
                   for word in self.allowed)


def read_map(path):
    layers = {}
    for line in path.read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            left, right = line.split("=")
            name, _, flags = left.partition(":")
            layers[name.strip()] = Layer("-libc" in flags, right.split())
    return layers


def reachable(layers, start):
    seen, todo = set(), [start]
    while todo:
        layer = layers.get(todo.pop())
        for word in layer.allowed if layer else []:
            folder = word.split("/")[0]
            if folder not in seen:
                seen.add(folder)
                todo.append(folder)
    return seen


def check_map(layers):
    for name, layer in layers.items():
        if name in reachable(layers, name):
            yield f"tools/layers.txt: '{name}' depends on itself"
        for word in layer.allowed:
            below = layers.get(word.split("/")[0])
            if below is None:
                yield f"tools/layers.txt: '{name}' lists '{word}', which is not on the map"
            elif layer.freestanding and not below.freestanding:
                yield f"tools/layers.txt: freestanding '{name}' lists '{word}', which is not"


def check_include(layers, own, kind, header):
    """What is wrong with one include line of a file in folder `own`, or None."""
    layer = layers[own]
    if kind == "<":
        if layer.freestanding and header not in FREESTANDING:
            return f"<{header}> in freestanding layer '{own}'"
    elif "/" not in header:
        return f'"{header}": write the folder too ("{own}/{header}")'
    elif header.split("/")[0] != own and not layer.may_include(header):
        return f"layer '{own}' may not include \"{header}\""
    elif header.split("/")[0] != own and header.endswith("_internal.h"):
        return f'"{header}" belongs to its folder alone'
    return None


def check_file(layers, root, path):
    own = path.relative_to(root / "src").parts[0]
    name = path.relative_to(root)
    if own not in layers:
        yield f"{name}: folder '{own}' is not in tools/layers.txt"
        return
    text = path.read_text()
    for match in INCLUDE.finditer(text):
        fault = check_include(layers, own, *match.groups())
        if fault:
            yield f"{name}:{text.count(chr(10), 0, match.start(1)) + 1}: {fault}"


def check(root):
    layers = read_map(root / "tools/layers.txt")
    faults = list(check_map(layers))
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in SUFFIXES:
            faults += check_file(layers, root, path)
    return faults


def main():
    faults = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(faults) or "layers: ok")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
