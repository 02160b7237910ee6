#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the translator tells about itself, and guests that try to make it write
outside its cache, take memory without bound or hold other harts up.

    translator_test.py DOPPEL [--long] [--only REGEX]
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import tap
from assembler import elf
from process import Doppel
from tap import case, check, check_equal, check_in

MIB = 1 << 20
ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 1.0

END = """
pass:
    li   t0, 0x100000
    li   t1, 0x5555
    sw   t1, 0(t0)
passed: j passed
"""

# A loop long enough to be worth a look.
COUNT = """
    li   s0, 200000
loop:
    addi s1, s1, 3
    xor  s2, s2, s1
    sd   s2, 0(sp)
    ld   s3, 0(sp)
    addi s0, s0, -1
    bnez s0, loop
    j    pass
"""
STACK = "    li   sp, 0x80100000\n"


def start(folder, text, *arguments):
    path = folder / "guest.elf"
    path.write_bytes(elf(text))
    return Doppel("--memory", 128 * MIB, "--firmware", "none", *arguments, path, terminal=False)


def run(folder, text, *arguments, limit_s=60):
    machine = start(folder, text, *arguments)
    machine.check_exit(0, limit_s)
    return machine


# ---- what it tells ----

@case("--stats=json has the figures of the translator, and only of it")
def _(folder):
    stats = json.loads(run(folder, STACK + COUNT + END, "--stats=json").errors())
    own = stats["translator"]
    check(stats["instructions"] > 1200000, f"{stats}")
    for name in ("units", "guest_instructions", "host_bytes", "translate_ns", "cache_used"):
        check(own[name] > 0, f"{name} is {own[name]}")
    check(own["guest_instructions"] < 1000, "it translates more than there is")
    check(own["jump_misses"] + own["fallbacks"] < 10000, "translated code is left all the time")
    stats = json.loads(run(folder, STACK + COUNT + END, "--stats=json", "--engine",
                           "interp").errors())
    check("translator" not in stats, "figures of what was not used")


@case("--jit modes show in the figures")
def _(folder):
    def figures(mode):
        machine = run(folder, STACK + COUNT + END, "--stats=json", "--jit", mode)
        return json.loads(machine.errors())["translator"]

    check_equal(figures("no-chain")["links"], 0, "links without chaining")
    check(figures("no-fast-memory")["slow_accesses"] > 100000, "accesses are slow")
    check(figures("no-inline")["fallbacks"] > 500000, "the interpreter executes")
    check(figures("unit=1")["units"] >= figures("unit=100")["units"], "units are short")


@case("--stats is text for people")
def _(folder):
    text = run(folder, STACK + COUNT + END, "--stats").errors()
    for part in ("translated: ", "units", "ns each", "code cache:", "flushes", "TLB refills"):
        check_in(part, text, "--stats")


@case("--log=jit=debug lists guest beside host code, which can be disassembled")
def _(folder):
    log = run(folder, STACK + COUNT + END, "--log", "jit=debug").errors()
    check(re.search(r"jit: unit 8[0-9a-f]+-8[0-9a-f]+ M3 rne: \d+ instructions, ", log),
          f"no unit in {log[:300]!r}")
    check(re.search(r"jit:   8[0-9a-f]+ 00348493 add\ts1,s1,3\n.*jit:     hot  [0-9a-f]+: "
                    r"[0-9a-f]+\n", log), "addi s1, s1, 3 and what became of it")
    if subprocess.run(["sh", "-c", "command -v objdump"], stdout=subprocess.DEVNULL,
                      check=False).returncode:
        raise tap.Skip("no objdump")
    listing = subprocess.run([sys.executable, str(ROOT / "tools/jit_listing")], input=log,
                             stdout=subprocess.PIPE, check=True, text=True).stdout
    check(re.search(r"add\ts1,s1,3\n( +[0-9a-f]+  .*\n)* +[0-9a-f]+  add +r12,0x3\n", listing),
          "s1 is kept in r12")
    check("(bad)" not in listing, "not all bytes are instructions")


@case("--jit perf-map names the code in a file for perf")
def _(folder):
    machine = run(folder, STACK + COUNT + END, "--jit", "perf-map")
    path = pathlib.Path(f"/tmp/perf-{machine.pid}.map")
    text = path.read_text()
    path.unlink()
    check(re.match(r"[0-9a-f]+ [0-9a-f]+ guest 80000000 M", text), f"{text[:200]!r}")


@case("--jit gdb changes nothing for the guest")
def _(folder):
    run(folder, STACK + COUNT + END, "--jit", "gdb,cache=1M")


# ---- what it defends ----

@case("no memory is writable and executable, and the code's is not writable where it runs")
def _(folder):
    machine = start(folder, "again: addi s1, s1, 1\n j again\n")
    tap.wait_until(lambda: "doppel-code" in machine.proc("maps") or
                   re.search(r"r-xs .*memfd", machine.proc("maps")), 10, "the code cache")
    views = []
    for line in machine.proc("maps").splitlines():
        protection = line.split()[1]
        check(not ("w" in protection and "x" in protection), line)
        if "memfd" in line and "s" in protection:
            views.append(protection)
    check("r-xs" in views, f"views of shared memory: {views}")
    machine.terminate()


# Each hart patches a function of its own and calls it, with fence.i between.
STORM = """
    csrr s0, mhartid
    bnez s0, storm
    li   s1, 0x80008000
count:
    addi s2, s2, 1
    sd   s2, 0(s1)
    li   t0, 0x02000000
    li   t1, 30000000
    bltu s2, t1, count
    j    pass
storm:
    slli s3, s0, 6
    li   s1, 0x80010000
    add  s1, s1, s3
    li   s4, 0x00008067
    sw   s4, 4(s1)
    li   s5, 0x00000513
next:
    sw   s5, 0(s1)
    fence.i
    jalr s1
    li   t0, 0x00100000
    add  s5, s5, t0
    li   t0, 0x7fffffff
    and  s5, s5, t0
    j    next
"""


@case("a storm of patches on three harts does not hold up a fourth", limit_s=120)
def _(folder):
    machine = start(folder, STORM + END, "--cpus", 4, "--stats=json")
    most = 0
    while machine.is_alive():
        try:
            most = max(most, machine.memory())
        except (OSError, AttributeError):
            break
        time.sleep(0.05)
    machine.check_exit(0, 60)
    own = json.loads(machine.errors())["translator"]
    check(own["units_killed"] > 100, f"{own['units_killed']} patches were noticed")
    check(most < 300 * MIB or tap.is_sanitized(), f"{most // MIB} MiB of memory")


# A new function of five instructions at ever new places of 64 MiB, for ever.
GROW = """
    li   s0, 0x81000000
    li   s1, 0x87000000
    li   s2, 0x00150513
    li   s3, 0x00008067
again:
    sw   s2, 0(s0)
    sw   s2, 4(s0)
    sw   s2, 8(s0)
    sw   s3, 12(s0)
    fence.i
    jalr s0
    addi s0, s0, 272
    bltu s0, s1, again
    li   s0, 0x81000000
    addi s2, zero, 19
    j    again
"""


def grow(folder, *arguments):
    """Bytes beside the guest's own after a while, and its figures."""
    machine = start(folder, GROW, "--stats=json", *arguments)
    end = time.monotonic() + (10 * SECONDS if tap.options.long else 2 * SECONDS)
    most = 0
    while time.monotonic() < end:
        check(machine.is_alive(), machine.errors())
        most = max(most, machine.memory())
        time.sleep(0.05)
    machine.terminate()
    return most


@case("ever new code takes a bounded amount of memory")
def _(folder):
    for arguments in ((), ("--jit", "cache=1M"), ("--cpus", "4", "--jit", "cache=1M,unit=1")):
        most = grow(folder, *arguments)
        check(most < 128 * MIB + 160 * MIB or tap.is_sanitized(),
              f"{arguments}: {most // MIB} MiB of memory")


# All bytes of a page as instructions, random ones, entered at each of them.
WILD = """
    la   t0, handler
    csrw mtvec, t0
    li   s0, 88172645463325252
    li   s1, 0x80010000
    li   s4, 150
fill:
    li   s2, 0
fill_next:
    slli a0, s0, 13
    xor  s0, s0, a0
    srli a0, s0, 7
    xor  s0, s0, a0
    slli a0, s0, 17
    xor  s0, s0, a0
    add  a0, s1, s2
    li   a1, 0x4501450145014501
    or   a2, s0, a1
    sd   a2, 0(a0)
    addi s2, s2, 8
    li   a1, 4096
    bltu s2, a1, fill_next
    fence.i
    li   s3, 0
enter:
    li   a1, 0x1800
    csrrc zero, mstatus, a1
    add  a0, s1, s3
    csrw mepc, a0
    csrw mscratch, sp
    la   t6, saved
    sd   s0, 0(t6)
    sd   s1, 8(t6)
    sd   s3, 16(t6)
    sd   s4, 24(t6)
    li   a0, 0x02004000
    li   a1, 0x0200bff8
    ld   a2, 0(a1)
    addi a2, a2, 200
    sd   a2, 0(a0)
    li   a0, 128
    csrw mie, a0
    mret
    .align 64
handler:
    la   t6, saved
    ld   s0, 0(t6)
    ld   s1, 8(t6)
    ld   s3, 16(t6)
    ld   s4, 24(t6)
    addi s3, s3, 66
    li   a1, 4096
    bltu s3, a1, enter
    addi s4, s4, -1
    bnez s4, fill
    j    pass
""" + END + """
    .align 64
saved: .zero 64
"""


@case("random code, entered anywhere, comes to an end in every mode", limit_s=120)
def _(folder):
    for mode in ("unit=191", "unit=1", "no-inline", "cpu=none", "cache=1M,no-chain"):
        run(folder, WILD, "--jit", mode)


if __name__ == "__main__":
    os.environ.pop("DOPPEL", None)
    tap.main(__doc__.splitlines()[0])
