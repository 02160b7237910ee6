/* SPDX-License-Identifier: Apache-2.0
 * struct insn to its 32-bit encoding: the inverse of decode.c, for tests and for
 * the few instructions doppel writes into guest memory itself. */
#include "isa/insn.h"

#include "isa/ops.h"

static uint32_t place_immediate(int32_t imm, enum imm_kind kind)
{
    uint32_t value = (uint32_t)imm;

    switch (kind) {
    case IMM_NONE:
        return 0;
    case IMM_I:
    case IMM_12:
        return value << 20;
    case IMM_S:
        return (value >> 5 & 0x7f) << 25 | (value & 0x1f) << 7;
    case IMM_B:
        return (value >> 12 & 1) << 31 | (value >> 5 & 0x3f) << 25 | (value >> 1 & 0xf) << 8 |
               (value >> 11 & 1) << 7;
    case IMM_U:
        return value & 0xfffff000;
    case IMM_J:
        return (value >> 20 & 1) << 31 | (value >> 1 & 0x3ff) << 21 | (value >> 11 & 1) << 20 |
               (value & 0xff000);
    case IMM_SHIFT6:
        return (value & 0x3f) << 20;
    case IMM_SHIFT5:
        return (value & 0x1f) << 20;
    }
    return 0;
}

uint32_t isa_encode(const struct insn *insn)
{
    if (insn->op == OP_illegal || insn->op >= OP_COUNT)
        return insn->raw;

    const struct format_info *format = &isa_formats[isa_ops[insn->op].format];
    struct encoding encoding = isa_op_encoding(insn->op);
    uint32_t word = place_immediate(insn->imm, format->imm);

    if (format->fields & HAS_RD)
        word |= (insn->rd & 0x1fu) << 7;
    if (format->fields & HAS_RS1)
        word |= (insn->rs1 & 0x1fu) << 15;
    if (format->fields & HAS_RS2)
        word |= (insn->rs2 & 0x1fu) << 20;
    if (format->fields & HAS_RS3)
        word |= (insn->rs3 & 0x1fu) << 27;
    if (format->fields & HAS_RM)
        word |= (insn->rm & 7u) << 12;
    if (format->fields & HAS_AQRL)
        word |= (insn->rm & 3u) << 25;
    return encoding.match | (word & ~encoding.mask);
}
