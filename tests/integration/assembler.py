# SPDX-License-Identifier: Apache-2.0
"""A small RV64 assembler and ELF writer, so that bare-metal guests need no cross
compiler.

    elf(\"\"\"
    start:
        li   t0, 0x10000000
        li   a0, 'A'
        sb   a0, 0(t0)
        j    start
    \"\"\")

Every instruction is four bytes long. Known are RV64IM, Zicsr and what privileged
code needs, the usual aliases, and .word, .dword, .zero, .ascii, .align.
Comments begin with '#'.
"""
import re
import struct

RAM = 0x80000000

NAMES = ("zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 "
         "t3 t4 t5 t6").split()
REGISTERS = {name: number for number, name in enumerate(NAMES)}

CSRS = {
    "sstatus": 0x100, "sie": 0x104, "stvec": 0x105, "sscratch": 0x140, "sepc": 0x141,
    "scause": 0x142, "stval": 0x143, "sip": 0x144, "stimecmp": 0x14d, "satp": 0x180,
    "mstatus": 0x300, "medeleg": 0x302, "mideleg": 0x303, "mie": 0x304, "mtvec": 0x305,
    "mcounteren": 0x306, "menvcfg": 0x30a, "mscratch": 0x340, "mepc": 0x341, "mcause": 0x342,
    "mtval": 0x343, "mip": 0x344, "pmpcfg0": 0x3a0, "pmpaddr0": 0x3b0, "mcycle": 0xb00,
    "time": 0xc01, "mhartid": 0xf14,
}

# name: funct3, funct7
REGISTER_OPS = {
    "add": (0, 0), "sub": (0, 0x20), "sll": (1, 0), "slt": (2, 0), "sltu": (3, 0), "xor": (4, 0),
    "srl": (5, 0), "sra": (5, 0x20), "or": (6, 0), "and": (7, 0), "mul": (0, 1), "mulhu": (3, 1),
    "divu": (5, 1), "remu": (7, 1),
}
IMMEDIATE_OPS = {"addi": 0, "slti": 2, "sltiu": 3, "xori": 4, "ori": 6, "andi": 7}
SHIFTS = {"slli": (1, 0), "srli": (5, 0), "srai": (5, 0x400)}
LOADS = {"lb": 0, "lh": 1, "lw": 2, "ld": 3, "lbu": 4, "lhu": 5, "lwu": 6}
STORES = {"sb": 0, "sh": 1, "sw": 2, "sd": 3}
BRANCHES = {"beq": 0, "bne": 1, "blt": 4, "bge": 5, "bltu": 6, "bgeu": 7}
CSR_OPS = {"csrrw": 1, "csrrs": 2, "csrrc": 3}
PLAIN = {"ecall": 0x73, "ebreak": 0x100073, "mret": 0x30200073, "sret": 0x10200073,
         "wfi": 0x10500073, "fence": 0x0ff0000f, "fence.i": 0x100f, "nop": 0x13,
         "sfence.vma": 0x12000073, "ret": 0x8067}


def bits(value, high, low):
    return value >> low & ((1 << (high - low + 1)) - 1)


def i_type(opcode, funct3, rd, rs1, immediate):
    if not -2048 <= immediate < 2048:
        raise ValueError(f"immediate {immediate} is out of range")
    return (immediate & 0xfff) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


def s_type(funct3, rs1, rs2, immediate):
    if not -2048 <= immediate < 2048:
        raise ValueError(f"offset {immediate} is out of range")
    return (bits(immediate, 11, 5) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 |
            bits(immediate, 4, 0) << 7 | 0x23)


def b_type(funct3, rs1, rs2, offset):
    if not -4096 <= offset < 4096:
        raise ValueError(f"branch over {offset} bytes")
    return (bits(offset, 12, 12) << 31 | bits(offset, 10, 5) << 25 | rs2 << 20 | rs1 << 15 |
            funct3 << 12 | bits(offset, 4, 1) << 8 | bits(offset, 11, 11) << 7 | 0x63)


def j_type(rd, offset):
    return (bits(offset, 20, 20) << 31 | bits(offset, 10, 1) << 21 | bits(offset, 11, 11) << 20 |
            bits(offset, 19, 12) << 12 | rd << 7 | 0x6f)


def load_immediate(rd, value):
    """li: lui and addi for 32 bits, then shifts and addi for the rest."""
    value = (value + (1 << 63)) % (1 << 64) - (1 << 63)
    if -2048 <= value < 2048:
        return [i_type(0x13, 0, rd, 0, value)]
    low = (value + 2048) % 4096 - 2048
    if -(1 << 31) <= value < (1 << 31):
        words = [(bits(value - low, 31, 12) << 12) | rd << 7 | 0x37]
        return words + ([i_type(0x1b, 0, rd, rd, low)])  # addiw wraps as lui does
    words = load_immediate(rd, (value - low) >> 12)
    words.append(i_type(0x13, 1, rd, rd, 12))
    if low:
        words.append(i_type(0x13, 0, rd, rd, low))
    return words


class Program:
    """The text, assembled for one address."""

    def __init__(self, text, base=RAM):
        self.base = base
        self.labels = {}
        self.lines = []
        for number, line in enumerate(text.splitlines(), 1):
            self.lines += self.split_line(number, line)
        self.resolving = False
        self.run_pass()
        self.resolving = True
        self.code = self.run_pass()

    @staticmethod
    def split_line(number, line):
        line = re.sub(r"#.*", "", line).strip()
        match = re.match(r"([A-Za-z_]\w*):\s*(.*)", line)
        while match:
            yield number, "label", [match.group(1)]
            line = match.group(2)
            match = re.match(r"([A-Za-z_]\w*):\s*(.*)", line)
        if line.startswith(".ascii"):
            text = line.split(None, 1)[1].strip('"').encode().decode("unicode_escape")
            yield number, ".ascii", [text]
        elif line:
            name, _, rest = line.partition(" ")
            yield number, name, [word.strip() for word in rest.split(",")] if rest.strip() else []

    def run_pass(self):
        code = bytearray()
        for number, name, operands in self.lines:
            self.at = self.base + len(code)
            try:
                if name == "label":
                    self.labels[operands[0]] = self.at
                else:
                    code += self.encode(name, operands)
            except (ValueError, KeyError, IndexError) as error:
                text = f"{name} {', '.join(operands)}"
                raise ValueError(f"line {number}: {text}: {error!r}") from None
        return bytes(code)

    def value(self, word):
        if re.fullmatch(r"'.'", word):
            return ord(word[1])
        if re.fullmatch(r"[A-Za-z_]\w*", word):
            return self.labels[word] if self.resolving else self.at
        return int(word, 0)

    def csr(self, word):
        return CSRS[word] if word in CSRS else int(word, 0)

    def address(self, word):
        """offset(register)"""
        match = re.fullmatch(r"(.*)\((\w+)\)", word)
        return self.value(match.group(1) or "0"), REGISTERS[match.group(2)]

    def encode(self, name, operands):
        if name.startswith("."):
            return self.directive(name, operands)
        words = self.instruction(name, operands)
        return b"".join(struct.pack("<I", word) for word in words)

    def directive(self, name, operands):
        if name == ".ascii":
            return operands[0].encode("latin-1")
        if name == ".zero":
            return bytes(self.value(operands[0]))
        if name == ".align":
            return bytes(-self.at % self.value(operands[0]))
        size = {".word": 4, ".dword": 8}[name]
        return b"".join((self.value(word) % (1 << 8 * size)).to_bytes(size, "little")
                        for word in operands)

    def instruction(self, name, operands):
        register = [REGISTERS.get(word) for word in operands]
        if name in PLAIN:
            return [PLAIN[name]]
        if name in REGISTER_OPS:
            funct3, funct7 = REGISTER_OPS[name]
            return [funct7 << 25 | register[2] << 20 | register[1] << 15 | funct3 << 12 |
                    register[0] << 7 | 0x33]
        if name in IMMEDIATE_OPS:
            return [i_type(0x13, IMMEDIATE_OPS[name], register[0], register[1],
                           self.value(operands[2]))]
        if name in SHIFTS:
            funct3, extra = SHIFTS[name]
            return [i_type(0x13, funct3, register[0], register[1], self.value(operands[2]) | extra)]
        if name in LOADS:
            offset, base = self.address(operands[1])
            return [i_type(0x03, LOADS[name], register[0], base, offset)]
        if name in STORES:
            offset, base = self.address(operands[1])
            return [s_type(STORES[name], base, register[0], offset)]
        if name in BRANCHES:
            return [b_type(BRANCHES[name], register[0], register[1],
                           self.value(operands[2]) - self.at)]
        return self.alias(name, operands, register)

    def alias(self, name, operands, register):
        if name in CSR_OPS:
            return [self.csr(operands[1]) << 20 | register[2] << 15 | CSR_OPS[name] << 12 |
                    register[0] << 7 | 0x73]
        if name in ("csrw", "csrs", "csrc"):
            funct3 = {"csrw": 1, "csrs": 2, "csrc": 3}[name]
            return [self.csr(operands[0]) << 20 | register[1] << 15 | funct3 << 12 | 0x73]
        if name == "csrr":
            return [self.csr(operands[1]) << 20 | 2 << 12 | register[0] << 7 | 0x73]
        if name == "li":
            return load_immediate(register[0], self.value(operands[1]))
        if name == "la":
            offset = self.value(operands[1]) - self.at
            low = (offset + 2048) % 4096 - 2048
            return [bits(offset - low, 31, 12) << 12 | register[0] << 7 | 0x17,
                    i_type(0x13, 0, register[0], register[0], low)]
        if name == "mv":
            return [i_type(0x13, 0, register[0], register[1], 0)]
        if name == "beqz":
            return [b_type(0, register[0], 0, self.value(operands[1]) - self.at)]
        if name == "bnez":
            return [b_type(1, register[0], 0, self.value(operands[1]) - self.at)]
        if name == "j":
            return [j_type(0, self.value(operands[0]) - self.at)]
        if name == "call":
            return [j_type(1, self.value(operands[0]) - self.at)]
        if name == "jr":
            return [i_type(0x67, 0, 0, register[0], 0)]
        if name == "jalr":
            return [i_type(0x67, 0, 1, register[0], 0)]
        raise ValueError("unknown instruction")


# ---- ELF ----

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")


def write_elf(segments, entry, symbols=None, machine=243, identity=b"\177ELF\2\1\1", kind=2):
    """`segments`: (address, bytes, size in memory). Fields that tests damage on
    purpose are parameters or lie where struct says."""
    names, table = b"\0", SYMBOL.pack(0, 0, 0, 0, 0, 0)
    for name, value in (symbols or {}).items():
        table += SYMBOL.pack(len(names), 0x12, 0, 1, value, 0)
        names += name.encode() + b"\0"
    section_names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    at = HEADER.size + SEGMENT.size * len(segments)
    headers, body, text = b"", b"", None
    for address, data, memory_size in segments:
        headers += SEGMENT.pack(1, 7, at + len(body), address, address, len(data), memory_size, 1)
        text = text or (address, at + len(body), len(data))
        body += data
    body += bytes(-len(body) % 8)
    offsets = []
    for data in (table, names, section_names):
        offsets.append(at + len(body))
        body += data
    sections = b""
    if symbols is not None:
        sections = (SECTION.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0) +
                    SECTION.pack(1, 1, 6, *text, 0, 0, 4, 0) +
                    SECTION.pack(7, 2, 0, 0, offsets[0], len(table), 3, 1, 8, SYMBOL.size) +
                    SECTION.pack(15, 3, 0, 0, offsets[1], len(names), 0, 0, 1, 0) +
                    SECTION.pack(23, 3, 0, 0, offsets[2], len(section_names), 0, 0, 1, 0))
    header = HEADER.pack(identity.ljust(16, b"\0"), kind, machine, 1, entry, HEADER.size,
                         at + len(body) if sections else 0, 0, HEADER.size, SEGMENT.size,
                         len(segments), SECTION.size, len(sections) // SECTION.size,
                         4 if sections else 0)
    return header + headers + body + sections


def elf(text, base=RAM, memory_size=0x100000):
    """The program as an ELF that starts at its first instruction, with its labels
    as symbols."""
    program = Program(text, base)
    return write_elf([(base, program.code, max(memory_size, len(program.code)))], base,
                     program.labels)
