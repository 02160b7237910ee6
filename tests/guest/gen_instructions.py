#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the stubs of instructions.c: every row of src/isa/insns.def and
compressed.def with a choice of registers, immediates and rounding modes.

    gen_instructions.py SRC_ISA > instructions_table.S

A stub is the instruction and a jump to state_done. Left out, because one of the
other programs is about them: what traps, changes mode or waits, and cbo.
"""
import pathlib
import random
import re
import sys

ROW = re.compile(r'^INSN\((\w+),\s*"([^"]*)",\s*(\w+),\s*"([^"]*)",\s*(\w+),\s*([^)]*)\)', re.M)
RVC = re.compile(r'^RVC\((\w+),\s*"([^"]*)",\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+)\)',
                 re.M)
SKIPPED = {"ecall", "ebreak", "sret", "mret", "wfi", "sfence_vma", "sinval_vma", "sfence_w_inval",
           "sfence_inval_ir", "cbo_inval", "cbo_clean", "cbo_flush", "cbo_zero", "wrs_nto",
           "wrs_sto", "c_ebreak"}

# ORDER KIND: instructions.c
(NOTHING, INT, BRANCH, LINK, JUMP_REGISTER, LOAD, STORE, ATOMIC, FP, CHECKED) = range(10)

ALIASES = {
    3: [(5, 6, 7), (6, 6, 7), (7, 6, 7), (6, 6, 6), (5, 6, 6), (0, 6, 7), (5, 0, 7), (5, 6, 0),
        (31, 30, 29), (1, 2, 3), (9, 9, 15)],
    2: [(5, 6), (6, 6), (0, 6), (5, 0), (31, 31), (2, 2), (15, 9)],
}
IMM12 = [0, 1, -1, 2047, -2048, 0x555, -0x556]
SHIFTS = {"SHIFT6": [0, 1, 13, 31, 32, 63], "SHIFT5": [0, 1, 13, 31]}
MEMORY_IMM = [0, 1, -1, 2047, -2048, 24]
END = "j state_done"
COUNT = ".option push; .option norvc; addi x30, x30, 1; .option pop"


def place_i(imm):
    return (imm & 0xfff) << 20


def place_s(imm):
    return (imm >> 5 & 0x7f) << 25 | (imm & 31) << 7


def registers(rd=0, rs1=0, rs2=0, rs3=0):
    return rd << 7 | rs1 << 15 | rs2 << 20 | rs3 << 27


class Table:
    """The assembly: stubs in .text, one entry for each in .data."""

    def __init__(self):
        self.stubs, self.entries, self.names = [], [], []

    def add(self, name, kind, body, rd=0, rs1=0, rs2=0, rs3=0, flags=0, imm=0, rm=0):
        if not self.names or self.names[-1] != name:
            self.names.append(name)
        number = len(self.stubs)
        self.stubs.append(f"    .balign 4\nstub{number}: {body}\n    {END}")
        self.entries.append(
            f"    .dword name{len(self.names) - 1}, stub{number}\n"
            f"    .byte {kind}, {rd}, {rs1}, {rs2}, {rs3}, {flags}, {rm}, 0\n    .dword {imm}")

    def print(self, out):
        print("/* Made by gen_instructions.py. */\n    .text\n    .option norvc", file=out)
        print("\n".join(self.stubs), file=out)
        print("    .section .rodata\n    .balign 8\n    .globl cases, case_count\ncases:", file=out)
        print("\n".join(self.entries), file=out)
        print(f"case_count: .dword {len(self.entries)}", file=out)
        for number, name in enumerate(self.names):
            print(f'name{number}: .asciz "{name}"', file=out)


def word(value):
    return f".4byte 0x{value:x}"


# ORDER FLAG: instructions.c
FLAG_BITS = {"F_RS1": 1, "F_RS2": 2, "F_RS3": 4, "DOUBLE": 8, "NEZ": 16, "CTZW": 32}


def fp_flags(row, flags):
    bits = sum(FLAG_BITS[f] for f in ("F_RS1", "F_RS2", "F_RS3") if f in flags)
    double = row.endswith("_d") or "_d_" in row[5:]
    if row.startswith("fcvt"):
        double = row.split("_")[2] == "d"
    return bits | (FLAG_BITS["DOUBLE"] if double else 0)


def add_fp(table, row, form, match, flags):
    operands = {"R": 3, "R_RM": 3, "R1": 2, "R1_RM": 2, "R4": 4}[form]
    bits = fp_flags(row, flags)
    aliases = ALIASES[min(operands, 3)]
    if operands == 4:
        aliases = [(5, 6, 7, 8), (6, 6, 7, 8), (8, 6, 7, 8), (6, 6, 6, 6), (0, 0, 1, 2),
                   (31, 30, 30, 29)]
    modes = [7, 0, 1, 2, 3, 4] if form.endswith("RM") or form == "R4" else [None]
    for number, alias in enumerate(aliases):
        for rm in modes if number == 0 else modes[:1]:
            value = match | registers(*alias) | (0 if rm is None else rm << 12)
            fields = dict(zip(("rd", "rs1", "rs2", "rs3"), alias))
            table.add(row, FP, word(value), flags=bits, rm=9 if rm is None else rm, **fields)


def add_integer(table, row, form, match, flags, extension):
    kind = CHECKED if extension == "Zicond" else INT
    extra = FLAG_BITS["NEZ"] if row == "czero_nez" else 0
    if form == "R":
        for rd, rs1, rs2 in ALIASES[3]:
            table.add(row, kind, word(match | registers(rd, rs1, rs2)), rd, rs1, rs2, flags=extra)
    elif form == "R1":
        for rd, rs1 in ALIASES[2]:
            if row == "ctzw":
                kind, extra = CHECKED, FLAG_BITS["CTZW"]
            table.add(row, kind, word(match | registers(rd, rs1)), rd, rs1, flags=extra)
    elif form in SHIFTS or form == "I":
        values = SHIFTS.get(form, IMM12)
        for rd, rs1 in ALIASES[2]:
            for imm in values if (rd, rs1) == (5, 6) else values[-1:]:
                table.add(row, kind, word(match | registers(rd, rs1) | place_i(imm)), rd, rs1)
    elif form == "U":
        for rd in (5, 0, 31):
            for imm in (0, 1, 0x7ffff, 0x80000, 0xfffff, 0x12345):
                table.add(row, LINK if row == "auipc" else NOTHING,
                          word(match | registers(rd) | imm << 12), rd)
    elif form == "MEMIMM":
        for imm in (0, 32, 2016, -32, -2048):
            table.add(row, INT, word(match | registers(rs1=6) | place_s(imm)), rs1=6)
    elif form in ("FENCE", "NONE"):
        for value in (0, 0xff, 0x33, 0x31, 0x13, 0x833) if row == "fence" else (0,):
            table.add(row, NOTHING, word(match | value << 20))
    else:
        raise SystemExit(f"{row}: no idea how to run format {form}")


def add_memory(table, row, form, match, flags):
    bits = FLAG_BITS["F_RS2"] if "F_RS2" in flags else 0
    if "IS_STORE" in flags and form == "S":
        for rs1, rs2 in ((6, 7), (6, 0), (31, 1), (9, 15)):
            for imm in MEMORY_IMM:
                table.add(row, STORE, word(match | registers(0, rs1, rs2) | place_s(imm)),
                          0, rs1, rs2, flags=bits, imm=imm)
        return
    for rd, rs1 in ((5, 6), (6, 6), (0, 6), (31, 1)):
        for imm in MEMORY_IMM:
            table.add(row, LOAD, word(match | registers(rd, rs1) | place_i(imm)), rd, rs1, imm=imm)


def add_atomic(table, row, form, match):
    for rd, rs1, rs2 in ((5, 6, 7), (6, 6, 7), (7, 6, 7), (0, 6, 7), (5, 6, 0), (31, 30, 29)):
        for order in range(4):
            value = match | registers(rd, rs1, rs2 if form == "AMO" else 0) | order << 25
            table.add(row, ATOMIC, word(value), rd, rs1, rs2)
            if row.startswith("sc_"):  # with a reservation, too
                lr = 0x1000202f | (value & 0x7000) | rs1 << 15 | 28 << 7
                table.add(row, ATOMIC, word(lr) + "; " + word(value), rd, rs1, rs2)


def add_jump(table, row, form, match):
    if form == "B":
        offset = 8 << 7  # imm[4:1] in bits 11:8: forward by 8
        for rs1, rs2 in ((6, 7), (6, 6), (0, 7), (6, 0), (31, 1)):
            table.add(row, BRANCH, word(match | registers(0, rs1, rs2) | offset) + "; " + COUNT,
                      0, rs1, rs2)
        # Backward: over a jump to the end, to a counting instruction.
        back = -8 & 0x1fff
        back = (back >> 12) << 31 | (back >> 5 & 63) << 25 | (back >> 1 & 15) << 8 | \
            (back >> 11 & 1) << 7
        body = f"j 2f; 1: {COUNT}; {END}; 2: " + word(match | registers(0, 6, 7) | back)
        table.add(row, BRANCH, body, 0, 6, 7)
    elif row == "jal":
        for rd in (5, 1, 0, 31):
            table.add(row, LINK, word(match | registers(rd) | 8 << 20) + "; " + COUNT, rd)
    else:
        for rd, rs1 in ((5, 6), (6, 6), (0, 6), (1, 1), (31, 30)):
            for imm in (0, 1, -1, 2047, -2048):
                table.add(row, JUMP_REGISTER,
                          word(match | registers(rd, rs1) | place_i(imm)) + "; " + COUNT,
                          rd, rs1, imm=8 - imm)


def add_csr(table, row, match):
    stval, fcsr, frm, fflags = 0x143, 3, 2, 1
    for number in (stval, fcsr, frm, fflags):
        for rd, rs1 in ((5, 6), (6, 6), (0, 6), (5, 0), (31, 30)):
            value = match | registers(rd, rs1) | number << 20
            # stval starts with what x7 holds, and is read after.
            body = "csrw stval, x7; " + word(value) + "; csrr x7, stval"
            table.add(row, INT, body, rd, 0 if row.endswith("i") else rs1, 7)


def add_row(table, match_row):
    row, _, form, pattern, extension, flags = match_row.groups()
    pattern = pattern.replace(" ", "")
    match = int(pattern.replace(".", "0"), 2)
    flags = set(re.split(r"\s*\|\s*", flags.strip()))
    if row in SKIPPED:
        return
    if form in ("CSR", "CSRI"):
        add_csr(table, row, match)
    elif form in ("AMO", "LR"):
        add_atomic(table, row, form, match)
    elif form in ("B", "J") or row == "jalr":
        add_jump(table, row, form, match)
    elif flags & {"IS_LOAD", "IS_STORE"}:
        add_memory(table, row, form, match, flags)
    elif extension in ("F", "D"):
        add_fp(table, row, form, match, flags)
    else:
        add_integer(table, row, form, match, flags, extension)


# ---- compressed ----

PLACES = {"R7": (7, 5), "R2": (2, 5), "R7P": (7, 3), "R2P": (2, 3)}
MEMORY = {"lw": LOAD, "ld": LOAD, "fld": LOAD, "sw": STORE, "sd": STORE, "fsd": STORE}


def is_other_row(row, value):
    """Whether an encoding made for `row` belongs to a more special one."""
    second = value >> 2 & 31
    return (row in ("c_mv", "c_add") and second == 0) or \
        (row == "c_lui" and (value >> 7 & 31) == 2)


def compressed_words(row, pattern, used, condition, rng):
    """Encodings of the row: registers and immediate bits at their edges, and random."""
    match = int(pattern.replace(".", "0"), 2)
    free = [15 - i for i, bit in enumerate(pattern) if bit == "."]
    fields = {PLACES[r] for r in used if r in PLACES}
    in_field = {shift + n for shift, width in fields for n in range(width)}
    imm_bits = [bit for bit in free if bit not in in_field]
    seen = []
    for attempt in range(60):
        value = match
        for shift, width in sorted(fields):
            value |= rng.randrange(1 << width) << shift
        kind = attempt % 4
        for bit in imm_bits:
            value |= (kind == 1 or (kind > 1 and rng.getrandbits(1))) << bit
        imm = any(value >> bit & 1 for bit in imm_bits)
        if condition == "IMM_NOT_0" and not imm:
            continue
        if condition in ("RD_NOT_0", "RS1_NOT_0") and not value >> 7 & 31:
            continue
        if not is_other_row(row, value) and value not in seen:
            seen.append(value)
    return seen[:24]


def register_of(place, value):
    if place in PLACES:
        shift, width = PLACES[place]
        return (value >> shift & (1 << width) - 1) + (8 if width == 3 else 0)
    return {"ZERO": 0, "RA": 1, "SP": 2}[place]


def add_compressed(table, match_row, rng):
    row, pattern, target, rd, rs1, rs2, _, condition = match_row.groups()
    pattern = pattern.replace(" ", "")
    if row in SKIPPED:
        return
    c_count = "; .2byte 0x0f05"  # c.addi x30,1
    if row in ("c_j", "c_beqz", "c_bnez"):
        match = int(pattern.replace(".", "0"), 2) | 1 << 4  # forward by 4
        for number in range(8) if row != "c_j" else (0,):
            value = match | (number << 7 if row != "c_j" else 0)
            table.add(row, BRANCH, f".2byte 0x{value:x}{c_count}; .balign 4", 0,
                      8 + number if row != "c_j" else 0)
        return
    for value in compressed_words(row, pattern, (rd, rs1, rs2), condition, rng):
        fields = [register_of(place, value) for place in (rd, rs1, rs2)]
        body = f".2byte 0x{value:x}"
        if row in ("c_jr", "c_jalr"):
            if fields[1]:
                table.add(row, JUMP_REGISTER, body + c_count + "; .balign 4", *fields, imm=4)
        elif target in MEMORY:
            flags = FLAG_BITS["F_RS2"] if target == "fsd" else 0
            if fields[2] == fields[1] and not flags and MEMORY[target] == STORE:
                continue  # would store its own address
            table.add(row, MEMORY[target], body + "; .2byte 1", *fields, flags=flags)
        else:
            table.add(row, INT, body + "; .2byte 1", *fields)


def main():
    folder = pathlib.Path(sys.argv[1])
    table = Table()
    for row in ROW.finditer((folder / "insns.def").read_text()):
        add_row(table, row)
    rng = random.Random(1)
    for row in RVC.finditer((folder / "compressed.def").read_text()):
        add_compressed(table, row, rng)
    table.print(sys.stdout)


if __name__ == "__main__":
    main()
