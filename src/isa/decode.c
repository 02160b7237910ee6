/* SPDX-License-Identifier: Apache-2.0
 * 32-bit encodings to struct insn. The tree only narrows the choice down to a
 * few rows; their fixed bits are compared in full afterwards, so a wrong tree
 * can lose an instruction but never invent one. */
#include "isa/insn.h"

#include "base/bits.h"
#include "isa/decode_internal.h"

#include "isa/decode.inc"

static const struct decode_tree tree = {insns_nodes, insns_slots, insns_lists, insns_encodings};
_Static_assert(ARRAY_LEN(insns_encodings) == OP_COUNT, "decode.inc is from this insns.def");

struct encoding isa_op_encoding(unsigned op)
{
    return insns_encodings[op < OP_COUNT ? op : OP_illegal];
}

/* Unprivileged manual, "Base Instruction Formats" and "Immediate Encoding
 * Variants". */
static int32_t immediate(uint32_t word, enum imm_kind kind)
{
    int32_t top = (int32_t)word >> 31; /* the sign in every bit */

    switch (kind) {
    case IMM_NONE:
        return 0;
    case IMM_I:
        return (int32_t)word >> 20;
    case IMM_S:
        return (int32_t)((uint32_t)((int32_t)word >> 25) << 5 | (word >> 7 & 0x1f));
    case IMM_B:
        return (int32_t)((uint32_t)top << 12 | (word >> 7 & 1) << 11 | (word >> 25 & 0x3f) << 5 |
                         (word >> 8 & 0xf) << 1);
    case IMM_U:
        return (int32_t)(word & 0xfffff000);
    case IMM_J:
        return (int32_t)((uint32_t)top << 20 | (word & 0xff000) | (word >> 20 & 1) << 11 |
                         (word >> 21 & 0x3ff) << 1);
    case IMM_SHIFT6:
        return (int32_t)(word >> 20 & 0x3f);
    case IMM_SHIFT5:
        return (int32_t)(word >> 20 & 0x1f);
    case IMM_12:
        return (int32_t)(word >> 20);
    }
    return 0;
}

static void fill_fields(struct insn *insn, uint32_t word, const struct format_info *format)
{
    unsigned fields = format->fields;

    if (fields & HAS_RD)
        insn->rd = word >> 7 & 0x1f;
    if (fields & HAS_RS1)
        insn->rs1 = word >> 15 & 0x1f;
    if (fields & HAS_RS2)
        insn->rs2 = word >> 20 & 0x1f;
    if (fields & HAS_RS3)
        insn->rs3 = (uint8_t)(word >> 27);
    if (fields & HAS_RM)
        insn->rm = word >> 12 & 7;
    else if (fields & HAS_AQRL)
        insn->rm = word >> 25 & 3;
    insn->imm = immediate(word, format->imm);
}

/* Rounding modes 5 and 6 are reserved; 7 takes frm at run time. */
static bool is_reserved(const struct insn *insn, const struct format_info *format)
{
    return (format->fields & HAS_RM) && (insn->rm == 5 || insn->rm == 6);
}

struct insn isa_decode(uint32_t word, const struct extension_set *extensions)
{
    if ((word & 3) != 3)
        return decode_compressed(word & 0xffff, extensions);

    struct insn insn = {.length = 4, .raw = word};
    for (const uint16_t *op = decode_candidates(&tree, word); *op != OP_illegal; op++) {
        const struct op_info *info = &isa_ops[*op];
        if ((word & tree.encodings[*op].mask) != tree.encodings[*op].match ||
            !extension_set_has(extensions, info->extension))
            continue;
        const struct format_info *format = &isa_formats[info->format];
        fill_fields(&insn, word, format);
        if (is_reserved(&insn, format))
            return (struct insn){.length = 4, .raw = word};
        insn.op = *op;
        break;
    }
    return insn;
}
