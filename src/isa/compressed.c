/* SPDX-License-Identifier: Apache-2.0
 * 16-bit encodings to the instructions they stand for (unprivileged manual,
 * "C" Extension for Compressed Instructions). */
#include "isa/decode_internal.h"

#include "base/bits.h"

#include "isa/compressed.inc"

enum rvc_reg {
    ZERO,
    RA,
    SP,
    R7,  /* bits 11:7 */
    R7P, /* bits 9:7, names x8-x15 */
    R2,  /* bits 6:2 */
    R2P, /* bits 4:2, names x8-x15 */
};

enum rvc_condition {
    RD_NOT_0 = 1,
    RS1_NOT_0 = 2,
    IMM_NOT_0 = 4,
};

enum rvc_imm {
    CI_NONE,
    CI_ADDI4SPN,
    CI_LW,
    CI_LD,
    CI_I,
    CI_ADDI16SP,
    CI_LUI,
    CI_SHIFT,
    CI_J,
    CI_B,
    CI_LWSP,
    CI_LDSP,
    CI_SWSP,
    CI_SDSP,
    CI_COUNT,
};

/* Immediates are scattered: `width` bits from bit `from` of the encoding go to
 * bit `to` of the value. A width of 0 ends the list. */
struct piece {
    uint8_t from;
    uint8_t width;
    uint8_t to;
};

struct imm_layout {
    uint8_t sign_bits; /* the value is sign-extended from that many bits; 0: not */
    struct piece pieces[8];
};

/* clang-format off */
static const struct imm_layout layouts[CI_COUNT] = {
    [CI_ADDI4SPN] = {0,  {{11, 2, 4}, {7, 4, 6}, {6, 1, 2}, {5, 1, 3}}},
    [CI_LW]       = {0,  {{10, 3, 3}, {6, 1, 2}, {5, 1, 6}}},
    [CI_LD]       = {0,  {{10, 3, 3}, {5, 2, 6}}},
    [CI_I]        = {6,  {{12, 1, 5}, {2, 5, 0}}},
    [CI_ADDI16SP] = {10, {{12, 1, 9}, {6, 1, 4}, {5, 1, 6}, {3, 2, 7}, {2, 1, 5}}},
    [CI_LUI]      = {18, {{12, 1, 17}, {2, 5, 12}}},
    [CI_SHIFT]    = {0,  {{12, 1, 5}, {2, 5, 0}}},
    [CI_J]        = {12, {{12, 1, 11}, {11, 1, 4}, {9, 2, 8}, {8, 1, 10}, {7, 1, 6}, {6, 1, 7},
                          {3, 3, 1}, {2, 1, 5}}},
    [CI_B]        = {9,  {{12, 1, 8}, {10, 2, 3}, {5, 2, 6}, {3, 2, 1}, {2, 1, 5}}},
    [CI_LWSP]     = {0,  {{12, 1, 5}, {4, 3, 2}, {2, 2, 6}}},
    [CI_LDSP]     = {0,  {{12, 1, 5}, {5, 2, 3}, {2, 3, 6}}},
    [CI_SWSP]     = {0,  {{9, 4, 2}, {7, 2, 6}}},
    [CI_SDSP]     = {0,  {{10, 3, 3}, {7, 3, 6}}},
};
/* clang-format on */

struct rvc {
    uint16_t op;
    uint8_t rd; /* enum rvc_reg, as the next two */
    uint8_t rs1;
    uint8_t rs2;
    uint8_t imm;        /* enum rvc_imm */
    uint8_t conditions; /* enum rvc_condition */
};

/* Row 0 is the reserved encodings. */
static const struct rvc rows[] = {
    {.op = OP_illegal},
#define RVC(id, pattern, op, rd, rs1, rs2, imm, conditions) \
    {OP_##op, rd, rs1, rs2, imm, conditions},
#include "isa/compressed.def"
#undef RVC
};

static const struct decode_tree tree = {compressed_nodes, compressed_slots, compressed_lists,
                                        compressed_encodings};
_Static_assert(ARRAY_LEN(rows) == ARRAY_LEN(compressed_encodings),
               "compressed.inc is from this compressed.def");

static uint8_t reg(uint32_t word, enum rvc_reg where)
{
    switch (where) {
    case ZERO:
        return 0;
    case RA:
        return 1;
    case SP:
        return 2;
    case R7:
        return word >> 7 & 0x1f;
    case R7P:
        return 8 + (word >> 7 & 7);
    case R2:
        return word >> 2 & 0x1f;
    case R2P:
        return 8 + (word >> 2 & 7);
    }
    return 0;
}

static int32_t immediate(uint32_t word, enum rvc_imm kind)
{
    const struct imm_layout *layout = &layouts[kind];
    uint32_t value = 0;

    for (unsigned i = 0; i < ARRAY_LEN(layout->pieces) && layout->pieces[i].width != 0; i++) {
        const struct piece *piece = &layout->pieces[i];
        value |= (word >> piece->from & ((1u << piece->width) - 1)) << piece->to;
    }
    return layout->sign_bits == 0 ? (int32_t)value
                                  : (int32_t)bits_sign_extend(value, layout->sign_bits);
}

static bool conditions_hold(const struct insn *insn, unsigned conditions)
{
    return !((conditions & RD_NOT_0) && insn->rd == 0) &&
           !((conditions & RS1_NOT_0) && insn->rs1 == 0) &&
           !((conditions & IMM_NOT_0) && insn->imm == 0);
}

struct insn decode_compressed(uint32_t word, const struct extension_set *extensions)
{
    const struct insn illegal = {.length = 2, .raw = word};

    const uint16_t *row = decode_candidates(&tree, word);
    while (*row != 0 && (word & tree.encodings[*row].mask) != tree.encodings[*row].match)
        row++;
    const struct rvc *rvc = &rows[*row];
    if (rvc->op == OP_illegal || !extension_set_has(extensions, EXT_C) ||
        !extension_set_has(extensions, isa_ops[rvc->op].extension))
        return illegal;

    struct insn insn = {
        .op = rvc->op,
        .length = 2,
        .rd = reg(word, rvc->rd),
        .rs1 = reg(word, rvc->rs1),
        .rs2 = reg(word, rvc->rs2),
        .imm = immediate(word, rvc->imm),
        .raw = word,
    };
    return conditions_hold(&insn, rvc->conditions) ? insn : illegal;
}
