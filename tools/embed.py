#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a C array of a file, for texts that are easier to read as files of their own.

    embed.py NAME INPUT OUTPUT        static const unsigned char NAME[] = {...};
"""
import pathlib
import sys

PER_LINE = 16


def main(name, source, target):
    data = pathlib.Path(source).read_bytes()
    lines = [", ".join(str(byte) for byte in data[at:at + PER_LINE]) + ","
             for at in range(0, len(data), PER_LINE)]
    pathlib.Path(target).write_text(
        f"static const unsigned char {name}[] = {{\n" + "\n".join(lines) + "\n};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
