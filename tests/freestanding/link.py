#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles all of the '-libc' folders freestanding, links them with libc.c and
nothing else, and runs main.c: proof that a hypervisor could have them.

    link.py ROOT GENERATED-INCLUDES COMPILER...

Objects are linked, not libraries, so every reference of every file must resolve.
libgcc is the compiler's own (128-bit division) and is allowed. A planted call of
the C library must not link. Prints TAP.
"""
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parents[1] / "tools"))

import check_layers  # noqa: E402

FLAGS = ["-std=gnu17", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-O1", "-w"]
FAULT = "int puts(const char *); int planted(void); int planted(void) { return puts(\"\"); }\n"


def sources(root):
    layers = check_layers.read_map(root / "tools/layers.txt")
    for name in sorted(name for name, layer in layers.items() if layer.freestanding):
        yield from sorted((root / "src" / name).rglob("*.c"))


def run(command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False)


class Build:
    def __init__(self, root, generated, compiler, folder):
        self.compiler, self.folder = compiler, folder
        self.includes = ["-I", root / "src", "-I", generated]
        self.faults = []

    def compile(self, numbered):
        number, source = numbered
        target = self.folder / f"{number}.o"
        result = run(self.compiler + FLAGS + self.includes + ["-c", source, "-o", target])
        if result.returncode:
            self.faults.append(result.stderr)
        return target

    def compile_all(self, files):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(self.compile, enumerate(files)))

    def link(self, objects):
        program = self.folder / "program"
        result = run(self.compiler + ["-nostdlib", "-static", "-no-pie", "-o", program] + objects
                     + ["-lgcc"])
        return program, result


def report(number, name, good, text=""):
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if not good:
        print("".join(f"# {line}\n" for line in text.splitlines()[:40]), end="")
    return good


def main():
    root, generated = (pathlib.Path(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        planted = folder / "planted.c"
        planted.write_text(FAULT)
        build = Build(root, generated, sys.argv[3:], folder)
        files = list(sources(root))
        objects = build.compile_all(files + [HERE / "libc.c", HERE / "main.c", planted])
        print("1..4")
        good = report(1, f"{len(files)} files compile freestanding", files and not build.faults,
                      "\n".join(build.faults))
        program, result = build.link(objects[:-1])
        good &= report(2, "they link without a C library", result.returncode == 0, result.stderr)
        good &= report(3, "the program runs",
                       result.returncode == 0 and run([program]).returncode == 0)
        _, result = build.link(objects)
        good &= report(4, "a planted call of the C library does not link",
                       result.returncode != 0 and "puts" in result.stderr, result.stderr)
    return not good


if __name__ == "__main__":
    sys.exit(main())
