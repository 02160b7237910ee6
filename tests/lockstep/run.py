#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs guests under the interpreter and the translator at once, in every mode of
the translator.

    run.py [--guests | --streams | --debian] [--long] [--lockstep PATH] [--build DIR]

`--long` is what takes an hour: every guest to its end and Debian's boot in all
modes, with several lengths of the steps. One TAP case for each run.
"""
import argparse
import concurrent.futures
import importlib.util
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
FEATURES = ["sse41", "popcnt", "lzcnt", "bmi1", "bmi2", "movbe", "pclmul", "cx16", "avx", "avx2",
            "f16c", "fma", "avx512"]
# As the option --jit takes them. Those of pathological sizes and of other ways first.
MODES = ["", "no-chain", "no-fast-memory", "no-inline", "unit=1", "unit=3,cache=1M", "cpu=none",
         "no-chain,no-fast-memory,unit=2,cpu=-bmi2"]
FEATURE_MODES = [f"cpu=-{feature}" for feature in FEATURES]
# Programs that a single missing feature can make a difference to.
FEATURE_PROGRAMS = {"instructions", "atomics", "misaligned"}
# Most instructions in short runs. Only `instructions` is longer; the modes have
# tests/differential for what is behind.
MOST = 4000000
TIMEOUT_S = 120
LONG_TIMEOUT_S = 1800


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Tap:
    """Numbers cases; `number` is how many there were."""

    def __init__(self):
        self.number, self.passed = 0, True

    def result(self, good, name, lines=()):
        self.number += 1
        self.passed &= good
        print("not " * (not good) + f"ok {self.number} - {name}")
        for line in lines if not good else lines[-1:]:
            print("# " + line)
        sys.stdout.flush()

    def skip(self, name, reason):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)


def execute(options, arguments, status=0):
    """Whether it went as it should, and what it printed."""
    timeout_s = LONG_TIMEOUT_S if options.long else TIMEOUT_S
    try:
        result = subprocess.run([options.lockstep, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return False, [f"no end after {timeout_s} s"]
    lines = result.stdout.decode(errors="replace").splitlines()
    return (result.returncode == status and bool(lines),
            lines[-60:] + [f"status {result.returncode}"] * (result.returncode != 0))


def run(options, tap, name, *arguments):
    good, lines = execute(options, arguments)
    tap.result(good, name, lines)


def run_all(options, tap, jobs):
    """Each a name, arguments and a status; as many at once as there are CPUs."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda job: execute(options, *job[1:]), jobs)
        for job, (good, lines) in zip(jobs, outcomes):
            tap.result(good, job[0], lines)


def run_guests(options, tap):
    guest = load(TESTS / "guest" / "run.py")
    compiler = guest.find_compiler()
    if not compiler:
        tap.skip("guests", "no " + " or ".join(guest.COMPILERS))
        return
    jobs = [("a planted difference is found",
             ("--firmware-none", "--plant", guest.build(compiler, options.build, "traps")), 1)]
    common = ("--firmware-none", "--cpu", "max,sv57")
    for name in guest.PROGRAMS:
        elf = guest.build(compiler, options.build, name)
        features = options.long or name in FEATURE_PROGRAMS
        for mode in MODES + FEATURE_MODES * features:
            most = [] if options.long or not mode else ["--most", MOST]
            if name == "instructions" and not options.long:
                most = ["--most", MOST if mode else 8 * MOST]
            jit = ["--jit", mode] if mode else []
            jobs.append((f"{name} {mode}".strip(), (*common, *jit, *most, elf)))
        jobs.append((f"{name}, shortest steps",
                     (*common, "--step", 1, "--most", MOST if options.long else 1000000, elf)))
    run_all(options, tap, jobs)


def write_ops(path):
    """insns.def as streams.c wants it: struct op ops[]."""
    rows = load(TESTS / "guest" / "gen_instructions.py").ROW
    lines = ["enum kind { PLAIN, MEMORY, ATOMIC, BRANCH, JAL, JALR, CSR, ROUNDING };",
             "static const struct op { uint32_t match, mask; enum kind kind; } ops[] = {"]
    text = (TESTS.parent / "src/isa/insns.def").read_text(encoding="utf-8")
    names = []
    for name, _, form, pattern, _, flags in rows.findall(text):
        names.append(f"OP_{name}")
        bits = pattern.replace(" ", "")
        match = int(bits.replace(".", "0"), 2)
        mask = int(re.sub("[01]", "1", bits).replace(".", "0"), 2)
        kind = {"jal": "JAL", "jalr": "JALR"}.get(name, "PLAIN")
        if "IS_BRANCH" in flags:
            kind = "BRANCH"
        elif "IS_ATOMIC" in flags:
            kind = "ATOMIC"
        elif "IS_LOAD" in flags or "IS_STORE" in flags or name.startswith("cbo"):
            kind = "MEMORY"
        elif name.startswith("csr"):
            kind = "CSR"
        elif form.endswith("RM") or form == "R4":
            kind = "ROUNDING"
        lines.append(f"    {{0x{match:08x}, 0x{mask:08x}, {kind}}}, /* {name} */")
    lines += ["};", "enum { " + ", ".join(names) + " }; /* their places */"]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def run_streams(options, tap):
    guest = load(TESTS / "guest" / "run.py")
    compiler = guest.find_compiler()
    if not compiler:
        tap.skip("random streams", "no " + " or ".join(guest.COMPILERS))
        return
    write_ops(options.build / "stream_ops.h")
    modes = MODES + FEATURE_MODES
    seed = options.seed or random.SystemRandom().randrange(1 << 32)
    for number in range(options.count or (40 * len(modes) if options.long else len(modes))):
        elf = options.build / f"streams-{number % len(modes)}.elf"
        mode = modes[number % len(modes)] if options.mode is None else options.mode
        storm = number % 3 == 1
        sources = [HERE / "streams.c", HERE / "streams.S"] + [
            TESTS / "guest" / name for name in ("start.S", "runtime.c", "print.c")]
        guest.link(compiler, elf, sources, "-I", str(options.build), f"-DSEED={seed + number}ull",
                   f"-DTRAPS={20000 if options.long else 3000}", f"-DSTORM={int(storm)}")
        run(options, tap, f"stream of seed {seed + number}{' (storm)' * storm} {mode}".strip(),
            "--firmware-none", "--step", (1, 4, 50)[number // 3 % 3], "--seed", seed + number,
            *(["--jit", mode] if mode else []), elf)


def run_debian(options, tap):
    sys.path.insert(0, str(TESTS / "integration"))
    guests = importlib.import_module("guests")
    skip = importlib.import_module("tap").Skip
    try:
        kernel = guests.kernel()
        initramfs = guests.initramfs(command="ls -l /bin; md5sum /bin/busybox")
    except skip as reason:
        tap.skip("Debian's boot", reason)
        return
    run(options, tap, "Debian's boot", kernel, initramfs)
    if not options.long:
        return
    for mode in MODES[1:] + FEATURE_MODES:
        run(options, tap, f"Debian's boot {mode}", "--jit", mode, kernel, initramfs)
    for seed, step in ((2, 5), (3, 1000), (4, 20000)):
        run(options, tap, f"Debian's boot in steps of {step}", "--seed", seed, "--step", step,
            kernel, initramfs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lockstep", default="build/tests/lockstep/lockstep")
    parser.add_argument("--build", type=pathlib.Path, help="where the ELF files go")
    parser.add_argument("--long", action="store_true", help="what takes an hour")
    for what, text in (("guests", "tests/guest"), ("streams", "random instructions"),
                       ("debian", "Debian's boot")):
        parser.add_argument("--" + what, dest="only", action="append_const", const=what,
                            help="only " + text)
    parser.add_argument("--seed", type=int, help="of the first stream; then they count up")
    parser.add_argument("--count", type=int, help="of streams")
    parser.add_argument("--mode", help="the one to run streams in")
    options = parser.parse_args()

    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        options.build = options.build or pathlib.Path(folder)
        options.build.mkdir(parents=True, exist_ok=True)
        for what, function in (("guests", run_guests), ("streams", run_streams),
                               ("debian", run_debian)):
            if not options.only or what in options.only:
                function(options, tap)
    print(f"1..{tap.number}")
    return not tap.passed


if __name__ == "__main__":
    sys.exit(main())
