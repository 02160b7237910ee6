#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of this folder on several harts.

    run.py [--doppel PATH] [--build DIR] [--qemu] [PROGRAM]...

Each "ok NAME" or "FAIL NAME" line of a program is a TAP case; a program that does
not end is another. A figure ("# ...") tells how often something was seen or done.
"""
import argparse
import importlib.util
import os
import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
GUEST = HERE.parent / "guest"
TIMEOUT_S = 60

# Sources besides NAME.c
MACHINE = [HERE / "machine.c", GUEST / "start.S", GUEST / "runtime.c", GUEST / "print.c"]
SUPERVISOR = [HERE / "supervisor.S", GUEST / "print.c"]
PROGRAMS = [("shapes", 2), ("shapes", 4), ("contention", 2), ("contention", 4),
            ("dirty", 2), ("dirty", 4), ("ipi", 2), ("ipi", 4), ("sbi", 2), ("sbi", 4),
            ("patch", 2), ("patch", 4)]
# Again with little room for code and other troubles of the translator.
JIT_MODES = {"patch": ["cache=1M,unit=3", "no-chain", "cache=1M,no-fast-memory"],
             "contention": ["unit=1,no-inline", "cpu=none"], "shapes": ["unit=1,no-inline"],
             "dirty": ["no-fast-memory"]}
SBI = {"sbi"}


def guest_driver():
    """tests/guest/run.py, which knows how to compile and to run."""
    spec = importlib.util.spec_from_file_location("guest_run", GUEST / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(name, harts, lines, fault):
    """(good, text) of each result of a run."""
    results = []
    for line in lines:
        match = re.match(r"(ok|FAIL) (.*)$", line)
        if match:
            results.append((match[1] == "ok", match[2]))
    if fault or "end" not in lines:
        results.append((False, fault or "no end: " + " / ".join(lines[-3:])))
    else:
        results.append((True, "the end"))
    return [(good, f"{name} on {harts} harts: {text}") for good, text in results]


def command(options, name, harts, elf, mode):
    firmware = ["--firmware", "builtin"] if name in SBI else []
    if options.qemu:
        return ["qemu-system-riscv64", "-M", "virt", "-m", "256M", "-nographic", "-smp", str(harts),
                *([] if firmware else ["-bios", "none"]), "-kernel", str(elf)]
    jit = ["--jit", mode] if mode else []
    return [options.doppel, "boot", "--memory", "256M", "--cpus", str(harts), *jit, *firmware,
            str(elf)]


def run(options, guest, name, harts, elf, mode, number):
    """One machine; returns how many cases there are now, and whether all passed."""
    lines, fault = guest.execute(command(options, name, harts, elf, mode), TIMEOUT_S)
    passed = True
    for good, text in cases(f"{name} {mode}".strip(), harts, lines, fault):
        number += 1
        passed &= good
        print("not " * (not good) + f"ok {number} - {text}")
    print("".join(line + "\n" for line in lines if line.startswith("#")), end="", flush=True)
    return number, passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--doppel", default=os.environ.get("DOPPEL", "build/doppel"))
    parser.add_argument("--build", type=pathlib.Path, help="where the ELF files go")
    parser.add_argument("--qemu", action="store_true", help="M-mode programs under QEMU instead")
    parser.add_argument("programs", nargs="*", help="such as shapes")
    options = parser.parse_args()

    guest = guest_driver()
    compiler = guest.find_compiler()
    if not compiler:
        print("1..0 # SKIP no " + " or ".join(guest.COMPILERS))
        return 77
    number, passed = 0, True
    with tempfile.TemporaryDirectory() as folder:
        options.build = options.build or pathlib.Path(folder)
        options.build.mkdir(parents=True, exist_ok=True)
        for name, harts in PROGRAMS:
            if options.programs and name not in options.programs or options.qemu and name in SBI:
                continue
            elf = options.build / f"{name}-{harts}.elf"
            sources = [HERE / (name + ".c")] + (SUPERVISOR if name in SBI else MACHINE)
            guest.link(compiler, elf, sources, f"-DHARTS={harts}")
            modes = JIT_MODES.get(name, []) if harts == 4 and not options.qemu else []
            for mode in [""] + modes:
                number, good = run(options, guest, name, harts, elf, mode, number)
                passed &= good
    print(f"1..{number}")
    return not passed


if __name__ == "__main__":
    sys.exit(main())
