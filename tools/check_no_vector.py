#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when code that translated code calls could lose guest state which is kept
in vector registers of an x86-64 host.

    check_no_vector.py LIBRARY...

Disassembles the libraries (or objects) with objdump. No instruction may name a
vector register, and nothing outside the libraries may be called, because it may
use them: but for the functions of COLD, which translated code does not call
without saving its state.
"""
import re
import subprocess
import sys

VECTOR = re.compile(r"%[xyz]mm\d|%k[0-7]\b|%mm\d|%st\b")
FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:")
# NAME, or .text.unlikely+0x5 for what has no name of its own, less the addend
RELOCATION = re.compile(r"\bR_X86_64_(?:PLT32|PC32|GOTPCRELX?|REX_GOTPCRELX)\s+([^\s+-]+)")
# They end the process.
NEVER_RETURN = {"__stack_chk_fail", "assert_failed"}
# Accesses to devices, which call device models, and what only devices and set-up
# call.
COLD = re.compile(r"(hart_load|hart_store|load_in_page|store_resolved|space_read|space_write|"
                  r"dma_\w+|copy_\w+|space_add_\w+)(\.\w+)*$")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def defined(libraries):
    names = set()
    for line in output("nm", "--defined-only", *libraries).splitlines():
        words = line.split()
        if len(words) == 3:
            names.add(words[2])
    return names


def check(libraries):
    """Faults, and how many functions were looked at."""
    own = defined(libraries) | NEVER_RETURN
    faults = []
    functions = 0
    function = ""
    for line in output("objdump", "-dr", "--no-show-raw-insn", *libraries).splitlines():
        start = FUNCTION.match(line)
        if start:
            function = start[1]
            functions += 1
        if VECTOR.search(line):
            faults.append(f"{function}: uses a vector register: {line.strip()}")
        target = RELOCATION.search(line)
        if target and not target[1].startswith(".") and target[1] not in own \
                and not COLD.match(function):
            faults.append(f"{function}: refers to {target[1]}, which may use vector registers")
    return faults, functions


def main():
    faults, functions = check(sys.argv[1:])
    for fault in faults:
        print(fault, file=sys.stderr)
    if functions == 0:
        print("no_vector: no function found", file=sys.stderr)
        return 1
    if not faults:
        print(f"no_vector: ok, {functions} functions")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
