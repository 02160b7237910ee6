/* SPDX-License-Identifier: Apache-2.0
 * One decoded RISC-V instruction, and the functions that make it from an
 * encoding, turn it back and print it. Everything here comes from insns.def. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"
#include "isa/extension.h"

/* OP_illegal, then one OP_<id> for each row of insns.def, then OP_COUNT. */
enum op {
    OP_illegal,
#define INSN(id, ...) OP_##id,
#include "isa/insns.def"
#undef INSN
    OP_COUNT,
};

/* A compressed instruction decodes to the instruction it stands for, with length
 * 2; only what it expands to matters for execution. Fields that the format of
 * the instruction does not have are zero. */
struct insn {
    uint16_t op;    /* enum op */
    uint8_t length; /* bytes: 2 or 4 */
    uint8_t rd;
    uint8_t rs1; /* csrrwi, csrrsi, csrrci: the 5-bit immediate */
    uint8_t rs2;
    uint8_t rs3;
    uint8_t rm;   /* rounding mode field of FP instructions; aq (2) | rl (1) of atomics */
    int32_t imm;  /* sign-extended immediate in its final scale (U-type: already
                   * shifted left by 12); shift amount; CSR number (0-4095);
                   * fence: the 12 bits fm | pred | succ */
    uint32_t raw; /* the encoding; upper half zero when length is 2 */
};

/* Decodes the instruction that starts with `word` (the low 16 bits suffice when
 * the two lowest are not 11). What `extensions` does not hold, and everything
 * reserved, gives OP_illegal with the right length. Never fails, never loops. */
struct insn isa_decode(uint32_t word, const struct extension_set *extensions);

/* Encoding of `insn` as a 32-bit instruction; the inverse of isa_decode for
 * length 4. Out-of-range operands are truncated to their fields. */
uint32_t isa_encode(const struct insn *insn);

/* Text as binutils' objdump prints it with aliases ("mv\ta0,a1"), without
 * symbol names. `pc` serves branch targets. At most `size` bytes with NUL;
 * returns the full length. */
size_t isa_disassemble(const struct insn *insn, uint64_t pc, char *to, size_t size);

/* "addi"; for OP_illegal "illegal". */
const char *isa_op_name(unsigned op);
