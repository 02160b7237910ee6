#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guests that do the worst they can. While each runs, doppel must stay in its
memory, descriptors and threads, and obey SIGTERM within a second.

    hostile_test.py DOPPEL [--long] [--only REGEX]
"""
import pathlib
import re
import time

import tap
from assembler import elf
from process import Doppel
from tap import case, check, check_equal

MIB = 1 << 20
OWN_BYTES = 64 * MIB  # what doppel itself may take beside the guest's memory
GUEST_BYTES = 128 * MIB
BOARD = pathlib.Path(__file__).resolve().parents[2] / "src/machine/board.h"


def seconds():
    """How long a guest that never ends is watched."""
    return 10.0 if tap.options.long else 0.7


def rounds(count):
    """Of a guest that counts."""
    return 5 * count if tap.options.long else count


def seeds():
    return range(1, 21 if tap.options.long else 3)


# Skips the instruction that trapped, counts it in s11; keeps t5 and t6 for itself.
HANDLER = """
    .align 64
handler:
    csrr t5, mcause
    blt  t5, zero, handle_interrupt
    csrr t5, mepc
    addi t5, t5, 4
    csrw mepc, t5
    addi s11, s11, 1
    mret
handle_interrupt:
    csrw mie, zero
    addi s10, s10, 1
    mret
"""

PASS = """
pass:
    li   t0, 0x100000
    li   t1, 0x5555
    sw   t1, 0(t0)
passed: j passed
fail:
    li   t0, 0x100000
    li   t1, 0x13333
    sw   t1, 0(t0)
failed: j failed
"""

# xorshift64 over s0, into a0.
RANDOM = """
random:
    slli a0, s0, 13
    xor  s0, s0, a0
    srli a0, s0, 7
    xor  s0, s0, a0
    slli a0, s0, 17
    xor  s0, s0, a0
    mv   a0, s0
    ret
"""


def start(folder, text, *arguments, name="guest.elf"):
    path = folder / name
    path.write_bytes(elf(text))
    return Doppel("--memory", GUEST_BYTES, *arguments, path, terminal=False)


def check_resources(machine, before):
    memory, descriptors, threads = machine.memory(), machine.descriptors(), machine.threads()
    check(memory <= OWN_BYTES + GUEST_BYTES or tap.is_sanitized(),
          f"{memory / MIB:.0f} MiB of memory")
    check_equal((descriptors, threads), before, "descriptors and threads")


def settle(machine):
    """Descriptors and threads once all of them are there."""
    def state():
        return machine.descriptors(), machine.threads()

    tap.wait_until(lambda: not machine.is_alive() or machine.threads() > 1, 10, "the first hart")
    last = None
    while machine.is_alive() and last != state():
        last = state()
        time.sleep(0.05)
    return last


def watch(folder, text, *arguments, duration=None):
    """A guest that never ends: it must not, and it must be endable."""
    machine = start(folder, text, *arguments)
    before = settle(machine)
    end = time.monotonic() + (duration or seconds())
    while time.monotonic() < end:
        check(machine.is_alive(),
              f"ended with {machine.process.returncode}: {machine.errors()[-500:]}")
        check_resources(machine, before)
        machine.read(0.05)
    machine.terminate()
    return machine


def run(folder, text, *arguments, limit_s=60, statuses=(0,)):
    """A guest that comes to its end, which proves that it got on."""
    machine = start(folder, text, *arguments)
    before = None
    end = time.monotonic() + limit_s * tap.slowness * (10 if tap.options.long else 1)
    while machine.is_alive():
        check(time.monotonic() < end, "the guest does not get on")
        try:
            before = before or settle(machine)
            check_resources(machine, before)
        except (AssertionError, AttributeError, OSError):
            # It closes and frees when it ends: then what we saw means nothing.
            if not ends_within(machine, 1):
                raise
        machine.read(0.05)
    check(machine.wait() in statuses, f"status {machine.wait()}: {machine.errors()[-500:]}")
    return machine


def ends_within(machine, limit_s):
    end = time.monotonic() + limit_s
    while machine.is_alive() and time.monotonic() < end:
        machine.read(0.02)
    return not machine.is_alive()


# ---- where code should not be ----

NOWHERE = [0, 2, 0x100, 0x1000, 0x100000, 0x101000, 0x2000000, 0xc000000, 0x10000000, 0x10001000,
           0x30000000, 0x40000000, 0x7ffffffe, 0x80000000 + GUEST_BYTES,
           0x80000000 + GUEST_BYTES - 2, 0x400000000, 1 << 38, 1 << 47, 1 << 56, 1 << 62,
           0x8000000000000000, 0xffffffff80000000,
           0xfffffffffffffffe, 0x7fffffffffffffff, 0x80000001]


@case("jumps to where no memory is trap, and the guest goes on")
def _(folder):
    table = ", ".join(hex(address) for address in NOWHERE if address != 0x80000001)
    run(folder, f"""
        start:
            la   t0, handler
            csrw mtvec, t0
            li   s2, {rounds(3000)}
        again:
            la   s3, table
            li   s4, {len(NOWHERE) - 1}
        next:
            ld   t0, 0(s3)
            jalr t0                 # its trap comes back behind the call
            addi s3, s3, 8
            addi s4, s4, -1
            bnez s4, next
            addi s2, s2, -1
            bnez s2, again
            j    pass
        .align 64
        handler:
            csrw mepc, ra
            mret
        .align 8
        table: .dword {table}
        """ + PASS)


@case("jumps to nowhere without a handler, and trap loops, can be ended")
def _(folder):
    for target in (0, 0x10000000, 1 << 62, 0xfffffffffffffffe):
        watch(folder, f"start: li t0, {target}\n jr t0", duration=0.2)
    for vector in ("0", "0x10000000", "0xfffffffffffffffc"):
        watch(folder, f"start: li t0, {vector}\n csrw mtvec, t0\n ecall", duration=0.2)
    # a handler that traps in its first instruction
    watch(folder, """
        start:
            la   t0, handler
            csrw mtvec, t0
            ecall
        .align 64
        handler:
            ecall
        """, duration=0.3)
    watch(folder, "start: j start", "--cpus", 8, duration=0.3)


@case("falling off the end of memory traps")
def _(folder):
    end = 0x80000000 + GUEST_BYTES
    run(folder, f"""
        start:
            la   t0, handler
            csrw mtvec, t0
            li   t1, {end - 8}
            li   t2, 0x00000013      # nop
            sw   t2, 0(t1)
            sw   t2, 4(t1)
            fence.i
            jr   t1
        .align 64
        handler:
            csrr t0, mepc
            li   t1, {end}
            beq  t0, t1, pass
            j    fail
        """ + PASS)


@case("wfi for ever with interrupts off costs no time and can be ended")
def _(folder):
    for cpus in (1, 8):
        machine = start(folder, "start: csrw mie, zero\n sleep: wfi\n j sleep", "--cpus", cpus)
        before = settle(machine)
        spent = machine.cpu_seconds()
        time.sleep(seconds())
        spent = machine.cpu_seconds() - spent
        check(spent < 0.2 * seconds() + 0.05, f"{spent:.2f} s of CPU in {seconds()} s of sleep")
        check_resources(machine, before)
        machine.terminate()


@case("--icount: loops, sleeps and traps can be ended too")
def _(folder):
    for text in ("start: j start", "start: wfi\n j start", "start: ecall",
                 "start: csrw mie, zero\n sleep: wfi\n j sleep"):
        watch(folder, text, "--icount", duration=0.2)


# ---- registers of devices ----

def regions():
    """Name, base and size of all that board.h lists, and where BARs lie."""
    text = BOARD.read_text()
    numbers = {name: int(value, 0) for name, value in
               re.findall(r"#define BOARD_(\w+)\s+(?:UINT64_C\()?(0x[0-9a-f]+|\d+)", text)}
    found = {name[:-5]: (base, numbers[name[:-5] + "_SIZE"]) for name, base in numbers.items()
             if name.endswith("_BASE")}
    base, size = found.pop("VIRTIO")
    for slot in range(numbers["VIRTIO_SLOTS"]):
        found[f"VIRTIO{slot}"] = (base + slot * size, size)
    found["PCI_HIGH"] = (numbers["PCI_HIGH_SIZE"], numbers["PCI_HIGH_SIZE"])
    check(len(found) >= 17, f"only {sorted(found)}")
    return found


ACCESSES = {1: ("lbu a2, 0(a1)", "sb a0, 0(a1)"), 2: ("lhu a2, 0(a1)", "sh a0, 0(a1)"),
            4: ("lwu a2, 0(a1)", "sw a0, 0(a1)"), 8: ("ld a2, 0(a1)", "sd a0, 0(a1)")}


def device_guest(region_list, count, seed):
    """Random accesses of all sizes, aligned and not; most go to where registers
    are, the first pages of a region. Every BAR the host bridge shows is mapped."""
    table = "\n".join(f".dword {base}, {size - 1}" for base, size in region_list)
    bodies = "".join(f"""
        do_{size}:
            andi t0, s0, 1024
            bnez t0, write_{size}
            {ACCESSES[size][0]}
            j    done
        write_{size}:
            {ACCESSES[size][1]}
            j    done
        """ for size in ACCESSES)
    return f"""
        start:
            la   t0, handler
            csrw mtvec, t0
            li   s0, {0x9e3779b97f4a7c15 * seed % (1 << 64) | 1}
            li   s2, {count}
            li   s8, {len(region_list)}
            call map_bars
        next:
            call random
            remu t0, a0, s8
            slli t0, t0, 4
            la   t1, table
            add  t1, t1, t0
            ld   s3, 0(t1)          # base
            ld   s4, 8(t1)          # mask
            call random
            srli t0, a0, 40
            andi t0, t0, 3
            beqz t0, anywhere
            li   t1, 0xfff          # near the start
            and  s4, s4, t1
        anywhere:
            and  s4, s4, a0
            srli t0, a0, 50
            andi t1, t0, 12
            beqz t1, unaligned
            andi s4, s4, -8
            andi t1, t0, 0x300
            bnez t1, unaligned
            srli t1, a0, 20
            andi t1, t1, 4
            add  s4, s4, t1
        unaligned:
            add  a1, s3, s4
            call random
            srli t0, a0, 33
            andi t1, t0, 12
            bnez t1, full
            andi a0, a0, 255        # small values mean something more often
        full:
            andi t0, t0, 3
            li   t1, 1
            beqz t0, do_1
            beq  t0, t1, do_2
            li   t1, 2
            beq  t0, t1, do_4
            j    do_8
        {bodies}
        done:
            addi s2, s2, -1
            bnez s2, next
            j    pass
        map_bars:               # a 64 KiB BAR 4 for each function on bus 0
            li   t0, 0x30000000
            li   t1, 0x40000000
            li   t2, 32
        map_next:
            sw   t1, 0x20(t0)
            sw   zero, 0x24(t0)
            li   t3, 0x406
            sh   t3, 4(t0)
            li   t3, 0x8000
            add  t0, t0, t3
            li   t3, 0x10000
            add  t1, t1, t3
            addi t2, t2, -1
            bnez t2, map_next
            ret
        .align 16
        table:
        {table}
        """ + RANDOM + HANDLER + PASS


def disks(folder):
    words = []
    for name, how in (("a", "bus=mmio"), ("b", "bus=pci"), ("c", "bus=mmio,snapshot"),
                      ("d", "bus=pci,readonly")):
        path = folder / name
        path.write_bytes(bytes(MIB))
        words += ["--disk", f"{path},{how}"]
    return words + ["--console", f"unix:{folder}/console"]


@case("a million accesses of all sizes all over the devices", limit_s=120)
def _(folder):
    chosen = {name: where for name, where in regions().items() if name not in ("ROM", "FINISHER")}
    for seed in seeds():
        run(folder, device_guest(list(chosen.values()), rounds(500000), seed), *disks(folder))


@case("a hundred thousand accesses to each device on its own", limit_s=120)
def _(folder):
    for name, where in regions().items():
        if name in ("ROM", "FINISHER") or re.fullmatch("VIRTIO[3-7]", name):
            continue
        run(folder, device_guest([where], rounds(100000), 7), *disks(folder))


@case("the registers of PCI functions: configuration space and what lies in BARs", limit_s=120)
def _(folder):
    bars = [(0x40000000 + 0x10000 * slot + area, 0x40) for slot in range(6)
            for area in (0, 0x1000, 0x2000, 0x3000)]
    headers = [(0x30000000 + 0x8000 * slot, 0x100) for slot in range(6)]
    for seed in seeds():
        run(folder, device_guest(bars, rounds(200000), seed), *disks(folder))
        run(folder, device_guest(bars + headers, rounds(200000), seed), *disks(folder))


@case("random words in the test finisher end the machine or do nothing")
def _(folder):
    for seed in seeds():
        run(folder, device_guest([(0x100000, 8)], rounds(20000), seed), "--no-reboot",
            statuses=range(125))


@case("HTIF: random words in tohost and fromhost", limit_s=60)
def _(folder):
    for seed in seeds():
        run(folder, f"""
            start:
                la   t0, handler
                csrw mtvec, t0
                li   s0, {seed * 0x1234567 + 1}
                li   s2, {rounds(100000)}
                la   s3, tohost
            next:
                call random
                mv   a1, a0
                srli t0, a0, 60
                beqz t0, shape
                slli a1, a1, 20      # mostly system calls to addresses that may be RAM
                srli a1, a1, 30
                slli a1, a1, 1
                andi t0, t0, 1
                beqz t0, shape
                li   t1, 0x80000000
                add  a1, a1, t1
            shape:
                sd   a1, 0(s3)
                sw   a1, 0(s3)
                sh   a1, 6(s3)
                sd   a0, 8(s3)
                addi s2, s2, -1
                bnez s2, next
                j    pass
                .align 4096
            tohost: .dword 0
            fromhost: .dword 0
            .zero 4080
            """ + RANDOM + HANDLER + PASS, statuses=range(256))


# ---- queues ----

# Registers of the two transports, by what they are: offset and size of access.
MMIO_QUEUES = {
    "bases": [0x10001000, 0x10002000], "notify": 0x50, "word": "sw",
    "status": 0x70, "offered_select": 0x14, "offered": 0x10, "wanted_select": 0x24, "wanted": 0x20,
    "queue": 0x30, "size": 0x38, "ready": 0x44, "areas": (0x80, 0x90, 0xa0),
}
PCI_QUEUES = {
    "bases": [0x40000000 + 0x10000 * slot for slot in range(1, 5)], "notify": 0x3000, "word": "sh",
    "status": 0x14, "offered_select": 0, "offered": 4, "wanted_select": 8, "wanted": 12,
    "queue": 0x16, "size": 0x18, "ready": 0x1c, "areas": (0x20, 0x28, 0x30),
}


def queue_guest(count, seed, device):
    """Sets up a queue, notifies, resets, and again. Descriptors, rings and request
    headers are rewritten all the time: mostly such that a request comes of them,
    at times anything."""
    word = device["word"]
    status = "sb" if word == "sh" else "sw"
    features = "".join(f"""
            li   t0, {half}
            sw   t0, {device["offered_select"]}(s3)
            sw   t0, {device["wanted_select"]}(s3)
            call random
            {"ori a0, a0, 1" if half else ""}
            lwu  t0, {device["offered"]}(s3)
            call keep_most
            sw   a0, {device["wanted"]}(s3)
            mv   gp, a0
        """ for half in (0, 1))
    areas = "".join(f"""
            li   a1, {start}
            call place
            sw   a0, {register}(s3)
            srli a0, a0, 32
            sw   a0, {register + 4}(s3)
        """ for register, start in zip(device["areas"], (0, 0x800, 0xc00)))
    return f"""
        start:
            la   t0, handler
            csrw mtvec, t0
            li   s0, {seed * 0x2545f4914f6cdd1d % (1 << 64) | 1}
            li   s2, {count}
            li   s5, 0x84000000     # rings; headers and data lie 64 KiB behind
            csrr t0, mhartid
            bnez t0, scribble
            call map_bars
        next:
            call random
            andi t0, a0, {len(device["bases"]) - 1}
            slli t0, t0, 3
            la   t1, bases
            add  t1, t1, t0
            ld   s3, 0(t1)
            {status} zero, {device["status"]}(s3)
            li   t0, 3
            {status} t0, {device["status"]}(s3)
            {features}
            andi gp, gp, 4          # packed rings were negotiated
            li   t0, 11
            {status} t0, {device["status"]}(s3)
            call random
            srli t0, a0, 61
            sltiu t0, t0, 1
            {word} t0, {device["queue"]}(s3)
            li   t0, 16
            {word} t0, {device["size"]}(s3)
            {areas}
            li   t0, 1
            {word} t0, {device["ready"]}(s3)
            li   t0, 15
            {status} t0, {device["status"]}(s3)
            sd   zero, 0x7f8(s5)
            li   tp, 0
            li   s6, 8
        notify:
            call fill
            li   t0, {device["notify"]}
            add  t0, t0, s3
            {word} zero, 0(t0)
            addi s6, s6, -1
            bnez s6, notify
            addi s2, s2, -1
            bnez s2, next
            j    pass

        scribble:               # other harts: bits of rings and headers flip all the time
            call random
            srli t0, a0, 52
            slli t0, t0, 2
                add  t0, t0, s5
            lw   t1, 0(t0)
            srli t2, a0, 20
            andi t2, t2, 31
            li   t3, 1
            sll  t3, t3, t2
            xor  t1, t1, t3
            sw   t1, 0(t0)
            j    scribble

        keep_most:              # a0: the offered t0 without some, seldom with others
            srli t1, a0, 59
            beqz t1, kept
            li   t2, 0xffff
            srli t1, a0, 40
            and  t1, t1, t2
            ori  t1, t1, 1
            and  a0, t0, t1
        kept: ret

        place:                  # a1 behind the rings' start, seldom anywhere
            mv   s9, ra
            call random
            srli t0, a0, 59
            beqz t0, placed
            add  a0, s5, a1
        placed:
            mv   ra, s9
            ret

        fill:
            mv   s9, ra
            li   t2, 16
            mv   t3, s5
            la   a3, chains
        fill_descriptor:
            call random
            li   t1, 0x3f00
            and  t4, a0, t1
            li   t1, 0x10000
            add  t4, t4, t1
            add  t4, t4, s5
            srli t1, a0, 59
            bnez t1, fill_address
            mv   t4, a0
        fill_address:
            sd   t4, 0(t3)
            call random
            lwu  t4, 0(a3)
            srli t1, a0, 60
            bnez t1, fill_length
            mv   t4, a0
        fill_length:
            sw   t4, 8(t3)
            lwu  t4, 4(a3)
            srli t1, a0, 32
            andi t1, t1, 31
            bnez t1, fill_flags
            srli t4, a0, 40
        fill_flags:
            beqz gp, fill_split
            ori  t4, t4, 0x80       # packed rings: available, and another layout
            sh   t4, 14(t3)
            srli t4, a0, 52
            sh   t4, 12(t3)
            j    filled
        fill_split:
            sh   t4, 12(t3)
            lwu  t4, 8(a3)
            srli t1, a0, 48
            andi t1, t1, 31
            bnez t1, fill_chain
            andi t4, a0, 15
        fill_chain:
            sh   t4, 14(t3)
        filled:
            addi a3, a3, 12
            addi t3, t3, 16
            addi t2, t2, -1
            bnez t2, fill_descriptor

            li   t1, 0x10000        # request headers: type, and sector
            add  t3, s5, t1
            li   t2, 64
        fill_header:
            call random
            andi t4, a0, 15
            sw   t4, 0(t3)
            srli t4, a0, 53
            sd   t4, 8(t3)
            li   t1, 0x100
            add  t3, t3, t1
            addi t2, t2, -1
            bnez t2, fill_header

            li   t1, 0x800          # the available ring
            add  t3, s5, t1
            li   t2, 16
            addi t4, t3, 4
        fill_ring:
            call random
            andi t1, a0, 15
            srli t5, a0, 56
            bnez t5, fill_entry
            mv   t1, a0
        fill_entry:
            sh   t1, 0(t4)
            addi t4, t4, 2
            addi t2, t2, -1
            bnez t2, fill_ring
            sh   zero, 0(t3)
            call random
            andi t1, a0, 3
            add  tp, tp, t1
            srli t1, a0, 58
            bnez t1, fill_index
            add  tp, tp, a0
        fill_index:
            sh   tp, 2(t3)
            mv   ra, s9
            ret

        map_bars:
            li   t0, 0x30000000
            li   t1, 0x40000000
            li   t2, 8
        map_next:
            sw   t1, 0x20(t0)
            sw   zero, 0x24(t0)
            li   t3, 0x406
            sh   t3, 4(t0)
            li   t3, 0x8000
            add  t0, t0, t3
            li   t3, 0x10000
            add  t1, t1, t3
            addi t2, t2, -1
            bnez t2, map_next
            ret
        .align 8
        chains:                 # length, flags (next 1, write 2, indirect 4), next
            .word 16, 1, 1,     512, 3, 2,    1, 2, 0       # a read
            .word 16, 1, 4,     1024, 1, 5,   1, 2, 0       # a write, or a range
            .word 16, 1, 7,     16, 1, 8,     1, 2, 0
            .word 16, 1, 10,    4096, 3, 11,  1, 2, 0
            .word 64, 2, 0,     100, 2, 0,    64, 0, 0      # one buffer
            .word 48, 4, 0
        bases: .dword {", ".join(map(str, device["bases"]))}
        """ + RANDOM + HANDLER + PASS


@case("virtqueues over garbage, by virtio-mmio and PCI", limit_s=120)
def _(folder):
    for device in (MMIO_QUEUES, PCI_QUEUES):
        for seed in seeds():
            run(folder, queue_guest(rounds(3000), seed, device), *disks(folder))


@case("virtqueues that another hart rewrites while they are served", limit_s=120)
def _(folder):
    for device in (MMIO_QUEUES, PCI_QUEUES):
        for seed in seeds():
            run(folder, queue_guest(rounds(3000), seed, device), "--cpus=2", *disks(folder))


# ---- memory management ----

@case("page tables of garbage, that map themselves, in all modes", limit_s=60)
def _(folder):
    for seed in seeds():
        run(folder, f"""
            start:
                la   t0, handler
                csrw mtvec, t0
                li   t0, -1
                csrw pmpaddr0, t0
                li   t0, 0x1f
                csrw pmpcfg0, t0
                li   s0, {seed * 0x9e3779b9 + 1}
                li   s2, {rounds(20000)}
                li   s5, 0x84000000     # tables: eight pages
            next:
                li   t3, 64             # rewrite some entries
            entries:
                call random
                li   t1, 0x7ff8
                and  t2, a0, t1
                add  t2, t2, s5
                call random
                srli t4, a0, 8
                andi t4, t4, 7
                li   t1, 0x84000
                add  t4, t4, t1
                slli t4, t4, 10
                andi t1, a0, 0xff
                or   t4, t4, t1
                srli t1, a0, 56
                andi t1, t1, 7
                bnez t1, store
                mv   t4, a0             # not even nearly right
            store:
                sd   t4, 0(t2)
                addi t3, t3, -1
                bnez t3, entries
                call random
                srli t0, a0, 9
                andi t0, t0, 15
                slli t0, t0, 60         # mode
                srli t1, a0, 20
                andi t1, t1, 7
                li   t2, 0x84000
                add  t1, t1, t2
                or   t0, t0, t1
                csrw satp, t0
                sfence.vma
                li   t3, 32             # use them
            accesses:
                call random
                srli t0, a0, 60
                bnez t0, canonical
                j    use
            canonical:
                slli a0, a0, 16
                srai a0, a0, 26
            use:
                andi a0, a0, -8
                li   t1, 0xa0800        # MPRV, MPP=S, SUM, MXR
                csrrs zero, mstatus, t1
                ld   a2, 0(a0)
                sd   a2, 8(a0)
                lbu  a2, 3(a0)
                li   t1, 0x20000
                csrrc zero, mstatus, t1
                addi t3, t3, -1
                bnez t3, accesses
                addi s2, s2, -1
                bnez s2, next
                j    pass
            .align 64
            handler:                    # mret clears MPRV unless it returns to M
                csrr t5, mepc
                addi t5, t5, 4
                csrw mepc, t5
                li   t5, 0x1800
                csrrs zero, mstatus, t5
                mret
            """ + RANDOM + PASS, "--cpu", "max,sv57")


@case("S-mode code whose page tables turn to garbage under it", limit_s=60)
def _(folder):
    run(folder, f"""
        start:
            la   t0, handler
            csrw mtvec, t0
            li   t0, -1
            csrw pmpaddr0, t0
            li   t0, 0x1f
            csrw pmpcfg0, t0
            li   s0, 77
            li   s2, {rounds(20000)}
        next:
            li   s5, 0x84000000
            li   t0, 0x200000cf         # 1 GiB leaf at 0x80000000
            sd   t0, 16(s5)
            li   t0, {8 << 60 | 0x84000}
            csrw satp, t0
            sfence.vma
            li   t0, 0x1800
            csrrc zero, mstatus, t0
            li   t0, 0x800
            csrrs zero, mstatus, t0
            la   t0, supervisor
            csrw mepc, t0
            mret
        supervisor:
            call random
            sd   a0, 16(s5)
            sfence.vma
            nop
            ecall
            j    supervisor
        .align 64
        handler:
            addi s2, s2, -1
            bnez s2, next
            csrw satp, zero
            j    pass
        """ + RANDOM + PASS)


@case("code that rewrites itself before each step runs as written", limit_s=60)
def _(folder):
    count = rounds(300000)
    run(folder, f"""
        start:
            li   s2, {count}
            li   s3, 0
            la   s4, spot
            li   s5, 0x00198993         # addi s3, s3, 1
            li   s6, 0x00298993         # addi s3, s3, 2
        next:
            sw   s5, 0(s4)
            fence.i
            call spot
            sw   s6, 0(s4)
            fence.i
            call spot
            addi s2, s2, -1
            bnez s2, next
            li   t0, {3 * count}
            beq  s3, t0, pass
            j    fail
        .align 64
        spot:
            nop
            ret
        """ + PASS)


@case("a million distinct places of code cost bounded memory", limit_s=60)
def _(folder):
    # Each 64 bytes of 64 MiB get a "ret" and are called, twice over.
    run(folder, f"""
        start:
            li   s2, {20 if tap.options.long else 2}
        again:
            li   s3, 0x81000000
            li   s4, 0x85000000
            li   s5, 0x00008067
        next:
            sw   s5, 0(s3)
            fence.i
            jalr s3
            addi s3, s3, 256
            bltu s3, s4, next
            addi s2, s2, -1
            bnez s2, again
            j    pass
        """ + PASS)


# ---- interrupts and timers ----

@case("a million writes to mtimecmp, msip and stimecmp with interrupts on", limit_s=60)
def _(folder):
    run(folder, f"""
        start:
            la   t0, handler
            csrw mtvec, t0
            li   t0, -1
            csrw mcounteren, t0
            li   t0, {1 << 63}
            csrw menvcfg, t0
            li   s0, 99
            li   s2, {rounds(350000)}
            li   s3, 0x02000000
            li   s4, 0x02004000
        next:
            li   t0, 0xaaa
            csrw mie, t0
            csrs mstatus, s5
            li   s5, 8
            call random
            andi t0, a0, 1
            sw   t0, 0(s3)
            csrr t1, time
            srli a0, a0, 50
            andi t0, a0, 1
            beqz t0, future
            li   a0, 0
        future:
            add  t1, t1, a0
            sd   t1, 0(s4)
            csrw stimecmp, t1
            addi s2, s2, -1
            bnez s2, next
            j    pass
        """ + RANDOM + HANDLER + PASS)


@case("eight harts that send each other interrupts", limit_s=60)
def _(folder):
    watch(folder, """
        start:
            la   t0, handler
            csrw mtvec, t0
            csrr s0, mhartid
            slli s0, s0, 8
            addi s0, s0, 77
            li   s3, 0x02000000
            li   t0, 8
            csrw mie, t0
            csrs mstatus, t0
        next:
            call random
            andi t0, a0, 0x1c
            add  t0, t0, s3
            li   t1, 1
            sw   t1, 0(t0)
            srli t0, a0, 60
            bnez t0, next
            wfi
            j    next
        .align 64
        handler:
            csrr t5, mhartid
            slli t5, t5, 2
            add  t5, t5, s3
            sw   zero, 0(t5)
            mret
        """ + RANDOM, "--cpus", 8, duration=2 * seconds())


@case("the interrupt controller set up with garbage, interrupts on", limit_s=60)
def _(folder):
    guest = device_guest([(0x0c000000, 0x400), (0x0c002000, 0x400), (0x0c200000, 0x2000),
                          (0x0c001000, 0x80), (0x10000000, 8)], rounds(200000), 5)
    guest = guest.replace("call map_bars", "call map_bars\n li t0, 0xaaa\n csrw mie, t0\n"
                          "li t0, 8\n csrs mstatus, t0", 1)
    run(folder, guest, *disks(folder))


# ---- output ----

@case("a flood of output that nobody reads is bounded and can be ended", limit_s=60)
def _(folder):
    for text in ("""
        start:
            li   t0, 0x10000000
            li   t1, 'x'
        next:
            sb   t1, 0(t0)
            j    next
        """, """
        start:
            la   t0, tohost
            li   t1, 0x0101000000000078
        next:
            sd   t1, 0(t0)
            j    next
            .align 4096
        tohost: .dword 0
        fromhost: .dword 0
        """):
        machine = start(folder, text)
        before = settle(machine)
        for _ in range(3):
            time.sleep(seconds() / 2)
            check_resources(machine, before)
            check(machine.memory() < 16 * MIB or tap.is_sanitized(), f"{machine.memory()} bytes")
        machine.terminate()


@case("escape sequences and bytes of all kinds pass unchanged")
def _(folder):
    machine = run(folder, """
        start:
            li   t0, 0x10000000
            li   t2, 0
        next:
            sb   t2, 0(t0)
            addi t2, t2, 1
            li   t1, 256
            bne  t2, t1, next
            j    pass
        """ + PASS)
    check_equal(bytes(machine.output), bytes(range(256)), "output")


@case("a machine that resets itself for ever can be ended and does not grow")
def _(folder):
    machine = watch(folder, """
        start:
            li   t0, 0x84000000     # touch some memory
            sd   t0, 0(t0)
            li   t0, 0x100000
            li   t1, 0x7777
            sw   t1, 0(t0)
        stay: j stay
        """, "--cpus", 4, duration=2 * seconds())
    check(machine.errors() == "", machine.errors()[:300])


# ---- SBI ----

def sbi_guest(count, seed, excluded):
    """Random calls from S-mode: known extensions, functions near the known ones,
    arguments of all magnitudes."""
    known = [0x10, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x53525354, 0x4442434e, 0x53555350,
             0x504d55, 0x535441, 0x43505043, 0x4e41434c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
             0x0a000000, -1]
    known = [eid for eid in known if eid not in excluded]
    return f"""
        start:
            la   t0, handler
            csrw stvec, t0
            li   s0, {seed * 0x9e3779b97f4a7c15 % (1 << 64) | 1}
            li   s2, {count}
        next:
            call random
            li   t0, {len(known)}
            remu t1, a0, t0
            slli t1, t1, 3
            la   t2, known
            add  t2, t2, t1
            ld   s7, 0(t2)
            call random
            andi s6, a0, 7
            srli t0, a0, 60
            bnez t0, small
            mv   s6, a0
        small:
            call argument
            mv   s3, a0
            call argument
            mv   s4, a0
            call argument
            mv   s5, a0
            call argument
            mv   s8, a0
            call argument
            mv   a4, a0
            call argument
            mv   a5, a0
            mv   a0, s3
            mv   a1, s4
            mv   a2, s5
            mv   a3, s8
            mv   a6, s6
            mv   a7, s7
            li   t0, 0x48534d       # stopping or suspending ourselves is no bug
            bne  a7, t0, not_stop
            andi t0, a6, 1
            beqz t0, not_stop
            li   a6, 2
        not_stop:
            ecall
            addi s2, s2, -1
            bnez s2, next
            li   a7, 0x53525354
            li   a6, 0
            li   a0, 0
            li   a1, 0
            ecall
        stay: j stay
        argument:
            mv   s9, ra
            call random
            srli t0, a0, 61
            beqz t0, argument_end       # as it is
            srli t1, a0, 3
            andi t1, t1, 63
            srl  a0, a0, t1             # any magnitude
            andi t0, t0, 1
            beqz t0, argument_end
            li   t1, 0x80000000
            add  a0, a0, t1             # perhaps in RAM
        argument_end:
            mv   ra, s9
            ret
        .align 64
        handler:
            csrr t5, scause
            bge  t5, zero, exception
            csrw sie, zero
            sret
        exception:
            csrr t5, sepc
            addi t5, t5, 4
            csrw sepc, t5
            sret
        .align 8
        known: .dword {", ".join(map(str, known))}
        """ + RANDOM


@case("random SBI calls from S-mode", limit_s=60)
def _(folder):
    # Calls that end the machine, and legacy ones that wait for input, apart.
    for cpus in (1, 4):
        for seed in seeds():
            run(folder, sbi_guest(rounds(100000), seed, {0x53525354, 0x53555350, 8}),
                "--firmware", "builtin", "--cpus", cpus)


@case("random SBI calls, also those that end or suspend the machine", limit_s=60)
def _(folder):
    for seed in seeds():
        machine = start(folder, sbi_guest(100000, seed, set()), "--firmware", "builtin",
                        "--no-reboot")
        end = time.monotonic() + 2
        while machine.is_alive() and time.monotonic() < end:
            machine.read(0.05)
        if machine.is_alive():
            machine.terminate()
        else:
            check(machine.wait() in (0, 1), f"status {machine.process.returncode}")


if __name__ == "__main__":
    tap.main(__doc__.splitlines()[0])
