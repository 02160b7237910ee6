/* SPDX-License-Identifier: Apache-2.0
 * What the instruction table says about each op: format, extension, register
 * use. For decoders, translators and tests; execution needs isa/insn.h only. */
#pragma once

#include "base/types.h"

/* Which file each register operand belongs to, and what else the instruction
 * does. A field without X_ or F_ flag of its own is not a register (csrrwi). */
enum insn_flag {
    X_RD = 1 << 0, /* writes integer register rd */
    X_RS1 = 1 << 1,
    X_RS2 = 1 << 2,
    F_RD = 1 << 3, /* writes floating-point register rd */
    F_RS1 = 1 << 4,
    F_RS2 = 1 << 5,
    F_RS3 = 1 << 6,
    IS_BRANCH = 1 << 7, /* conditional, to pc + imm */
    IS_JUMP = 1 << 8,
    IS_LOAD = 1 << 9,   /* reads memory */
    IS_STORE = 1 << 10, /* writes memory */
    IS_ATOMIC = 1 << 11,
    IS_SYSTEM = 1 << 12, /* may change privilege, translation or CSRs, or trap always */
    IS_HINT = 1 << 13,   /* may be executed as a no-op */
    SETS_FFLAGS = 1 << 14,
    IS_LR = IS_ATOMIC | IS_LOAD,
    IS_SC = IS_ATOMIC | IS_STORE,
    IS_AMO = IS_ATOMIC | IS_LOAD | IS_STORE,
};

/* The fields an instruction format has besides its immediate. */
enum insn_field {
    HAS_RD = 1 << 0,
    HAS_RS1 = 1 << 1,
    HAS_RS2 = 1 << 2,
    HAS_RS3 = 1 << 3,
    HAS_RM = 1 << 4,
    HAS_AQRL = 1 << 5,
};

enum imm_kind {
    IMM_NONE,
    IMM_I,
    IMM_S,
    IMM_B,
    IMM_U,
    IMM_J,
    IMM_SHIFT6,
    IMM_SHIFT5,
    IMM_12, /* unsigned, in the place of IMM_I */
};

/* FORMAT_<id> for each row of formats.def. */
enum format {
#define FORMAT(id, ...) FORMAT_##id,
#include "isa/formats.def"
#undef FORMAT
    FORMAT_COUNT,
};

struct format_info {
    uint8_t fields; /* HAS_* */
    uint8_t imm;    /* enum imm_kind */
    const char *operands;
};

struct op_info {
    const char *name;
    uint8_t format;    /* enum format */
    uint8_t extension; /* enum extension */
    uint16_t flags;    /* enum insn_flag */
};

/* Indexed by enum op and enum format; the entry of OP_illegal is all zero but
 * for its name. */
extern const struct op_info isa_ops[];
extern const struct format_info isa_formats[];

/* The fixed bits of the encoding of `op`, and where they are. */
struct encoding {
    uint32_t match;
    uint32_t mask;
};
struct encoding isa_op_encoding(unsigned op);
