#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare `doppel disasm` with objdump of binutils 2.40, instruction by instruction.

Without files: every 16-bit encoding, and random 32-bit words near the rows of
insns.def. The differences that are known and meant are listed in KNOWN; any
other one fails. With ELF files: all their executable sections; the only
difference allowed is a CSR name (foreign_csr).
"""
import argparse
import collections
import pathlib
import random
import re
import shlex
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = "riscv64-linux-gnu-"
# What binutils 2.40 knows of the extensions doppel implements.
MARCH = ("rv64imafdc_zicbom_zicbop_zicboz_zicsr_zifencei_zihintpause_zawrs"
         "_zba_zbb_zbc_zbs_svinval")
ROW = re.compile(r'^INSN\((\w+),\s*"[^"]*",\s*\w+,\s*"([^"]*)"', re.M)
BRANCH = re.compile(r"(j|jal|beqz?|bnez?|bltz?|bgez?|bgtz|blez|bltu|bgeu)\t")
LINE = re.compile(r"^ *([0-9a-f]+):\t([0-9a-f ]+?) *\t(.*)$")


# ---- the differences that are meant ----

def reserved_rounding(word, theirs, ours):
    """Rounding modes 5 and 6 are illegal instructions; objdump prints "unknown"."""
    return theirs.endswith(",unknown") and ours.startswith(".4byte")


def reserved_fence(word, theirs, ours):
    """Reserved fields of fence and fence.i are ignored when executed."""
    return word & 0x7f == 0x0f and theirs.startswith(".4byte") and ours.startswith("fence")


def reserved_addi16sp(word, theirs, ours):
    """c.addi16sp with an immediate of 0 is reserved."""
    return word == 0x6101 and theirs == "add\tsp,sp,0" and ours == ".2byte\t0x6101"


def exact_conversion(word, theirs, ours):
    """A rounding mode other than 0 in a conversion that is exact."""
    return (theirs.startswith(".4byte") and word >> 12 & 7 != 0 and
            re.match(r"fcvt\.d\.(s|w|wu)\t", ours) is not None)


def zicond(word, theirs, ours):
    """Binutils 2.40 does not know Zicond."""
    return theirs.startswith(".4byte") and ours.startswith("czero.")


def foreign_system(word, theirs, ours):
    """Instructions of extensions doppel does not have."""
    return ours.startswith(".4byte") and theirs.split("\t")[0] in (
        "uret", "hret", "dret", "sfence.vm")


def foreign_csr(word, theirs, ours):
    """CSRs of extensions doppel does not have, which objdump knows by name."""
    number = "0x%x" % (word >> 20)
    if word & 0x7f != 0x73 or number not in ours:
        return False
    before, after = ours.split(number, 1)
    return theirs.startswith(before) and theirs.endswith(after)


KNOWN = [reserved_rounding, reserved_fence, reserved_addi16sp, exact_conversion, zicond,
         foreign_system, foreign_csr]
KNOWN_IN_FILES = [foreign_csr]


# ---- the two disassemblers ----

def run(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def parse(text, strip):
    """[(address, word, text)] of a listing."""
    out = []
    for line in text.splitlines():
        match = LINE.match(line)
        if match:
            raw = match[2].split()
            out.append((int(match[1], 16), int(raw[0], 16), strip(match[3])))
    return out


def strip_symbols(text):
    """Removes what objdump adds from its symbol table."""
    text = re.sub(r"\s+# .*$", "", text)
    return re.sub(r"(?:0x)?([0-9a-f]+) <[^>]*>$", r"\1", text)


def strip_target(text):
    """A target outside of all symbols has a 0x that others have not."""
    text = strip_symbols(text)
    if BRANCH.match(text):
        text = re.sub(r"([\t,])0x([0-9a-f]+)$", r"\1\2", text)
    return text


def isa_of(path):
    """The ISA string of the file's attributes, without versions."""
    match = re.search(r'Tag_RISCV_arch: "([^"]*)"', run([PREFIX + "readelf", "-A", str(path)]))
    if not match:
        return "rv64gc"
    words = [re.sub(r"\d+p\d+$", "", w) for w in match[1][4:].split("_")]
    table = (ROOT / "src/isa/extensions.def").read_text()
    known = set(re.findall(r'^EXT\(\w+,\s*"(\w+)"', table, re.M))
    words = [w for w in words if w in known]
    return "rv64" + "".join(w for w in words if len(w) == 1) + "".join(
        "_" + w for w in words if len(w) > 1)


def compare(path, disasm, isa, known):
    theirs = parse(run([PREFIX + "objdump", "-d", "-z", str(path)]), strip_target)
    ours = parse(run(disasm + ["--isa", isa, str(path)]), lambda text: text)
    excused = collections.Counter()
    wrong = []
    for a, b in zip(theirs, ours):
        if a == b:
            continue
        excuse = next((k for k in known if a[:2] == b[:2] and k(a[1], a[2], b[2])), None)
        if excuse:
            excused[excuse.__name__] += 1
        else:
            wrong.append((a, b))
            if a[0] != b[0]:
                break  # out of step: everything after would differ
    if len(theirs) != len(ours) and not wrong:
        wrong.append((("lines", len(theirs), ""), ("lines", len(ours), "")))
    return len(theirs), wrong, excused


# ---- streams of encodings ----

def compressed_stream():
    return b"".join(struct.pack("<H", word) for word in range(1 << 16) if word & 3 != 3)


def random_stream(count, seed):
    rows = []
    for _, pattern in ROW.findall((ROOT / "src/isa/insns.def").read_text()):
        pattern = pattern.replace(" ", "")
        match = int(pattern.replace(".", "0"), 2)
        rows.append((match, int(re.sub("[01]", "1", pattern).replace(".", "0"), 2)))
    rng = random.Random(seed)
    words = []
    while len(words) < count:
        word = rng.getrandbits(32) | 3
        kind = rng.randrange(10)
        if kind:
            match, mask = rng.choice(rows)
            word = match | word & ~mask
            # Operands at their edges meet aliases more often than by chance.
            for shift, width in ((7, 5), (15, 5), (20, 5), (20, 12), (12, 3)):
                field = ((1 << width) - 1) << shift & ~mask
                edge = rng.randrange(12)
                if edge < 2:
                    word &= ~field
                elif edge == 2:
                    word |= field
                elif edge == 3:
                    word = word & ~field | (1 << shift) & field
        if kind == 1:
            word ^= 1 << rng.randrange(2, 32)
        if word & 0x1f != 0x1f:  # longer than 32 bits
            words.append(word)
    return b"".join(struct.pack("<I", word) for word in words)


def build_elf(folder, name, stream):
    """An ELF file of the bytes whose attributes name the extensions."""
    raw, obj, elf = (folder / (name + suffix) for suffix in (".bin", ".o", ".elf"))
    raw.write_bytes(stream)
    asm = folder / (name + ".s")
    asm.write_text('.text\n.globl _start\n_start:\n.incbin "%s"\n' % raw)
    run([PREFIX + "as", "-march=" + MARCH, "-o", str(obj), str(asm)])
    run([PREFIX + "ld", "-Ttext=0x10000", "--no-relax", "-s", "-o", str(elf), str(obj)])
    return elf


def report(name, result):
    count, wrong, excused = result
    notes = "".join("; %s %d" % item for item in sorted(excused.items()))
    print("%s: %d instructions, %d differences%s" % (name, count, len(wrong), notes))
    for theirs, ours in wrong[:10]:
        print("  objdump %s\n  doppel  %s" % (theirs, ours))
    return not wrong and count > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disasm", default=str(ROOT / "build/doppel") + " disasm",
                        help="command that prints a file's disassembly")
    parser.add_argument("--words", type=int, default=200000, help="random words to compare")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", help="RISC-V ELF files")
    options = parser.parse_args()
    disasm = shlex.split(options.disasm)

    good = True
    for path in options.files:
        good &= report(path, compare(path, disasm, isa_of(path), KNOWN_IN_FILES))
    if not options.files:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            elf = build_elf(folder, "compressed", compressed_stream())
            good &= report("compressed", compare(elf, disasm, "max", KNOWN))
            elf = build_elf(folder, "random", random_stream(options.words, options.seed))
            good &= report("random (seed %d)" % options.seed, compare(elf, disasm, "max", KNOWN))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
