#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the bare-metal programs of this folder and compares what they print.

    run.py [--doppel PATH] [--build DIR] [PROGRAM]...   under doppel, against expected/
    run.py --qemu                                       the same under qemu-system-riscv64
    run.py --update-from-qemu                           writes expected/ from what QEMU prints

One TAP case for each program. QEMU 7.2 lacks some features and errs in others;
there the programs judge by the specification ("ok NAME" or "FAIL NAME ..."), and
expected/deviations.txt lists what QEMU got wrong.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ISA = HERE.parents[1] / "src/isa"
COMPILERS = ["riscv64-unknown-elf-gcc", "riscv64-linux-gnu-gcc"]
FLAGS = ["-nostdlib", "-ffreestanding", "-static", "-fno-pic", "-no-pie", "-O2", "-I", str(HERE),
         "-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-Wall", "-Wextra",
         "-Wno-missing-field-initializers", "-Werror", "-fno-stack-protector",
         "-fno-tree-loop-distribute-patterns",
         "-Wl,--no-relax,--build-id=none,--no-warn-rwx-segments", "-T", str(HERE / "link.ld")]
COMMON = ["start.S", "runtime.c", "print.c", "mmu.c"]
QEMU = ["qemu-system-riscv64", "-M", "virt", "-m", "256M", "-nographic", "-bios", "none",
        "-cpu", "rv64,svinval=on,svnapot=on,svpbmt=on"]
DOPPEL = ["boot", "--memory", "256M", "--cpu", "max,sv57"]
TIMEOUT_S = 120

# name: sources besides COMMON and name.c
PROGRAMS = {
    "instructions": ["state.S", "instructions_table.S"],
    "traps": [],
    "csrs": [],
    "counters": [],
    "pmp": [],
    "mmu_walk": [],
    "mmu_update": [],
    "mmu_access": [],
    "mmu_switch": [],
    "misaligned": [],
    "atomics": [],
    "interrupts": [],
    "code": [],
    "patching": [],
    "memory_end": [],
    "cbo": [],
}
# QEMU cannot run these; all their lines are checks.
WITHOUT_QEMU = {"memory_end"}
# Faults of doppel that are known: reported as TODO until they are repaired.
KNOWN = {}


def find_compiler():
    return next((c for c in COMPILERS if shutil.which(c)), None)


def is_fresh(target, sources):
    return target.exists() and all(
        target.stat().st_mtime >= source.stat().st_mtime for source in sources)


def link(compiler, elf, sources, *flags):
    subprocess.run([compiler, *FLAGS, *flags, "-o", str(elf), *map(str, sources)], check=True)


def build(compiler, folder, name):
    """Compiles one program; returns the path of its ELF file."""
    elf = folder / (name + ".elf")
    shared = [p for p in HERE.iterdir() if p.suffix in (".h", ".ld", ".py")]
    sources = [HERE / s for s in COMMON + [name + ".c"] + PROGRAMS[name]]
    if "instructions_table.S" in PROGRAMS[name]:
        table = folder / "instructions_table.S"
        sources[sources.index(HERE / "instructions_table.S")] = table
        tables = [HERE / "gen_instructions.py", ISA / "insns.def", ISA / "compressed.def"]
        if not is_fresh(table, tables):
            with open(table, "w", encoding="ascii") as out:
                subprocess.run([sys.executable, str(tables[0]), str(ISA)], stdout=out, check=True)
    if not is_fresh(elf, sources + shared):
        link(compiler, elf, sources)
    return elf


def execute(command, timeout_s=TIMEOUT_S):
    """The lines a machine prints, and what went wrong with it, if anything."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as late:
        lines = (late.stdout or b"").decode(errors="replace").splitlines()
        return lines, f"no end after {timeout_s} s"
    fault = f"exit status {result.returncode}" if result.returncode else None
    return result.stdout.decode(errors="replace").splitlines(), fault


def as_expected(lines):
    """What an implementation without faults prints, and the faults of this one."""
    good, faults = [], []
    for line in lines:
        match = re.match(r"FAIL (.*?)(?: got ([0-9a-f]+) want ([0-9a-f]+))?$", line)
        if match:
            faults.append(line)
            line = "ok " + match.group(1)
        good.append(line)
    return good, faults


def compare(name, lines, fault):
    """(problems, known problems) of a run of doppel."""
    good, faults = as_expected(lines)
    known = sorted({k for line in faults for k in KNOWN if line.startswith(f"FAIL {k} ")})
    problems = [line for line in faults
                if not any(line.startswith(f"FAIL {k} ") for k in known)]
    if fault:
        problems.append(fault)
    if name in WITHOUT_QEMU:
        if not good:
            problems.append("it printed nothing")
        return problems, known
    wanted = (HERE / "expected" / (name + ".txt")).read_text(encoding="ascii").splitlines()
    for number, (got, want) in enumerate(zip(good, wanted), 1):
        if got != want:
            problems.append(f"line {number}: '{got[:300]}', expected '{want[:300]}'")
    if len(good) != len(wanted):
        problems.append(f"{len(good)} lines, expected {len(wanted)}")
    return problems, known


def update(name, elf):
    """Writes the expected output; returns QEMU's own faults."""
    if name in WITHOUT_QEMU:
        return []
    lines, fault = execute(QEMU + ["-kernel", str(elf)])
    if fault:
        sys.exit(f"{name}: QEMU: {fault}")
    good, faults = as_expected(lines)
    (HERE / "expected" / (name + ".txt")).write_text("\n".join(good) + "\n", encoding="ascii")
    seen = []
    for line in faults:
        # Addresses of the program depend on the compiler.
        line = re.sub(r"\b8[0-9a-f]{7}\b", "ADDRESS", line)
        line = re.sub(r" got [0-9a-f]+ want", " got ANY want", line) if name == "counters" else line
        if line not in seen:
            seen.append(line)
    return [f"{name}: {line[5:]}" for line in seen]


def run_all(options, names, compiler):
    """Prints TAP; returns whether all went well."""
    passed = True
    print(f"1..{len(names)}", flush=True)
    for number, name in enumerate(names, 1):
        elf = build(compiler, options.build, name)
        command = (QEMU + ["-kernel", str(elf)] if options.qemu
                   else [options.doppel, *DOPPEL, str(elf)])
        problems, known = compare(name, *execute(command))
        passed &= not problems
        todo = known and not problems
        print("not " * bool(problems or known) + f"ok {number} - {name}"
              + " # TODO " * bool(todo) + "; ".join(KNOWN[k] for k in known if todo))
        for problem in problems[:20]:
            print("# " + problem)
        sys.stdout.flush()
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--doppel", default=os.environ.get("DOPPEL", "build/doppel"))
    parser.add_argument("--build", type=pathlib.Path, help="where the ELF files go")
    parser.add_argument("--qemu", action="store_true")
    parser.add_argument("--update-from-qemu", action="store_true")
    parser.add_argument("programs", nargs="*", help=" ".join(PROGRAMS))
    options = parser.parse_args()

    compiler = find_compiler()
    if not compiler:
        print("1..0 # SKIP no " + " or ".join(COMPILERS))
        return 77
    names = options.programs or list(PROGRAMS)
    with tempfile.TemporaryDirectory() as folder:
        options.build = options.build or pathlib.Path(folder)
        options.build.mkdir(parents=True, exist_ok=True)
        if options.update_from_qemu:
            faults = []
            for name in names:
                faults += update(name, build(compiler, options.build, name))
            if not options.programs:
                (HERE / "expected/deviations.txt").write_text("\n".join(faults) + "\n",
                                                              encoding="ascii")
            return 0
        return not run_all(options, names, compiler)


if __name__ == "__main__":
    sys.exit(main())
